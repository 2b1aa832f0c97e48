#include <algorithm>
#include <functional>
#include <thread>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "inference/tokenizer/detokenizer.h"
#include "inference/tokenizer/gguf_vocabulary.h"
#include "tests/unit/inference/tokenizer/golden_tokens.h"

using namespace sable;
using namespace sable::inference;
using namespace sable::test;

namespace {

Json small_json(const std::string& name) {
  const auto text = read_file(golden_folder() / "small" / (name + ".json"));
  REQUIRE(text);
  auto json = parse_json(*text);
  REQUIRE(json);
  return std::move(*json);
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text,
                            AddedTokens mode = AddedTokens::recognise) {
  auto ids = tokenizer.encode(text, mode);
  REQUIRE(ids);
  return std::move(*ids);
}

std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  auto bytes = tokenizer.decode(ids);
  REQUIRE(bytes);
  return std::move(*bytes);
}

/// What a tokenizer.json becomes after an edit; the message that it is refused with.
std::string refusal(const std::function<void(Json&)>& edit) {
  Json json = small_json("split_isolated");
  edit(json);
  const auto tokenizer = Tokenizer::from_json(dump_json(json));
  REQUIRE_FALSE(tokenizer);
  return tokenizer.error().message;
}

/// The vocabulary of a tokenizer.json as a GGUF file would hold it.
GgufVocabulary as_gguf(const Json& json, std::string pre) {
  GgufVocabulary gguf{.model = "gpt2", .pre = std::move(pre)};
  const Json& vocab = json["model"]["vocab"];
  const size_t size = vocab.size() + json["added_tokens"].size();
  gguf.tokens.resize(size);
  gguf.token_type.assign(size, 1);
  for (const auto& [text, id] : vocab.items()) gguf.tokens[id.get<size_t>()] = text;
  for (const Json& added : json["added_tokens"]) {
    const auto id = added["id"].get<size_t>();
    gguf.tokens[id] = added["content"];
    gguf.token_type[id] = added["special"] ? 3 : 4;
  }
  for (const Json& merge : json["model"]["merges"]) gguf.merges.push_back(merge);
  return gguf;
}

/// Pieces of text that tokens, characters and white space are made of, and bytes that are none.
rc::Gen<std::string> nasty_text() {
  const auto fragment = rc::gen::oneOf(
      rc::gen::element<std::string>("<｜User｜>", "<｜end▁of▁sentence｜>", "<s>", "<s>>", "word",
                                    "  ", "<left>", "<both>", "late", "\r\n", "你好", "é",
                                    "e\u0301", "👩🏽‍💻", "\xF0\x9F", "\xC3",
                                    "\xED\xA0\x80", std::string("\0", 1), "123", "\u00A0", "Ġ"),
      rc::gen::container<std::string>(rc::gen::arbitrary<char>()));
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(fragment),
                      [](const std::vector<std::string>& parts) {
                        std::string text;
                        for (const std::string& part : parts) text += part;
                        return text;
                      });
}

}  // namespace

TEST_CASE("any bytes survive encoding and decoding") {
  // Those whose steps lose nothing; added_tokens swallows white space, others remove text or add
  // spaces.
  for (const std::string name :
       {"deepseek_v3_reduced", "split_isolated", "split_mergedwithnext", "split_empty_matches",
        "dialect_words", "byte_level_first", "ignore_merges", "digits_runs"}) {
    const Tokenizer tokenizer = small_tokenizer(name);
    rc::prop(name, [&] {
      const std::string text = *nasty_text();
      for (const auto mode : {AddedTokens::recognise, AddedTokens::as_text}) {
        const auto ids = tokenizer.encode(text, mode);
        RC_ASSERT(ids.has_value());
        const auto bytes = tokenizer.decode(*ids);
        RC_ASSERT(bytes.has_value());
        RC_ASSERT(*bytes == text);
      }
    });
  }
}

