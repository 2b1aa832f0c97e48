// Whether llama.cpp gives the same answers from a GGUF file that `sable model convert` writes: the most likely
// token behind every token of a text, and how far its probabilities lie from ours. Prints JSON; its status is 0
// when at least --same of the tokens agree.
//
//   node llama_answers.mjs --llama DIR --sable PATH/sable --model FOLDER --text FILE
//                          [--types F32] [--positions 3000] [--same 0.999]
//
// DIR is a folder with node_modules/node-llama-cpp (made with: npm install --ignore-scripts
// node-llama-cpp@3.22.1). Special tokens that are written out in the text are tokens. llama.cpp simulates neither
// the FP8 entries nor the FP4 indexer, so ours run with --fake-quant off --activation-quant off; its products of
// BF16 weights round the activations to BF16, so only --types F32 is the same arithmetic.
// What differs then are tokens whose experts all have scores below sqrt(softplus(-8)): llama.cpp computes softplus
// as log(1 + exp(x)) in float, which loses its digits there, and lifts the sum of a token's expert weights to
// 2^-14; DeepSeek's code does neither, nor do we. With these two in our router instead, all of 2,000 tokens were
// the same and no probability was further off than 0.00013.
import {execFileSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import path from "node:path";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const {values: options} = parseArgs({
  options: {
    llama: {type: "string"}, sable: {type: "string"}, model: {type: "string"},
    text: {type: "string"}, types: {type: "string", default: "F32"},
    positions: {type: "string", default: "3000"}, same: {type: "string", default: "0.999"},
  },
});
for (const name of ["llama", "sable", "model", "text"]) {
  if (!options[name]) throw new Error(`--${name} is missing`);
}

/// The ids of the text, the logits behind each of them, and the GGUF file, made by our program.
function ours(folder) {
  const gguf = path.join(folder, "model.gguf"), logits = path.join(folder, "logits");
  const sable = (args, input) => execFileSync(options.sable, ["model", ...args], {input});
  sable(["convert", "--model", options.model, "--to", "gguf", "--dense", options.types,
         "--experts", options.types, "--output", gguf]);
  const ids = sable(["tokenize", "--model", gguf], readFileSync(options.text)).toString().trim()
    .split("\n").map(Number).slice(0, Number(options.positions));
  writeFileSync(path.join(folder, "ids"), ids.join("\n"));
  sable(["logits", "--model", options.model, "--tokens-file", path.join(folder, "ids"), "--output",
         logits, "--fake-quant", "off", "--activation-quant", "off"]);
  const bytes = readFileSync(logits);
  return {gguf, ids, logits: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)};
}

/// What llama.cpp expects behind each token: {token, probabilities}.
async function theirs(gguf, ids) {
  const require = createRequire(path.resolve(options.llama, "package.json"));
  const {getLlama} = await import(pathToFileURL(require.resolve("node-llama-cpp")));
  const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
  const model = await llama.loadModel({modelPath: gguf});
  const context = await model.createContext({
    contextSize: ids.length + 64, flashAttention: false, experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const sequence = context.getSequence();
  const wanted = {generateNext: {token: true, probabilities: true, options: {temperature: 0}}};
  const answers = [];
  for (let at = 0; at < ids.length; at += 256) {
    const part = ids.slice(at, at + 256).map((id) => [id, wanted]);
    answers.push(...await sequence.controlledEvaluate(part));
  }
  return answers.map((answer) => answer.next);
}

/// The probabilities of one row of logits.
function softmax(row) {
  const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = row.map((x) => Math.exp(x - top));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((x) => x / sum);
}

const folder = mkdtempSync(path.join(tmpdir(), "llama-answers-"));
try {
  const {gguf, ids, logits} = ours(folder);
  const width = logits.length / ids.length;
  const answers = await theirs(gguf, ids);
  let n_same = 0, furthest = 0;
  answers.forEach((answer, i) => {
    const row = softmax(logits.subarray(i * width, (i + 1) * width));
    if (answer.token === row.indexOf(row.reduce((a, b) => Math.max(a, b), 0))) ++n_same;
    for (const [token, probability] of answer.probabilities) {
      furthest = Math.max(furthest, Math.abs(probability - row[token]));
    }
  });
  console.log(JSON.stringify({
    positions: ids.length, same_token: n_same, furthest_probability: furthest, types: options.types,
  }));
  process.exitCode = n_same >= Number(options.same) * ids.length && ids.length > 0 ? 0 : 1;
} finally {
  rmSync(folder, {recursive: true});
}
process.exit();
