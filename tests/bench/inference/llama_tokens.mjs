// Whether llama.cpp makes the same ids from texts as we do, with the tokenizer that stands in a GGUF file. Prints
// JSON with the texts that differ; its status is 0 when there are none.
//
//   node llama_tokens.mjs --llama DIR --sable PATH/sable --model FILE.gguf [--texts FILE.json]
//
// DIR is a folder with node_modules/node-llama-cpp (made with: npm install --ignore-scripts
// node-llama-cpp@3.22.1). The texts are a list of {name, text}: those of tests/golden/tokenizer. They are encoded
// with special tokens, which both find in them. (Without them llama.cpp still finds added tokens that are not
// special, such as DeepSeek's <｜User｜>; to us all of them are text then, since the text is not trusted.)
import {execFileSync} from "node:child_process";
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const {values: options} = parseArgs({
  options: {
    llama: {type: "string"}, sable: {type: "string"}, model: {type: "string"},
    texts: {type: "string", default: path.join(import.meta.dirname, "../../golden/tokenizer/corpus.json")},
  },
});
for (const name of ["llama", "sable", "model"]) {
  if (!options[name]) throw new Error(`--${name} is missing`);
}

const require = createRequire(path.resolve(options.llama, "package.json"));
const {getLlama} = await import(pathToFileURL(require.resolve("node-llama-cpp")));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: path.resolve(options.model), vocabOnly: true});

function ours(text) {
  const lines = execFileSync(options.sable, ["model", "tokenize", "--model", options.model], {input: text});
  return lines.toString().split("\n").filter(Boolean).map(Number);
}

const texts = JSON.parse(readFileSync(options.texts, "utf8"));
const differ = [];
let nTokens = 0;
for (const {name, text} of texts) {
  const theirs = [...model.tokenize(text, true)], mine = ours(text);
  nTokens += mine.length;
  if (theirs.join() !== mine.join()) differ.push({name, theirs, ours: mine});
}
console.log(JSON.stringify({texts: texts.length, tokens: nTokens, differ}));
process.exitCode = differ.length === 0 && nTokens > 0 ? 0 : 1;
process.exit();
