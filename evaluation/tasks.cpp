#include "evaluation/tasks.h"

#include <cctype>

namespace sable::evaluation {

std::span<const TaskKind> task_kinds() {
  static constexpr TaskKind kKinds[] = {
      {"find", find_definition, 0.14},  {"find", find_callers, 0.07},
      {"rename", rename_symbol, 0.13},  {"set", set_constant, 0.11},
      {"set", replace_text, 0.05},      {"set", set_default, 0.04},
      {"add", add_entry, 0.06},         {"add", add_import, 0.04},
      {"add", add_constant, 0.04},      {"add", add_line, 0.03},
      {"add", add_parameter, 0.03},     {"fix", fix_failing_test, 0.15},
      {"report", list_todos, 0.04},     {"report", count_matches, 0.03},
      {"report", summarise_file, 0.03}, {"run", run_command, 0.05},
      {"refuse", refuse, 0.08}};
  return kKinds;
}

std::string request(Stage& stage, std::string_view pattern,
                    const std::vector<std::pair<std::string_view, std::string>>& values) {
  Random& random = stage.random();
  std::string text = expand(pattern, stage.wordings(), random);
  const bool begins_with_name = text.starts_with("$");
  if (random.chance(0.12) && !begins_with_name) {
    static constexpr const char* kOpenings[] = {"Please ", "Hi! ", "Hello, ",  "Hey, ",
                                                "Now ",    "OK, ", "Please, ", "And now: "};
    std::string opening = random.pick(kOpenings);
    if (opening != "Hi! ") text[0] = static_cast<char>(std::tolower(text[0]));
    text = opening + text;
  } else if (random.chance(0.12) && !begins_with_name) {
    text[0] = static_cast<char>(std::tolower(text[0]));
  }
  if (random.chance(0.15) && (text.ends_with('.') || text.ends_with('?'))) text.pop_back();
  return fill(std::move(text), values);
}

namespace {

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// The next whole-word place of `name` at or behind `from`.
size_t find_word(const std::string& text, const std::string& name, size_t from) {
  for (size_t at = from; (at = text.find(name, at)) != std::string::npos; ++at) {
    const bool begins = at == 0 || !is_word_character(text[at - 1]);
    const size_t end = at + name.size();
    if (begins && (end == text.size() || !is_word_character(text[end]))) return at;
  }
  return std::string::npos;
}

}  // namespace

bool has_word(const std::string& text, const std::string& name) {
  return find_word(text, name, 0) != std::string::npos;
}

std::string with_word_replaced(const std::string& text, const std::string& name,
                               const std::string& replacement) {
  std::string out = text;
  for (size_t at = 0; (at = find_word(out, name, at)) != std::string::npos;) {
    out.replace(at, name.size(), replacement);
    at += replacement.size();
  }
  return out;
}

}  // namespace sable::evaluation
