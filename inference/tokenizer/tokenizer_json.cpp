#include "inference/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "inference/tokenizer/byte_alphabet.h"
#include "inference/tokenizer/pre_tokenizer_json.h"

namespace sable::inference {

namespace {

constexpr JsonLimits kLimits = {.bytes_max = size_t{256} << 20, .depth_max = 32};

tl::unexpected<Error> wrong(std::string_view path, std::string_view what) {
  return fail(ErrorCode::invalid_input, fmt::format("{}: {}", path, what));
}

// Ids may leave gaps, but a few tokens cannot ask for memory for millions.
constexpr size_t kSparseness = 4, kIdsSmall = 65536;

/// For a setting that we know in one position only.
Result<void> expect_off(const Json& model, const char* key) {
  const auto it = model.find(key);
  if (it == model.end() || it->is_null() || (it->is_boolean() && !it->get<bool>()) ||
      (it->is_string() && it->get_ref<const std::string&>().empty()) ||
      (it->is_number() && it->get<double>() == 0.0)) {
    return {};
  }
  return fail(ErrorCode::unsupported,
              fmt::format("model.{}: {} is not supported", key, escape_controls(dump_json(*it))));
}

std::string shown(std::string_view text) {
  return escape_controls(text.substr(0, utf8_prefix(text, 60)));
}

class Reader {
 public:
  explicit Reader(const Json& root) : root_(root) {}

  Result<TokenizerDefinition> run() {
    const Json& model = member(root_, "model");
    if (!model.is_object()) return wrong("model", "expected an object");
    const size_t tokens = member(model, "vocab").size() + member(root_, "added_tokens").size();
    ids_end_ = std::min(kVocabularyMax, kSparseness * tokens + kIdsSmall);
    SABLE_TRY_VOID(added_tokens());
    SABLE_TRY_VOID(normalizer());
    SABLE_TRY(definition_.steps, steps_from_json(member(root_, "pre_tokenizer"), "pre_tokenizer"));
    SABLE_TRY_VOID(decoder(member(root_, "decoder"), "decoder"));
    SABLE_TRY_VOID(model_settings(model));
    SABLE_TRY_VOID(vocabulary(model));
    SABLE_TRY_VOID(merges(model));
    return std::move(definition_);
  }

 private:
  static const Json& member(const Json& object, const char* key) {
    static const Json absent;
    const auto it = object.find(key);
    return it == object.end() ? absent : *it;
  }

  bool is_id(const Json& value) const {
    return value.is_number_unsigned() && value.get<uint64_t>() < ids_end_;
  }
  std::string id_expected() const {
    return fmt::format("expected an id from 0 to {} (for as many tokens as the file has)",
                       ids_end_ - 1);
  }

  Result<void> added_tokens() {
    const Json& list = member(root_, "added_tokens");
    if (list.is_null()) return {};
    if (!list.is_array()) return wrong("added_tokens", "expected a list");
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string path = fmt::format("added_tokens[{}]", i);
      const Json& entry = list[i];
      if (!entry.is_object()) return wrong(path, "expected an object");
      AddedToken token;
      if (!is_id(member(entry, "id"))) return wrong(path + ".id", id_expected());
      token.id = static_cast<TokenId>(member(entry, "id").get<uint64_t>());
      token.content = string_or(entry, "content", "");
      if (token.content.empty())
        return wrong(path + ".content", "expected a text that is not empty");
      token.normalized = true;
      for (const auto& [key, flag] : {std::pair("special", &token.special),
                                      {"single_word", &token.single_word},
                                      {"lstrip", &token.lstrip},
                                      {"rstrip", &token.rstrip}}) {
        SABLE_TRY_VOID(read_flag(entry, key, path, *flag));
      }
      token.normalized = !token.special;  // where the file does not say
      SABLE_TRY_VOID(read_flag(entry, "normalized", path, token.normalized));
      definition_.added_tokens.push_back(std::move(token));
    }
    return {};
  }

  static Result<void> read_flag(const Json& object, const char* key, const std::string& path,
                                bool& flag) {
    const auto it = object.find(key);
    if (it == object.end()) return {};
    if (!it->is_boolean()) return wrong(fmt::format("{}.{}", path, key), "expected true or false");
    flag = it->get<bool>();
    return {};
  }

  Result<void> normalizer() const {
    return no_normalizer(member(root_, "normalizer"), "normalizer", 0);
  }

  static Result<void> no_normalizer(const Json& value, const std::string& path, int depth) {
    if (value.is_null()) return {};
    const std::string type = string_or(value, "type", "");
    const Json& inner = value.is_object() ? member(value, "normalizers") : value;
    if (type != "Sequence" || !inner.is_array() || depth > 8) {
      return fail(ErrorCode::unsupported,
                  fmt::format("{}: the normaliser \"{}\" is not supported", path, shown(type)));
    }
    for (size_t i = 0; i < inner.size(); ++i) {
      SABLE_TRY_VOID(
          no_normalizer(inner[i], fmt::format("{}.normalizers[{}]", path, i), depth + 1));
    }
    return {};
  }

