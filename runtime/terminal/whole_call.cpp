#include "runtime/terminal/whole_call.h"

#include "base/text.h"

namespace sable::runtime {

namespace {

constexpr const char* kIndent = "    ";

std::string indented(std::string_view lines) {
  std::string shown;
  for (const auto line : split_lines(lines)) shown.append(kIndent).append(line).append("\n");
  return shown;
}

/// What an edit takes away and what it puts there.
std::string side_of_edit(std::string_view text, bool is_new, const Style& style) {
  std::string shown;
  for (const auto line : split_lines(text)) {
    const std::string marked = (is_new ? "+" : "-") + escape_controls(line);
    shown.append(kIndent).append(is_new ? style.green(marked) : style.red(marked)).append("\n");
  }
  return shown;
}

std::string shown_lines(const Style& style, const std::string& key, std::string_view text) {
  if (key == "old_text") return side_of_edit(text, false, style);
  if (key == "new_text") return side_of_edit(text, true, style);
  if (key == "patch") return indented(paint_diff(style, text));
  return indented(escape_controls(text));
}

}  // namespace

std::string whole_call(const Style& style, const Json& arguments) {
  if (!arguments.is_object()) return indented(escape_controls(dump_json(arguments)));
  std::string shown;
  for (const auto& [key, value] : arguments.items()) {
    const bool plain_key = key.find('\n') == std::string::npos;
    shown.append("  ").append(escape_controls(plain_key ? key : dump_json(Json(key)))).append(":");
    const std::string text = value.is_string() ? value.get<std::string>() : dump_json(value);
    const bool one_line = text.find('\n') == std::string::npos;
    const bool is_edit = key == "old_text" || key == "new_text" || key == "patch";
    if (one_line && !is_edit) {
      shown.append(" ").append(escape_controls(text)).append("\n");
    } else {
      shown.append("\n").append(shown_lines(style, key, text));
    }
  }
  return shown;
}

}  // namespace sable::runtime
