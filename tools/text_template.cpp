#include "tools/text_template.h"

#include <fmt/format.h>

#include "base/text.h"
#include "tools/argument_text.h"

namespace sable::tools {

namespace {

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_input, std::move(message));
}

bool is_name(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
    if (!good) return false;
  }
  return true;
}

Result<TextTemplate::Place> parse_place(std::string_view inside, size_t column) {
  TextTemplate::Place place;
  if (inside.ends_with("...")) {
    place.as_items = true;
    inside.remove_suffix(3);
  } else if (inside.ends_with(":json")) {
    place.as_json = true;
    inside.remove_suffix(5);
  }
  if (!is_name(inside) && !(inside == "*" && place.as_json)) {
    return refuse(
        fmt::format("at character {}: expected an argument's name between braces, got \"{}\"; "
                    "a brace itself is written twice",
                    column, escape_controls(inside)));
  }
  place.name = inside;
  return place;
}

Result<std::string> value_text(const Json& value, const TextTemplate::Place& place) {
  if (place.as_json) return dump_json(value);
  if (!value.is_string() && !value.is_number() && !value.is_boolean()) {
    return refuse(
        fmt::format("the argument \"{}\" is {}, and only strings, numbers and booleans can stand "
                    "here",
                    place.name, value.is_null() ? "null" : "a list or an object"));
  }
  std::string text = argument_text(value);
  if (text.find('\0') != std::string::npos) {
    return refuse(fmt::format("the argument \"{}\" holds a NUL byte", place.name));
  }
  return text;
}

Result<const Json*> value_of(const Json& arguments, const TextTemplate::Place& place) {
  if (place.name == "*") return &arguments;
  const auto it = arguments.find(place.name);
  if (it == arguments.end())
    return refuse(fmt::format("the argument \"{}\" is missing", place.name));
  return &*it;
}

}  // namespace

Result<TextTemplate> TextTemplate::parse(std::string_view text) {
  TextTemplate result;
  std::string literal;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
    } else if (c == '}') {
      return refuse(fmt::format(
          "at character {}: \"}}\" without \"{{\"; a brace itself is written twice", i + 1));
    } else if (c == '{') {
      const size_t end = text.find('}', i);
      if (end == std::string_view::npos) {
        return refuse(fmt::format(
            "at character {}: \"{{\" without \"}}\"; a brace itself is written twice", i + 1));
      }
      SABLE_TRY(Place place, parse_place(text.substr(i + 1, end - i - 1), i + 1));
      result.literals_.push_back(std::move(literal));
      literal.clear();
      result.places_.push_back(std::move(place));
      i = end;
    } else {
      literal += c;
    }
  }
  result.literals_.push_back(std::move(literal));
  for (const auto& place : result.places_) {
    const bool alone =
        result.places_.size() == 1 && result.literals_[0].empty() && result.literals_[1].empty();
    if (place.as_items && !alone) {
      return refuse(
          fmt::format("\"{{{}...}}\" must stand alone: each of its items becomes an argument of "
                      "its own",
                      place.name));
    }
  }
  return result;
}

std::optional<std::string> TextTemplate::literal() const {
  if (!places_.empty()) return std::nullopt;
  return literals_[0];
}

Result<std::string> TextTemplate::render(const Json& arguments) const {
  std::string text = literals_[0];
  for (size_t i = 0; i < places_.size(); ++i) {
    SABLE_TRY(const Json* value, value_of(arguments, places_[i]));
    SABLE_TRY(const std::string part, value_text(*value, places_[i]));
    text += part;
    text += literals_[i + 1];
  }
  return text;
}

Result<std::vector<std::string>> TextTemplate::render_items(const Json& arguments) const {
  SABLE_TRY(const Json* value, value_of(arguments, places_.at(0)));
  if (!value->is_array()) {
    return refuse(fmt::format("the argument \"{}\" must be a list", places_[0].name));
  }
  std::vector<std::string> items;
  for (const auto& item : *value) {
    SABLE_TRY(std::string text, value_text(item, places_[0]));
    items.push_back(std::move(text));
  }
  return items;
}

}  // namespace sable::tools
