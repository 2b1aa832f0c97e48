#include "inference/tokenizer/pre_tokenizer_json.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "inference/tokenizer/pattern_dialect.h"
#include "inference/tokenizer/utf8_scan.h"

namespace sable::inference {

namespace {

using Steps = std::vector<PreTokenizerStep>;
using StepKind = PreTokenizerStep::Kind;

constexpr size_t kNestingMax = 8;

/// Contractions, words, numbers, the rest, white space: what ByteLevel cuts by when asked to
/// (openai/gpt-2, src/encoder.py).
constexpr std::string_view kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

tl::unexpected<Error> wrong(std::string_view path, std::string_view what) {
  return fail(ErrorCode::invalid_input, fmt::format("{}: {}", path, what));
}

Result<PreTokenizerStep> split_step(std::string_view expression, SplitBehaviour behaviour,
                                    std::string_view origin) {
  auto translated = pcre2_from_oniguruma(expression);
  if (!translated) return fail_in(origin, std::move(translated.error()));
  PreTokenizerStep step;
  step.pattern = std::move(*translated);
  step.behaviour = behaviour;
  step.origin = origin;
  return step;
}

Result<bool> flag_or(const Json& object, const char* key, bool fallback, const std::string& path) {
  const auto it = object.find(key);
  if (it == object.end()) return fallback;
  if (!it->is_boolean()) return wrong(fmt::format("{}.{}", path, key), "expected true or false");
  return it->get<bool>();
}

Result<SplitBehaviour> behaviour_from(const Json& object, const char* fallback,
                                      const std::string& path) {
  constexpr std::pair<std::string_view, SplitBehaviour> kNames[] = {
      {"Removed", SplitBehaviour::removed},
      {"Isolated", SplitBehaviour::isolated},
      {"MergedWithPrevious", SplitBehaviour::merged_with_previous},
      {"MergedWithNext", SplitBehaviour::merged_with_next},
      {"Contiguous", SplitBehaviour::contiguous},
  };
  const std::string name = string_or(object, "behavior", fallback);
  for (const auto& [known, behaviour] : kNames) {
    if (name == known) return behaviour;
  }
  return wrong(path + ".behavior",
               "expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

class Reader {
 public:
  Result<void> read(const Json& value, const std::string& path, size_t depth) {
    if (!value.is_object()) return wrong(path, "expected an object");
    if (depth > kNestingMax) return wrong(path, "nested too deep");
    const std::string type = string_or(value, "type", "");
    if (type == "Sequence") return sequence(value, path, depth);
    if (type == "Split") return split(value, path);
    if (type == "ByteLevel") return byte_level(value, path);
    if (type == "Digits") {
      // A digit is any character of category N (is_numeric in Rust).
      SABLE_TRY(const bool individual, flag_or(value, "individual_digits", false, path));
      return add(R"(\p{N})", individual ? SplitBehaviour::isolated : SplitBehaviour::contiguous,
                 path);
    }
    if (type == "Punctuation") {
      SABLE_TRY(const auto behaviour, behaviour_from(value, "Isolated", path));
      return add(R"([\p{P}!-/:-@\[-`{-~])", behaviour, path);
    }
    if (type == "WhitespaceSplit") return add(R"(\s)", SplitBehaviour::removed, path);
    if (type == "Whitespace") {
      // Runs of word characters, and runs of what is neither that nor white space. The library runs
      // this one in Rust's regex crate, whose \w is that of Unicode Technical Standard 18, annex C.
      constexpr std::string_view kWordSet = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D})";
      SABLE_TRY_VOID(
          add(fmt::format(R"([{0}]+|[^{0}\s]+)", kWordSet), SplitBehaviour::removed, path));
      steps.back().invert = true;
      return {};
    }
    if (type == "CharDelimiterSplit") {
      const std::string delimiter = string_or(value, "delimiter", "");
      if (delimiter.empty() || utf8_length(delimiter) != delimiter.size()) {
        return wrong(path + ".delimiter", "expected one character");
      }
      literal(delimiter, SplitBehaviour::removed, false, path);
      return {};
    }
    return fail(ErrorCode::unsupported,
                fmt::format("{}: the pre-tokenizer \"{}\" is not supported", path,
                            escape_controls(type.substr(0, utf8_prefix(type, 60)))));
  }

  Steps steps;

 private:
  Result<void> sequence(const Json& value, const std::string& path, size_t depth) {
    const auto list = value.find("pretokenizers");
    if (list == value.end() || !list->is_array()) {
      return wrong(path + ".pretokenizers", "expected a list");
    }
    for (size_t i = 0; i < list->size(); ++i) {
      SABLE_TRY_VOID(read((*list)[i], fmt::format("{}.pretokenizers[{}]", path, i), depth + 1));
    }
    return {};
  }

  Result<void> split(const Json& value, const std::string& path) {
    SABLE_TRY(const auto behaviour, behaviour_from(value, "", path));
    SABLE_TRY(const bool invert, flag_or(value, "invert", false, path));
    const auto pattern = value.find("pattern");
    if (pattern == value.end() || !pattern->is_object() || pattern->size() != 1 ||
        !pattern->begin()->is_string()) {
      return wrong(path + ".pattern", R"(expected {"String": ...} or {"Regex": ...})");
    }
    const std::string& text = pattern->begin()->get_ref<const std::string&>();
    if (pattern->begin().key() == "String") {
      if (text.empty()) return wrong(path + ".pattern.String", "it is empty");
      literal(text, behaviour, invert, path + ".pattern.String");
      return {};
    }
    if (pattern->begin().key() != "Regex")
      return wrong(path + ".pattern", "expected String or Regex");
    SABLE_TRY_VOID(add(text, behaviour, path + ".pattern.Regex"));
    steps.back().invert = invert;
    return {};
  }

  Result<void> byte_level(const Json& value, const std::string& path) {
    SABLE_TRY(const bool prefix_space, flag_or(value, "add_prefix_space", true, path));
    SABLE_TRY(const bool use_regex, flag_or(value, "use_regex", true, path));
    if (prefix_space) steps.push_back({.kind = StepKind::prefix_space, .origin = path});
    if (use_regex) {
      SABLE_TRY_VOID(add(kGpt2Expression, SplitBehaviour::isolated, path));
    }
    steps.push_back({.kind = StepKind::byte_alphabet, .origin = path});
    return {};
  }

  Result<void> add(std::string_view expression, SplitBehaviour behaviour, const std::string& path) {
    SABLE_TRY(auto step, split_step(expression, behaviour, path));
    steps.push_back(std::move(step));
    return {};
  }

  void literal(const std::string& text, SplitBehaviour behaviour, bool invert,
               const std::string& path) {
    steps.push_back({.kind = StepKind::split,
                     .literal = true,
                     .pattern = text,
                     .behaviour = behaviour,
                     .invert = invert,
                     .origin = path});
  }
};

}  // namespace

Result<Steps> steps_from_json(const Json& pre_tokenizer, std::string_view path) {
  Reader reader;
  SABLE_TRY_VOID(reader.read(pre_tokenizer, std::string(path), 0));
  for (const PreTokenizerStep& step : reader.steps) {
    if (step.kind == StepKind::byte_alphabet) return std::move(reader.steps);
  }
  return fail(
      ErrorCode::unsupported,
      fmt::format("{}: it has no ByteLevel, and only byte-level tokenizers are supported", path));
}

Result<Steps> steps_from_expressions(const std::vector<std::string>& expressions,
                                     std::string_view origin) {
  Steps steps;
  for (size_t i = 0; i < expressions.size(); ++i) {
    SABLE_TRY(auto step, split_step(expressions[i], SplitBehaviour::isolated,
                                    fmt::format("{}, expression {}", origin, i)));
    steps.push_back(std::move(step));
  }
  steps.push_back({.kind = StepKind::byte_alphabet, .origin = std::string(origin)});
  return steps;
}

}  // namespace sable::inference
