#include "agent/prompt/prompt_texts.h"

#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "agent/prompt/markers.h"
#include "agent/prompt/python_literals.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "base/yaml.h"

namespace sable::agent {

namespace {

namespace fs = std::filesystem;

constexpr size_t kFileBytesMax = size_t{1} << 20;

// SHA-256 of the texts in DeepSeek's encoding_dsv4.py; the first two before their named fields are
// filled in, the next two are what must come out of the first.
constexpr std::string_view kToolsTemplate =
    "09b7269daaddbeaf11a3ed55c07b1846c35162b841d8b4301bbe0449879d1fd8";
constexpr std::string_view kResponseFormatTemplate =
    "012f31fcc1338bdfe25b132eaf56ab020ee75ab8e649f37b30b8e5f544fb17a5";
constexpr std::string_view kToolsHead =
    "c7c9042638154a237b5d1bd48be772374a35a4d24c5cacfd1ffbd92703da329c";
constexpr std::string_view kToolsTail =
    "690702850fe256512cb1ee67c4e436ecb3e735c71ebee77ca45ff357a75fb5a7";
constexpr std::string_view kEffortMax =
    "f7a24f3b3050d4a83781e9b755b316aae2ec1d9dc87562541d90bcb04d7350f7";

std::string replace_all(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

std::string without_fields(std::string text) {
  text = replace_all(std::move(text), "{dsml_token}", markers::kDsml);
  text = replace_all(std::move(text), "{thinking_start_token}", markers::kThinkBegin);
  return replace_all(std::move(text), "{thinking_end_token}", markers::kThinkEnd);
}

/// The text before and behind the one place where `field` stands.
Result<std::pair<std::string, std::string>> cut_at(std::string_view text, std::string_view field) {
  const size_t at = text.find(field);
  if (at == std::string_view::npos || text.find(field, at + 1) != std::string_view::npos) {
    return fail(ErrorCode::invalid_input, fmt::format("expected {} once in the text", field));
  }
  return std::pair(std::string(text.substr(0, at)), std::string(text.substr(at + field.size())));
}

}  // namespace

Result<PromptTexts> parse_prompt_texts(std::string_view yaml, std::string_view name) {
  SABLE_TRY(const auto tree, parse_yaml(yaml, name));
  const auto refuse = [&](const YamlValue& at, std::string_view why) {
    return fail(ErrorCode::invalid_input, fmt::format("{}:{}: {}", name, at.place(), why));
  };
  if (tree.kind != YamlValue::Kind::mapping) return refuse(tree, "expected a mapping with tools");
  PromptTexts texts{.source = std::string(name)};
  for (const auto& [key, value] : tree.entries) {
    const auto text = value.as_string();
    if (!text) return refuse(value, fmt::format("{}: expected text", escape_controls(key.scalar)));
    Result<void> taken;
    const auto cut = [&](std::string_view field, std::string& head,
                         std::string& tail) -> Result<void> {
      SABLE_TRY(auto parts, cut_at(*text, field));
      head = std::move(parts.first);
      tail = std::move(parts.second);
      return {};
    };
    if (key.scalar == "tools") {
      taken = cut("{tool_schemas}", texts.tools_head, texts.tools_tail);
    } else if (key.scalar == "response_format") {
      taken = cut("{schema}", texts.response_format_head, texts.response_format_tail);
    } else if (key.scalar == "effort_high") {
      texts.effort_high = *text;
    } else if (key.scalar == "effort_max") {
      texts.effort_max = *text;
    } else {
      return refuse(key, fmt::format("unknown key \"{}\"; known here: tools, response_format, "
                                     "effort_high, effort_max",
                                     escape_controls(key.scalar)));
    }
    if (!taken) return refuse(value, fmt::format("{}: {}", key.scalar, taken.error().message));
  }
  if (tree.find("tools") == nullptr) return refuse(tree, "tools is missing");
  return texts;
}

Result<PromptTexts> prompt_texts_from_official(std::string_view python, std::string_view name) {
  PromptTexts texts{.source = std::string(name)};
  bool has_tools = false;
  for (const auto& literal : python_string_literals(python)) {
    const std::string digest = to_hex(sha256(literal));
    if (digest == kToolsTemplate) {
      SABLE_TRY(auto parts, cut_at(without_fields(literal), "{tool_schemas}"));
      texts.tools_head = std::move(parts.first);
      texts.tools_tail = std::move(parts.second);
      has_tools = to_hex(sha256(texts.tools_head)) == kToolsHead &&
                  to_hex(sha256(texts.tools_tail)) == kToolsTail;
    } else if (digest == kResponseFormatTemplate) {
      SABLE_TRY(auto parts, cut_at(literal, "{schema}"));
      texts.response_format_head = std::move(parts.first);
      texts.response_format_tail = std::move(parts.second);
    } else if (digest == kEffortMax) {
      texts.effort_max = literal;
    }
  }
  if (!has_tools) {
    return fail(ErrorCode::not_found, fmt::format("{}: no tools text that is known", name));
  }
  return texts;
}

Result<PromptTexts> load_prompt_texts(const fs::path& weights, PromptTexts fallback) {
  std::error_code error;
  const bool is_folder = fs::is_directory(weights, error);
  const bool is_gguf = !is_folder && weights.extension() == ".gguf";
  const fs::path folder = is_folder ? weights : weights.parent_path();
  const fs::path own =
      is_gguf ? folder / (weights.stem().string() + ".prompt.yaml") : folder / "prompt.yaml";
  if (fs::exists(own, error)) {
    SABLE_TRY(const auto yaml, read_file(own, kFileBytesMax));
    return parse_prompt_texts(yaml, own.string());
  }
  const fs::path official = folder / "encoding" / "encoding_dsv4.py";
  if (is_gguf || !fs::exists(official, error)) {
    fallback.source += fmt::format(" (the model brings no {})", own.filename().string());
    return fallback;
  }
  SABLE_TRY(const auto python, read_file(official, kFileBytesMax));
  auto texts = prompt_texts_from_official(python, official.string());
  if (texts) return texts;
  fallback.source += fmt::format(" ({})", texts.error().message);
  return fallback;
}

}  // namespace sable::agent