TEST_CASE("text that is only text never yields an added token") {
  for (const std::string name : {"deepseek_v3_reduced", "added_tokens", "ignore_merges"}) {
    const Tokenizer tokenizer = small_tokenizer(name);
    rc::prop(name, [&] {
      const std::string text = *nasty_text();
      const auto ids = tokenizer.encode(text, AddedTokens::as_text);
      RC_ASSERT(ids.has_value());
      RC_ASSERT(std::none_of(ids->begin(), ids->end(),
                             [&](TokenId id) { return tokenizer.is_added(id); }));
      RC_ASSERT(*tokenizer.decode(*ids) == text);
    });
  }
}

TEST_CASE("an added token that merges could form is taken apart in text that is only text") {
  const Tokenizer tokenizer = small_tokenizer("added_tokens");
  const auto word = tokenizer.id_of("word");
  REQUIRE(word);
  REQUIRE(tokenizer.is_added(*word));
  CHECK(encode(tokenizer, "word") == std::vector{*word});
  // Inside another word the reference library merges its way to the same id.
  const auto inside = encode(tokenizer, "sword");
  CHECK(std::count(inside.begin(), inside.end(), *word) == 1);
  for (const std::string_view text : {"word", "sword", "a word in words"}) {
    const auto ids = encode(tokenizer, text, AddedTokens::as_text);
    CHECK(std::count(ids.begin(), ids.end(), *word) == 0);
    CHECK(decode(tokenizer, ids) == text);
  }
}

TEST_CASE("ill-formed bytes are pieces of their own between texts of their own") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  auto expected = encode(tokenizer, "hello");
  expected.push_back(*tokenizer.id_of("\xFF"));
  expected.push_back(*tokenizer.id_of("\xC3"));  // wants a byte from 0x80 on; a parenthesis is none
  const auto tail = encode(tokenizer, "( world");
  expected.insert(expected.end(), tail.begin(), tail.end());
  CHECK(encode(tokenizer, "hello\xFF\xC3( world") == expected);
}

TEST_CASE("the streaming detokenizer gives whole characters whose sum is the decoded text") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  rc::prop("any ids", [&] {
    const auto ids = *rc::gen::container<std::vector<TokenId>>(
        rc::gen::inRange<TokenId>(0, static_cast<TokenId>(tokenizer.vocab_size())));
    Detokenizer stream(tokenizer);
    std::string text;
    for (const TokenId id : ids) {
      const auto part = stream.push(id);
      RC_ASSERT(part.has_value());
      RC_ASSERT(is_utf8(*part));
      text += *part;
    }
    text += stream.finish();
    RC_ASSERT(text == to_utf8(*tokenizer.decode(ids)));
  });
  rc::prop("encoded text", [&] {
    const std::string text = to_utf8(*nasty_text());
    Detokenizer stream(tokenizer);
    std::string joined;
    const auto ids = tokenizer.encode(text, AddedTokens::recognise);
    RC_ASSERT(ids.has_value());
    for (const TokenId id : *ids) joined += *stream.push(id);
    RC_ASSERT(joined == text);
    RC_ASSERT(stream.finish().empty());
  });
}

TEST_CASE("half a character is held back until it is whole or the stream ends") {
  const Tokenizer tokenizer = small_tokenizer("split_isolated");  // bytes are ids 0 to 255 there
  Detokenizer stream(tokenizer);
  CHECK(*stream.push(0xF0) == "");
  CHECK(*stream.push(0x9F) == "");
  CHECK(*stream.push(0x91) == "");
  CHECK(*stream.push(0x8D) == "👍");
  CHECK(*stream.push('a') == "a");
  CHECK(*stream.push(0xE4) == "");
  CHECK(*stream.push('b') == "\uFFFDb");
  CHECK(*stream.push(0xBD) == "\uFFFD");
  CHECK(*stream.push(0xE4) == "");
  CHECK(*stream.push(0xBD) == "");
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish() == "");
  CHECK_FALSE(stream.push(1 << 20));
}

TEST_CASE("special tokens can be left out of decoded text, other added tokens stay") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  const auto ids = encode(tokenizer, "<｜begin▁of▁sentence｜>a<｜User｜>b<|EOT|>");
  CHECK(*tokenizer.decode(ids, SpecialTokens::skip) == "a<｜User｜>b");
  Detokenizer stream(tokenizer, SpecialTokens::skip);
  std::string text;
  for (const TokenId id : ids) text += *stream.push(id);
  CHECK(text == "a<｜User｜>b");
}

