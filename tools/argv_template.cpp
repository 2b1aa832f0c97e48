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

/// The letter of the option whose value this program reads as a program text, or 0.
char script_option(std::string_view program) {
  if (const size_t slash = program.rfind('/'); slash != std::string_view::npos) {
    program.remove_prefix(slash + 1);
  }
  for (const std::string_view shell :
       {"sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "su"}) {
    if (program == shell) return 'c';
  }
  if (program.starts_with("python")) return 'c';
  for (const std::string_view name : {"perl", "ruby", "node", "nodejs", "lua", "php"}) {
    if (program == name) return name == "php" ? 'r' : 'e';
  }
  return 0;
}

bool is_script_option(std::string_view item, char letter) {
  return letter != 0 && item.size() > 1 && item[0] == '-' && item[1] != '-' &&
         item.find(letter) != std::string_view::npos;
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
  const char letter = script_option(*program);
  bool next_is_script = false;
  for (const auto& part : parts_) {
    for (const auto& item : part.items) {
      for (const auto& place : item.text.places()) {
        const bool optional =
            part.optional && (part.condition.empty() || part.condition == place.name);
        SABLE_TRY_VOID(check_place(place, names, optional));
        if (!next_is_script) continue;
        return refuse(
            fmt::format("\"{{{}}}\" stands in a program text that {} would read; give the value "
                        "as an argument of its own behind the text and use it there as \"$1\" or "
                        "the like",
                        place.name, *program));
      }
      const auto literal = item.text.literal();
      next_is_script = literal && is_script_option(*literal, letter);
    }
  }
  return {};
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
