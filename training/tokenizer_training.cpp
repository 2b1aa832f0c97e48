#include "training/tokenizer_training.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <unordered_map>

#include <fmt/format.h>

#include "base/json.h"
#include "inference/tokenizer/byte_alphabet.h"
#include "inference/tokenizer/pre_tokenizer.h"
#include "inference/tokenizer/pre_tokenizer_json.h"

namespace sable::training {

namespace {

constexpr const char* kFirst[] = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
                                  "<｜▁pad▁｜>"};
constexpr const char* kLast[] = {"<｜User｜>",   "<｜Assistant｜>", "<think>",
                                 "</think>",     "｜DSML｜",        "<｜latest_reminder｜>",
                                 "<｜action｜>", "<｜query｜>",     "<｜authority｜>",
                                 "<｜domain｜>", "<｜title｜>",     "<｜read_url｜>"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (std::string_view(R"(\^$.|?*+()[]{}-/#&~)").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

/// A piece of the texts as its current tokens, and how often it stands there.
struct Piece {
  std::vector<uint32_t> tokens;
  uint64_t count = 0;
};

struct Merger {
  std::vector<Piece> pieces;
  std::vector<std::string> bytes;  // by token
  std::vector<std::pair<uint32_t, uint32_t>> merges;

  /// The pair that stands most often; ties go to the text that is first in order.
  bool best(std::pair<uint32_t, uint32_t>& pair) const {
    std::unordered_map<uint64_t, uint64_t> counts;
    for (const Piece& piece : pieces) {
      for (size_t i = 0; i + 1 < piece.tokens.size(); ++i) {
        counts[uint64_t{piece.tokens[i]} << 32 | piece.tokens[i + 1]] += piece.count;
      }
    }
    uint64_t most = 1;
    bool found = false;
    for (const auto& [key, count] : counts) {
      const std::pair<uint32_t, uint32_t> here{static_cast<uint32_t>(key >> 32),
                                               static_cast<uint32_t>(key)};
      const bool better = count > most || (count == most && found &&
                                           std::pair(bytes[here.first], bytes[here.second]) <
                                               std::pair(bytes[pair.first], bytes[pair.second]));
      if (!better) continue;
      most = count;
      pair = here;
      found = true;
    }
    return found;
  }

  void apply(const std::pair<uint32_t, uint32_t>& pair) {
    const auto result = static_cast<uint32_t>(bytes.size());
    bytes.push_back(bytes[pair.first] + bytes[pair.second]);
    merges.push_back(pair);
    for (Piece& piece : pieces) {
      auto& t = piece.tokens;
      size_t to = 0;
      for (size_t i = 0; i < t.size(); ++i) {
        const bool joins = i + 1 < t.size() && t[i] == pair.first && t[i + 1] == pair.second;
        t[to++] = joins ? result : t[i];
        i += joins ? 1 : 0;
      }
      t.resize(to);
    }
  }
};

Json pre_tokenizer_json(const std::vector<std::string>& phrases) {
  Json split{{"type", "Split"},
             {"pattern", {{"Regex", pre_tokenizer_expression(phrases)}}},
             {"behavior", "Isolated"},
             {"invert", false}};
  Json level{{"type", "ByteLevel"},
             {"add_prefix_space", false},
             {"trim_offsets", true},
             {"use_regex", false}};
  return Json{{"type", "Sequence"},
              {"pretokenizers", Json::array({std::move(split), std::move(level)})}};
}

Result<std::map<std::string, uint64_t>> count_pieces(const std::vector<std::string>& texts,
                                                     const Json& pre_tokenizer) {
  SABLE_TRY(const auto steps, inference::steps_from_json(pre_tokenizer, "pre_tokenizer"));
  SABLE_TRY(const auto cutter, inference::PreTokenizer::create(steps));
  inference::PreTokenizer::Scratch scratch;
  std::map<std::string, uint64_t> counts;
  for (const std::string& text : texts) {
    SABLE_TRY_VOID(
        cutter.split(text, scratch, [&](std::string_view piece) { ++counts[std::string(piece)]; }));
  }
  return counts;
}

Json added_token(size_t id, const char* text, bool special) {
  return Json{{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
              {"rstrip", false}, {"normalized", false}, {"special", special}};
}

}  // namespace

std::string pre_tokenizer_expression(const std::vector<std::string>& phrases) {
  std::vector<std::string> longest_first = phrases;
  std::sort(longest_first.begin(), longest_first.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  std::string expression;
  for (const std::string& phrase : longest_first) expression += escaped(phrase) + "|";
  // What stands before the token inside a DSML tag; a word; a digit; a line end; blanks; pairs.
  return expression +
         R"(\n*<\/?\z|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]|\n[ \t]*| +|\t+|::|->|==|!=|<=|>=|\+=|-=|\(\)|\/\/|"""|[^\s\w]|[\s\S])";
}

Result<std::string> train_tokenizer(const std::vector<std::string>& texts,
                                    const TokenizerPlan& plan) {
  const Json pre_tokenizer = pre_tokenizer_json(plan.phrases);
  SABLE_TRY(const auto counts, count_pieces(texts, pre_tokenizer));
  Merger merger;
  for (size_t byte = 0; byte < 256; ++byte) {
    merger.bytes.push_back(std::string(1, static_cast<char>(byte)));
  }
  std::vector<std::string> phrases = plan.phrases;
  std::sort(phrases.begin(), phrases.end());
  phrases.erase(std::unique(phrases.begin(), phrases.end()), phrases.end());
  std::erase_if(phrases, [](const std::string& p) { return p.size() < 2; });
  for (const auto& [text, count] : counts) {
    if (std::binary_search(phrases.begin(), phrases.end(), text)) continue;
    Piece piece{{}, count};
    for (const char c : text) piece.tokens.push_back(static_cast<unsigned char>(c));
    merger.pieces.push_back(std::move(piece));
  }
  const size_t n_fixed = std::size(kFirst) + 256 + phrases.size() + std::size(kLast);
  if (n_fixed >= plan.vocab_size) {
    return fail(ErrorCode::invalid_input, "the vocabulary is too small for its fixed tokens");
  }
  while (merger.merges.size() < plan.vocab_size - n_fixed) {
    std::pair<uint32_t, uint32_t> pair;
    if (!merger.best(pair)) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("the texts give only {} merges", merger.merges.size()));
    }
    merger.apply(pair);
  }

  Json added = Json::array(), vocab = Json::object(), merges = Json::array();
  size_t id = 0;
  for (const char* text : kFirst) added.push_back(added_token(id++, text, true));
  const auto word = [&](const std::string& bytes) { return inference::to_byte_alphabet(bytes); };
  for (size_t i = 0; i < 256; ++i) vocab[word(merger.bytes[i])] = id++;
  for (const std::string& phrase : phrases) vocab[word(phrase)] = id++;
  for (size_t i = 256; i < merger.bytes.size(); ++i) {
    // Two merges may spell the same text; the loader wants each text once.
    if (vocab.contains(word(merger.bytes[i]))) continue;
    vocab[word(merger.bytes[i])] = id++;
  }
  for (const auto& [left, right] : merger.merges) {
    merges.push_back(word(merger.bytes[left]) + " " + word(merger.bytes[right]));
  }
  id = plan.vocab_size - std::size(kLast);
  for (const char* text : kLast) {
    added.push_back(added_token(id++, text, std::string_view(text) == "<｜latest_reminder｜>"));
  }
  const Json level{{"type", "ByteLevel"},
                   {"add_prefix_space", true},
                   {"trim_offsets", true},
                   {"use_regex", true}};
  const Json json{{"version", "1.0"},
                  {"truncation", nullptr},
                  {"padding", nullptr},
                  {"added_tokens", std::move(added)},
                  {"normalizer", nullptr},
                  {"pre_tokenizer", pre_tokenizer},
                  {"post_processor", nullptr},
                  {"decoder", level},
                  {"model",
                   {{"type", "BPE"},
                    {"dropout", nullptr},
                    {"unk_token", nullptr},
                    {"continuing_subword_prefix", nullptr},
                    {"end_of_word_suffix", nullptr},
                    {"fuse_unk", false},
                    {"byte_fallback", false},
                    {"ignore_merges", true},
                    {"vocab", std::move(vocab)},
                    {"merges", std::move(merges)}}}};
  return json.dump(1) + "\n";
}

}  // namespace sable::training