TEST_CASE("an id without a token is an error that names its place") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  const auto size = static_cast<TokenId>(tokenizer.vocab_size());
  for (const TokenId id : {TokenId{-1}, size, TokenId{INT32_MAX}, TokenId{INT32_MIN}}) {
    CHECK_FALSE(tokenizer.has(id));
    CHECK_FALSE(tokenizer.is_special(id));
    CHECK_FALSE(tokenizer.token_bytes(id));
    const auto decoded = tokenizer.decode(std::vector{TokenId{1}, id});
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().message ==
          "no token has the id " + std::to_string(id) + " (place 1 of 2)");
  }
}

TEST_CASE("ids and bytes of tokens can be asked for") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  const auto user = tokenizer.id_of("<｜User｜>");
  REQUIRE(user);
  CHECK(tokenizer.is_added(*user));
  CHECK_FALSE(tokenizer.is_special(*user));
  CHECK(*tokenizer.token_bytes(*user) == "<｜User｜>");
  const auto space_the = tokenizer.id_of(" the");
  REQUIRE(space_the);
  CHECK_FALSE(tokenizer.is_added(*space_the));
  CHECK(*tokenizer.token_bytes(*space_the) == " the");
  CHECK_FALSE(tokenizer.id_of("no such token"));
  CHECK_FALSE(tokenizer.id_of(""));
}

TEST_CASE("begin and end come from the caller and must exist") {
  const std::string text = dump_json(small_json("split_isolated"));
  const auto tokenizer = Tokenizer::from_json(text, 0, 1);
  REQUIRE(tokenizer);
  CHECK(tokenizer->bos() == 0);
  CHECK(tokenizer->eos() == 1);
  CHECK(Tokenizer::from_json(text, 0, 1 << 20).error().message ==
        "the end token's id 1048576 is not in the vocabulary");
}

