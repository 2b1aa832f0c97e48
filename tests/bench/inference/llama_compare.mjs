// Runs decode_bench and llama.cpp on the same GGUF file, in turns, and prints the ratios as JSON.
//
//   node llama_compare.mjs --llama DIR --bench PATH/decode_bench --model FILE.gguf
//                          [--prompt N] [--gen N] [--rounds N] [--threads 1,2]
//
// DIR is a folder with node_modules/node-llama-cpp (made with: npm install --ignore-scripts
// node-llama-cpp@3.22.1), whose build of llama.cpp picks its best kernels for this machine. Both
// engines prefill the same number of tokens and decode greedily with logits for every token; a
// round of one follows a round of the other, so that both see the same machine. llama.cpp's threads
// spin while they wait: on a busy machine it loses more than its share, so look at the load too. The
// speeds called _cpu are tokens a second of processor time, which a load disturbs less.
import {execFileSync} from "node:child_process";
import {createRequire} from "node:module";
import {loadavg} from "node:os";
import path from "node:path";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const {values: options} = parseArgs({
  options: {
    llama: {type: "string"}, bench: {type: "string"}, model: {type: "string"},
    prompt: {type: "string", default: "256"}, gen: {type: "string", default: "32"},
    rounds: {type: "string", default: "3"}, threads: {type: "string", default: "1,2"},
  },
});
for (const name of ["llama", "bench", "model"]) {
  if (!options[name]) throw new Error(`--${name} is missing`);
}
const prompt = Number(options.prompt), gen = Number(options.gen), rounds = Number(options.rounds);

const require = createRequire(path.resolve(options.llama, "package.json"));
const {getLlama} = await import(pathToFileURL(require.resolve("node-llama-cpp")));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: path.resolve(options.model)});
// The engines need not read the same ids, only as many: any below the vocabulary's size will do.
const ids = (n) => Array.from({length: n}, (_, i) => (i * 7919 + 3) % 32000);

/// From now on: elapsed and processor time, as speeds of n tokens.
function stopwatch() {
  const begin = performance.now(), cpu = process.cpuUsage();
  return (n) => {
    const {user, system} = process.cpuUsage(cpu);
    return {speed: 1e3 * n / (performance.now() - begin), cpu: 1e6 * n / (user + system)};
  };
}

/// Tokens a second of one prefill and one decoding.
async function measureLlama(context) {
  const sequence = context.getSequence();
  await sequence.evaluateWithoutGeneratingNewTokens(ids(32));
  await sequence.clearHistory();
  let stop = stopwatch();
  await sequence.evaluateWithoutGeneratingNewTokens(ids(prompt));
  const prefill = stop(prompt);
  let n = -1;  // the first token warms up
  for await (const token of sequence.evaluate([5], {temperature: 0, yieldEogToken: true})) {
    if (++n === 0) stop = stopwatch();
    if (n === gen) break;
  }
  const decode = stop(n);
  sequence.dispose();
  return {
    prefill: prefill.speed, prefill_cpu: prefill.cpu, decode: decode.speed, decode_cpu: decode.cpu,
  };
}

function measureOurs(threads) {
  const report = JSON.parse(execFileSync(options.bench, [
    "--model", options.model, "--prompt", `${prompt}`, "--gen", `${gen}`, "--threads", `${threads}`,
    "--json"], {encoding: "utf8"}));
  const {prefill, decode} = report;
  return {
    prefill: prefill.tokens_per_second, prefill_cpu: prefill.tokens / prefill.cpu_seconds,
    decode: decode.tokens_per_second, decode_cpu: decode.tokens / decode.cpu_seconds,
    share: report.decode.share_of_read_bandwidth, bandwidth: report.read_bytes_per_second,
  };
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const summary = (list) => ({median: median(list), best: Math.max(...list), all: list});

for (const threads of options.threads.split(",").map(Number)) {
  const context = await model.createContext(
      {contextSize: prompt + gen + 64, batchSize: Math.min(prompt, 512), threads});
  const ours = [], theirs = [], loads = [];
  for (let round = 0; round < rounds; ++round) {
    loads.push(loadavg()[0]);
    theirs.push(await measureLlama(context));
    ours.push(measureOurs(threads));
  }
  await context.dispose();
  const of = (list, what) => summary(list.map((one) => one[what]));
  const result = {
    threads, prompt_tokens: prompt, gen_tokens: gen, load_average: loads,
    read_bytes_per_second: of(ours, "bandwidth"),
    prefill: {sable: of(ours, "prefill"), llama: of(theirs, "prefill")},
    decode: {sable: of(ours, "decode"), llama: of(theirs, "decode")},
    prefill_cpu: {sable: of(ours, "prefill_cpu"), llama: of(theirs, "prefill_cpu")},
    decode_cpu: {sable: of(ours, "decode_cpu"), llama: of(theirs, "decode_cpu")},
    decode_share_of_read_bandwidth: of(ours, "share"),
  };
  for (const phase of ["prefill", "decode", "prefill_cpu", "decode_cpu"]) {
    const {sable, llama: other} = result[phase];
    result[phase].ratio = {median: sable.median / other.median, best: sable.best / other.best};
  }
  console.log(JSON.stringify(result));
}
process.exit(0);