  /// Decoding puts bytes together; ByteLevel says so, and Fuse adds nothing to it.
  Result<void> decoder(const Json& value, const std::string& path) const {
    const std::string type = string_or(value, "type", "");
    if (type == "ByteLevel") return {};
    if (type == "Sequence") {
      const Json& inner = member(value, "decoders");
      if (!inner.is_array()) return wrong(path + ".decoders", "expected a list");
      bool byte_level = false;
      for (size_t i = 0; i < inner.size(); ++i) {
        const std::string inner_type = string_or(inner[i], "type", "");
        byte_level = byte_level || inner_type == "ByteLevel";
        if (inner_type != "ByteLevel" && inner_type != "Fuse") {
          return fail(ErrorCode::unsupported,
                      fmt::format("{}.decoders[{}]: the decoder \"{}\" is not "
                                  "supported",
                                  path, i, shown(inner_type)));
        }
      }
      if (byte_level) return {};
    }
    return fail(ErrorCode::unsupported,
                fmt::format("{}: expected ByteLevel, found \"{}\"", path, shown(type)));
  }

  Result<void> model_settings(const Json& model) {
    const std::string type = string_or(model, "type", "");
    if (type != "BPE") {
      return fail(ErrorCode::unsupported,
                  fmt::format("model.type: only BPE is supported, found \"{}\"", shown(type)));
    }
    // unk_token and fuse_unk speak of what cannot be encoded; with a token for each byte there is
    // no such thing, and Tokenizer::create() insists on these.
    for (const char* key :
         {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
      SABLE_TRY_VOID(expect_off(model, key));
    }
    return read_flag(model, "ignore_merges", "model", definition_.ignore_merges);
  }

  Result<void> vocabulary(const Json& model) {
    const Json& vocab = member(model, "vocab");
    if (!vocab.is_object()) return wrong("model.vocab", "expected an object");
    std::unordered_map<std::string_view, TokenId> added;
    for (const AddedToken& token : definition_.added_tokens) added.emplace(token.content, token.id);
    ids_.reserve(vocab.size());
    for (const auto& item : vocab.items()) {
      const std::string& text = item.key();
      const Json& value = item.value();
      const auto path = [&] { return fmt::format("model.vocab[\"{}\"]", shown(text)); };
      if (!is_id(value)) return wrong(path(), id_expected());
      const auto id = value.get<uint64_t>();
      if (id >= definition_.vocabulary.size()) definition_.vocabulary.resize(id + 1);
      VocabularyEntry& entry = definition_.vocabulary[id];
      if (entry.kind != VocabularyEntry::Kind::absent) {
        return wrong(path(), fmt::format("another token has the id {} too", id));
      }
      if (text.empty()) return wrong(path(), "a token without text");
      // What is not written in the byte alphabet, and what is listed as an added token under the
      // same id with other bytes, stands for its text.
      auto bytes = from_byte_alphabet(text);
      const auto as_added = added.find(text);
      if (as_added != added.end() && static_cast<uint64_t>(as_added->second) != id) {
        return wrong(path(),
                     fmt::format("the id is {}, but {} in added_tokens", id, as_added->second));
      }
      if (!bytes || (as_added != added.end() && *bytes != text)) {
        entry = {VocabularyEntry::Kind::literal, text};
      } else {
        entry = {VocabularyEntry::Kind::pieces, std::move(*bytes)};
      }
      ids_.emplace(text, static_cast<TokenId>(id));
    }
    return {};
  }

  Result<void> merges(const Json& model) {
    const Json& list = member(model, "merges");
    if (!list.is_array()) return wrong("model.merges", "expected a list");
    definition_.merges.reserve(list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const auto path = [&] { return fmt::format("model.merges[{}]", i); };
      const Json& entry = list[i];
      std::string_view left, right;
      if (entry.is_string()) {
        const std::string_view text = entry.get_ref<const std::string&>();
        const size_t space = text.find(' ');
        if (space == text.npos || text.find(' ', space + 1) != text.npos) {
          return wrong(path(), "expected two tokens with one space between them");
        }
        left = text.substr(0, space);
        right = text.substr(space + 1);
      } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                 entry[1].is_string()) {
        left = entry[0].get_ref<const std::string&>();
        right = entry[1].get_ref<const std::string&>();
      } else {
        return wrong(path(), "expected a pair of tokens");
      }
      Merge merge;
      const std::string joined = std::string(left) + std::string(right);
      for (const auto& [text, id] : {std::pair(left, &merge.left),
                                     {right, &merge.right},
                                     {std::string_view(joined), &merge.result}}) {
        const auto it = ids_.find(text);
        if (it == ids_.end()) {
          return wrong(path(), fmt::format("\"{}\" is not in model.vocab", shown(text)));
        }
        *id = it->second;
      }
      definition_.merges.push_back(merge);
    }
    return {};
  }

  const Json& root_;
  size_t ids_end_ = 0;
  TokenizerDefinition definition_;
  std::unordered_map<std::string_view, TokenId> ids_;  // by text as written; views into root_
};

}  // namespace

Result<TokenizerDefinition> definition_from_tokenizer_json(std::string_view text) {
  SABLE_TRY(const Json root, parse_json(text, kLimits));
  if (!root.is_object()) return fail(ErrorCode::invalid_input, "expected a JSON object");
  return Reader(root).run();
}

}  // namespace sable::inference