TEST_CASE("equal tokenizers have equal fingerprints and every change shows") {
  const Json original = small_json("added_tokens");
  const auto print = [](const Json& json) {
    const auto tokenizer = Tokenizer::from_json(dump_json(json));
    INFO((tokenizer ? "" : tokenizer.error().message));
    REQUIRE(tokenizer);
    return to_hex(tokenizer->fingerprint());
  };
  CHECK(print(original) == print(Json::parse(original.dump(2))));
  std::vector<std::string> prints = {print(original)};
  const auto changed = [&](const std::function<void(Json&)>& edit) {
    Json json = original;
    edit(json);
    prints.push_back(print(json));
  };
  changed([](Json& j) { j["added_tokens"][0]["special"] = false; });
  changed([](Json& j) { j["added_tokens"][2]["lstrip"] = false; });
  changed([](Json& j) { j["added_tokens"][0]["content"] = "<S>"; });
  changed([](Json& j) { std::swap(j["model"]["merges"][5], j["model"]["merges"][6]); });
  changed([](Json& j) { j["model"]["merges"].erase(j["model"]["merges"].size() - 1); });
  changed([](Json& j) { j["model"]["ignore_merges"] = true; });
  changed([](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; });
  changed([](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; });
  changed([](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\s"; });
  changed([](Json& j) { std::swap(j["model"]["vocab"]["a"], j["model"]["vocab"]["b"]); });
  std::sort(prints.begin(), prints.end());
  CHECK(std::unique(prints.begin(), prints.end()) == prints.end());
}

TEST_CASE("what is wrong with a tokenizer.json is said with its JSON path") {
  using Edit = std::function<void(Json&)>;
  const std::vector<std::pair<Edit, std::string>> cases = {
      {[](Json& j) { j = Json::array(); }, "expected a JSON object"},
      {[](Json& j) { j.erase("model"); }, "model: expected an object"},
      {[](Json& j) { j["model"]["type"] = "Unigram"; },
       "model.type: only BPE is supported, found \"Unigram\""},
      {[](Json& j) { j["model"]["dropout"] = 0.1; }, "model.dropout: 0.1 is not supported"},
      {[](Json& j) { j["model"]["byte_fallback"] = true; },
       "model.byte_fallback: true is not supported"},
      {[](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; },
       "model.end_of_word_suffix: \"</w>\" is not supported"},
      {[](Json& j) { j["model"]["ignore_merges"] = 1; },
       "model.ignore_merges: expected true or false"},
      {[](Json& j) { j["model"]["vocab"] = 3; }, "model.vocab: expected an object"},
      {[](Json& j) { j["model"]["vocab"]["q"] = "x"; },
       "model.vocab[\"q\"]: expected an id from 0 to 67759 (for as many tokens as the file has)"},
      {[](Json& j) { j["model"]["vocab"]["q"] = -1; },
       "model.vocab[\"q\"]: expected an id from 0 to 67759 (for as many tokens as the file has)"},
      {[](Json& j) { j["model"]["vocab"]["q"] = 5; },
       "model.vocab[\"q\"]: another token has the id 5 too"},
      {[](Json& j) { j["model"]["vocab"]["x\x1b[2J"] = 0; },
       "model.vocab[\"x\\x1b[2J\"]: another token has the id 0 too"},
      {[](Json& j) { j["model"]["vocab"].erase("q"); },
       "the vocabulary has no token for the bytes 71, so that it could not encode every text"},
      {[](Json& j) { j["model"]["merges"] = {}; }, "model.merges: expected a list"},
      {[](Json& j) { j["model"]["merges"][3] = "ab"; },
       "model.merges[3]: expected two tokens with one space between them"},
      {[](Json& j) { j["model"]["merges"][3] = "a b c"; },
       "model.merges[3]: expected two tokens with one space between them"},
      {[](Json& j) { j["model"]["merges"][3] = Json::array({"a"}); },
       "model.merges[3]: expected a pair of tokens"},
      {[](Json& j) { j["model"]["merges"][3] = "zz zz"; },
       "model.merges[3]: \"zz\" is not in model.vocab"},
      {[](Json& j) { j["model"]["merges"][3] = "z q"; },
       "model.merges[3]: \"zq\" is not in model.vocab"},
      {[](Json& j) {
         j["normalizer"] = {{"type", "NFC"}};
       },
       "normalizer: the normaliser \"NFC\" is not supported"},
      {[](Json& j) {
         j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
       },
       "normalizer.normalizers[0]: the normaliser \"NFC\" is not supported"},
      {[](Json& j) { j["decoder"] = nullptr; }, "decoder: expected ByteLevel, found \"\""},
      {[](Json& j) { j["decoder"]["type"] = "Metaspace"; },
       "decoder: expected ByteLevel, found \"Metaspace\""},
      {[](Json& j) {
         j["decoder"] = {{"type", "Sequence"}, {"decoders", {{{"type", "Strip"}}}}};
       },
       "decoder.decoders[0]: the decoder \"Strip\" is not supported"},
      {[](Json& j) { j["added_tokens"] = 1; }, "added_tokens: expected a list"},
      {[](Json& j) { j["added_tokens"] = {1}; }, "added_tokens[0]: expected an object"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 600}}};
       },
       "added_tokens[0].content: expected a text that is not empty"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 6000000}, {"content", "x"}}};
       },
       "added_tokens[0].id: expected an id from 0 to 67763 (for as many tokens as the file has)"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 600}, {"content", "<x>"}, {"special", 1}}};
       },
       "added_tokens[0].special: expected true or false"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 600}, {"content", "<x>"}}, {{"id", 600}, {"content", "<y>"}}};
       },
       "added token 600: listed twice"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 600}, {"content", "<x>"}}, {{"id", 601}, {"content", "<x>"}}};
       },
       "added token 601: another added token has the same content"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 65}, {"content", "<x>"}}};
       },
       "added token 65: the vocabulary has another token at that id"},
      {[](Json& j) {
         j["added_tokens"] = {{{"id", 65}, {"content", "A"}}};
       },
       "added token 65: it is the only token of a byte, and text could not be told from it"},
      {[](Json& j) { j["pre_tokenizer"] = nullptr; }, "pre_tokenizer: expected an object"},
      {[](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["type"] = "Metaspace"; },
       "pre_tokenizer.pretokenizers[0]: the pre-tokenizer \"Metaspace\" is not supported"},
      {[](Json& j) { j["pre_tokenizer"]["pretokenizers"].erase(1); },
       "pre_tokenizer: it has no ByteLevel, and only byte-level tokenizers are supported"},
      {[](Json& j) {
         j["pre_tokenizer"]["pretokenizers"].push_back(j["pre_tokenizer"]["pretokenizers"][1]);
       },
       "pre_tokenizer.pretokenizers[2]: a second ByteLevel would rewrite the first one's letters"},
      {[](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Merged"; },
       "pre_tokenizer.pretokenizers[0].behavior: expected Removed, Isolated, MergedWithPrevious, "
       "MergedWithNext or Contiguous"},
      {[](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"] = "x"; },
       "pre_tokenizer.pretokenizers[0].pattern: expected {\"String\": ...} or {\"Regex\": ...}"},
      {[](Json& j) {
         j["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(a"}};
       },
       "pre_tokenizer.pretokenizers[0].pattern.Regex: missing closing parenthesis at byte 2 of the "
       "expression"},
      {[](Json& j) {
         j["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "[a&&b]"}};
       },
       "pre_tokenizer.pretokenizers[0].pattern.Regex: an intersection of character classes at byte "
       "2 of the "
       "expression"},
  };
  for (const auto& [edit, message] : cases) CHECK(refusal(edit) == message);
  CHECK(Tokenizer::from_json("{").error().message == "invalid JSON at byte 2");
}

