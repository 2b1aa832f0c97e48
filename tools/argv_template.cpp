#include "tools/argv_template.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr size_t kArgvBytesMax = 1 << 20;
constexpr size_t kArgvItemsMax = 4'096;

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_input, std::move(message));
}

std::string shown_place(const TextTemplate::Place& place) {
  return fmt::format("\"{{{}{}}}\"", place.name,
                     place.as_items  ? "..."
                     : place.as_json ? ":json"
                                     : "");
}

}  // namespace

void ArgvTemplate::add(Part part) {
  bool behind = seen_end_of_options_;
  for (auto& item : part.items) {
    item.behind_options = behind;
    behind = behind || item.text.literal() == "--";
  }
  if (!part.optional)
    seen_end_of_options_ = behind;  // a group that may be left out protects itself only
  parts_.push_back(std::move(part));
}

Result<void> check_place(const TextTemplate::Place& place, const ArgumentNames& names,
                         bool optional) {
  if (place.name == "*") return {};
  if (std::find(names.all.begin(), names.all.end(), place.name) == names.all.end()) {
    const std::string near = nearest(place.name, names.all);
    return refuse(fmt::format("\"{}\" is not one of the parameters{}", place.name,
                              near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
  }
  if (!optional && !names.always.contains(place.name)) {
    return refuse(
        fmt::format("\"{}\" may be absent: make it required, give it a default, or put it into a "
                    "group of its own, as in [--option, \"{{{}}}\"]",
                    place.name, place.name));
  }
  return {};
}

Result<void> ArgvTemplate::check(const ArgumentNames& names) const {
  if (parts_.empty() || parts_[0].items.empty()) return refuse("expected a program's name");
  const auto program = parts_[0].items[0].text.literal();
  if (!program || program->empty() || parts_[0].optional) {
    return refuse("the program must be a fixed name, without places for arguments");
  }
  for (const auto& part : parts_) {
    for (const auto& item : part.items) {
      for (const auto& place : item.text.places()) {
        const bool optional =
            part.optional && (part.condition.empty() || part.condition == place.name);
        SABLE_TRY_VOID(check_place(place, names, optional));
      }
    }
  }
  return {};
}

std::optional<ProgramTextFault> ArgvTemplate::program_text_fault(
    const TextTemplate* stdin_text) const {
  std::vector<CommandWords> parts;
  for (const auto& part : parts_) {
    CommandWords words{.may_be_absent = part.optional};
    for (const auto& item : part.items) {
      const auto& places = item.text.places();
      CommandWord word{.head = item.text.head()};
      if (!places.empty()) {
        word.place = shown_place(places[0]);
        word.is_list = places[0].as_items;
        word.may_begin_with_dash = item.text.starts_with_place() &&
                                   (item.behind_options || dash_allowed_.contains(places[0].name));
      }
      words.words.push_back(std::move(word));
    }
    parts.push_back(std::move(words));
  }
  const bool has_place = stdin_text != nullptr && !stdin_text->places().empty();
  return find_program_text(parts, has_place ? shown_place(stdin_text->places()[0]) : "");
}

Result<void> ArgvTemplate::render_item(const Item& item, const Json& arguments,
                                       std::vector<std::string>& argv) const {
  const auto& places = item.text.places();
  std::vector<std::string> made;
  if (!places.empty() && places[0].as_items) {
    SABLE_TRY(made, item.text.render_items(arguments));
  } else {
    SABLE_TRY(std::string text, item.text.render(arguments));
    made.push_back(std::move(text));
  }
  const bool guarded = item.text.starts_with_place() && !item.behind_options &&
                       !dash_allowed_.contains(places[0].name);
  for (auto& text : made) {
    if (guarded && text.starts_with('-')) {
      return refuse(
          fmt::format("the argument \"{}\" must not begin with \"-\", since the program would read "
                      "\"{}\" as an option",
                      places[0].name, shown_path(text.substr(0, utf8_prefix(text, 60)))));
    }
    argv.push_back(std::move(text));
  }
  return {};
}

Result<std::vector<std::string>> ArgvTemplate::render(const Json& arguments) const {
  std::vector<std::string> argv;
  for (const auto& part : parts_) {
    bool stands = true;
    if (!part.condition.empty()) {
      const auto it = arguments.find(part.condition);
      stands = it != arguments.end() && !it->is_null() && !(it->is_boolean() && !it->get<bool>());
    } else if (part.optional) {
      for (const auto& item : part.items) {
        for (const auto& place : item.text.places()) {
          stands = stands && (place.name == "*" || arguments.contains(place.name));
        }
      }
    }
    if (!stands) continue;
    for (const auto& item : part.items) {
      SABLE_TRY_VOID(render_item(item, arguments, argv));
    }
  }
  size_t n_bytes = 0;
  for (const auto& item : argv) n_bytes += item.size() + 1;
  if (n_bytes > kArgvBytesMax || argv.size() > kArgvItemsMax) {
    return refuse("the arguments are too long for a command line");
  }
  return argv;
}

}  // namespace sable::tools