TEST_CASE("a pattern that backtracks without bound is an error, and soon") {
  Json json = small_json("split_isolated");
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(a+)+[bc]"}};
  const auto tokenizer = Tokenizer::from_json(dump_json(json));
  REQUIRE(tokenizer);
  CHECK(encode(*tokenizer, "aaab").size() > 0);
  const auto ids = tokenizer->encode(std::string(64, 'a'), AddedTokens::recognise);
  REQUIRE_FALSE(ids);
  CHECK(ids.error().code == ErrorCode::exhausted);
  CHECK(ids.error().message.starts_with(
      "pre_tokenizer.pretokenizers[0].pattern.Regex: the pattern gave up"));
}

TEST_CASE("a pattern may need more stack than one thread has") {
  Json json = small_json("split_isolated");
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(?:a|b)+"}};
  const auto tokenizer = Tokenizer::from_json(dump_json(json));
  REQUIRE(tokenizer);
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += i % 3 == 0 ? 'a' : 'b';
  CHECK(decode(*tokenizer, encode(*tokenizer, text)) == text);
}

TEST_CASE("GGUF metadata gives the ids that the tokenizer.json gives") {
  const Json json = small_json("deepseek_v3_reduced");
  const Tokenizer from_json = small_tokenizer("deepseek_v3_reduced");
  for (const std::string pre : {"joyai-llm", "deepseek-v3"}) {
    const auto from_gguf = tokenizer_from_gguf(as_gguf(json, pre));
    REQUIRE(from_gguf);
    CHECK(from_gguf->vocab_size() == from_json.vocab_size());
    for (const CorpusText& text : corpus()) {
      for (const auto mode : {AddedTokens::recognise, AddedTokens::as_text}) {
        CHECK(encode(*from_gguf, text.text, mode) == encode(from_json, text.text, mode));
      }
    }
    CHECK(from_gguf->is_special(*from_gguf->id_of("<|EOT|>")));
    CHECK_FALSE(from_gguf->is_special(*from_gguf->id_of("<｜User｜>")));
  }
  // The names of GPT-2's cutting, as a tokenizer.json spells it.
  const auto gpt_2 = tokenizer_from_gguf(as_gguf(small_json("byte_level_regex"), "gpt-2"));
  REQUIRE(gpt_2);
  for (const auto& [text, ids] :
       golden_tokens(golden_folder() / "small/byte_level_regex.golden.json")) {
    CHECK(encode(*gpt_2, text.text) == ids);
  }
}

TEST_CASE("every pre-tokenizer name of the table works and others are refused by name") {
  const Json json = small_json("split_isolated");
  for (const GgufPreTokenizer& known : gguf_pre_tokenizers()) {
    const auto tokenizer = tokenizer_from_gguf(as_gguf(json, std::string(known.name)));
    INFO(known.name);
    REQUIRE(tokenizer);
    for (const CorpusText& text : corpus()) {
      CHECK(decode(*tokenizer, encode(*tokenizer, text.text)) == text.text);
    }
  }
  CHECK(tokenizer_from_gguf(as_gguf(json, "tekken")).error().message ==
        "tokenizer.ggml.pre: the pre-tokenizer \"tekken\" is not known");
}

TEST_CASE("what is wrong with GGUF metadata is said with its key") {
  using Edit = std::function<void(GgufVocabulary&)>;
  const std::vector<std::pair<Edit, std::string>> cases = {
      {[](GgufVocabulary& v) { v.model = "llama"; },
       "tokenizer.ggml.model: only \"gpt2\" is supported, found \"llama\""},
      {[](GgufVocabulary& v) { v.tokens.clear(); },
       "tokenizer.ggml.tokens: 0 tokens; 1 to 4194304 are possible"},
      {[](GgufVocabulary& v) { v.token_type.pop_back(); },
       "tokenizer.ggml.token_type: 555 types for 556 tokens"},
      {[](GgufVocabulary& v) { v.token_type[3] = 9; },
       "tokenizer.ggml.token_type[3]: 9 is no token type"},
      {[](GgufVocabulary& v) { v.token_type[3] = 6; },
       "tokenizer.ggml.token_type[3]: byte tokens belong to other models"},
      {[](GgufVocabulary& v) { v.tokens[3] = ""; },
       "tokenizer.ggml.tokens[3]: a token without text"},
      {[](GgufVocabulary& v) { v.merges[2] = "ab"; },
       "tokenizer.ggml.merges[2]: expected two tokens with one space between them"},
      {[](GgufVocabulary& v) { v.merges[2] = "a \xC4\x80q"; },
       "tokenizer.ggml.merges[2]: \"\u0100q\" is no token"},
      {[](GgufVocabulary& v) { v.eos_token_id = 99999; },
       "tokenizer.ggml.eos_token_id: 99999 is no token"},
      {[](GgufVocabulary& v) {
         v.merges.clear();
         v.tokens[300] = v.tokens[301];
       },
       "tokens 300 and 301 have the same bytes"},
  };
  for (const auto& [edit, message] : cases) {
    GgufVocabulary vocabulary = as_gguf(small_json("split_isolated"), "gpt-2");
    edit(vocabulary);
    const auto tokenizer = tokenizer_from_gguf(vocabulary);
    REQUIRE_FALSE(tokenizer);
    CHECK(tokenizer.error().message == message);
  }
}

TEST_CASE("one tokenizer serves several threads") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  const auto golden = golden_tokens(golden_folder() / "small/deepseek_v3_reduced.golden.json");
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (int& count : equal) {
    threads.emplace_back([&, copy = tokenizer] {
      for (const auto& [text, ids] : golden) {
        const auto encoded = copy.encode(text.text, AddedTokens::recognise);
        count += encoded && *encoded == ids;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : equal) CHECK(count == static_cast<int>(golden.size()));
}

TEST_CASE("ten megabytes without a space are encoded", "[slow]") {
  const Tokenizer tokenizer = small_tokenizer("deepseek_v3_reduced");
  const size_t size = size_t{10} << 20;
  std::string letters(size, ' ');
  uint32_t state = 1;
  for (char& c : letters)
    c = static_cast<char>('a' + ((state = state * 1664525 + 1013904223) >> 24) % 26);
  for (const std::string& text :
       {letters, std::string(size, 'a'), std::string(size, ' '), std::string(size, '\n'),
        std::string(size, '!'), std::string(size, '\xFF')}) {
    CHECK(decode(tokenizer, encode(tokenizer, text)) == text);
  }
}
