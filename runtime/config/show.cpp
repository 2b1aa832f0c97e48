// The settings for people and programs: `sable config show` and the page in docs/.
#include <algorithm>
#include <type_traits>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "runtime/config/config.h"
#include "runtime/config/one_line.h"
#include "runtime/config/quantity.h"
#include "runtime/config/settings.h"

namespace sable::runtime::config {

namespace {

// ---------------------------------------------------------------- one value

template <class E>
std::string choice_name(E value) {
  for (const auto& [name, choice] : Choices<E>::kAll) {
    if (choice == value) return std::string(name);
  }
  SABLE_CHECK(false);
}

/// As YAML would write it; an unset optional is "null".
template <class T>
std::string text_of(const Setting& setting, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value.empty() ? "\"\"" : value;
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    return setting.type == Type::size ? format_size(value) : std::to_string(value);
  } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
    return format_duration(value);
  } else if constexpr (std::is_same_v<T, std::optional<double>> ||
                       std::is_same_v<T, std::optional<uint64_t>>) {
    if (!value) return "null";
    if constexpr (std::is_same_v<T, std::optional<uint64_t>>) {
      if (setting.type == Type::size) return format_size(*value);
    }
    return fmt::format("{}", *value);
  } else {
    return choice_name(value);
  }
}

template <class T>
Json json_of(const T& value) {
  if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
    return value.count();
  } else if constexpr (std::is_same_v<T, std::optional<double>> ||
                       std::is_same_v<T, std::optional<uint64_t>>) {
    return value ? Json(*value) : Json(nullptr);
  } else if constexpr (std::is_enum_v<T>) {
    return choice_name(value);
  } else {
    return value;
  }
}

void add_origin(Json& object, const Origin& origin) {
  object["layer"] = name_of(origin.layer);
  object["source"] = origin.source;
  object["line"] = origin.line;
  object["column"] = origin.column;
}

// ---------------------------------------------------------------- all values

/// Calls `visit(setting, key, slot's target)` for every value of the config, in the table's order.
template <class Visitor>
void for_each_value(const Config& config, Visitor visit) {
  for (const auto& setting : settings()) {
    const auto* mapping = open_mapping_of(setting);
    const auto names = mapping == nullptr ? std::vector<std::string>{""} : mapping->names(config);
    for (const auto& name : names) {
      std::visit(
          [&](const auto& slot) {
            const auto* target = slot.read(config, name);
            if (target != nullptr) visit(setting, with_name(setting.key, name), *target);
          },
          setting.slot);
    }
  }
}

struct Line {
  std::string key, value, origin;
};

}  // namespace

Json to_json(const LoadedConfig& loaded) {
  Json files = Json::array();
  for (const auto& file : loaded.files) {
    files.push_back({{"layer", name_of(file.layer)}, {"path", file.path}, {"found", file.found}});
  }
  Json list = Json::array();
  for_each_value(loaded.config, [&](const Setting& setting, std::string key, const auto& target) {
    Json entry = {{"key", std::move(key)}};
    if constexpr (std::is_same_v<std::decay_t<decltype(target)>, TextList>) {
      Json values = Json::array(), items = Json::array();
      for (const auto& item : target.items) {
        values.push_back(*item);
        Json described = {{"value", *item}};
        add_origin(described, item.origin);
        items.push_back(std::move(described));
      }
      entry["value"] = std::move(values);
      entry["items"] = std::move(items);
    } else {
      entry["value"] = json_of(*target);
      entry["text"] = text_of(setting, *target);
    }
    add_origin(entry, target.origin);
    list.push_back(std::move(entry));
  });
  return {{"profile", loaded.profile}, {"files", std::move(files)}, {"settings", std::move(list)}};
}

std::string to_text(const LoadedConfig& loaded) {
  std::vector<Line> lines;
  for_each_value(loaded.config,
                 [&](const Setting& setting, const std::string& key, const auto& target) {
                   if constexpr (std::is_same_v<std::decay_t<decltype(target)>, TextList>) {
                     if (target.items.empty()) lines.push_back({key, "[]", target.origin.text()});
                     for (const auto& item : target.items)
                       lines.push_back({key, *item, item.origin.text()});
                   } else {
                     lines.push_back({key, text_of(setting, *target), target.origin.text()});
                   }
                 });
  constexpr size_t kValueWidthMax = 40;  // a longer value pushes only its own line
  size_t key_width = 0, value_width = 0;
  for (auto& line : lines) {
    line.value = one_line(line.value);
    key_width = std::max(key_width, line.key.size());
    if (line.value.size() <= kValueWidthMax) value_width = std::max(value_width, line.value.size());
  }
  std::string text;
  for (const auto& line : lines) {
    text += fmt::format("{:<{}}  {:<{}}  {}\n", line.key, key_width, line.value, value_width,
                        line.origin);
  }
  return text;
}

// ---------------------------------------------------------------- the page

namespace {

std::string type_text(const Setting& setting) {
  return std::visit(
      [&](const auto& slot) -> std::string {
        using Target = typename std::decay_t<decltype(slot)>::Target;
        switch (setting.type) {
          case Type::text:
            return "text";
          case Type::list:
            return "list of texts";
          case Type::number:
            return fmt::format("number, {} to {}", setting.lowest, setting.highest);
          case Type::count:
            return setting.maximum == kUnbounded
                       ? fmt::format("whole number from {}", setting.minimum)
                       : fmt::format("whole number, {} to {}", setting.minimum, setting.maximum);
          case Type::size:
            return fmt::format("size, {} to {}", format_size(setting.minimum),
                               format_size(setting.maximum));
          case Type::duration: {
            const auto show = [](uint64_t bound) {
              return format_duration(std::chrono::milliseconds(static_cast<int64_t>(bound)));
            };
            return fmt::format("duration, {} to {}", show(setting.minimum), show(setting.maximum));
          }
          case Type::choice:
            break;
        }
        std::string names;
        if constexpr (!std::is_same_v<Target, TextList>) {
          using T = decltype(Target::value);
          if constexpr (std::is_enum_v<T>) {
            for (const auto& [name, choice] : Choices<T>::kAll) {
              names += fmt::format("{}`{}`", names.empty() ? "" : ", ", name);
            }
          }
        }
        return names;
      },
      setting.slot);
}

std::string_view repository_text(Narrowing narrowing) {
  switch (narrowing) {
    case Narrowing::refused:
      return "no";
    case Narrowing::lower:
      return "lower it";
    case Narrowing::stricter:
      return "make it stricter: further along its list";
    case Narrowing::add:
      return "add to it";
  }
  SABLE_CHECK(false);
}

std::string default_text(const Setting& setting, const Config& built_in) {
  return std::visit(
      [&](const auto& slot) -> std::string {
        using Target = typename std::decay_t<decltype(slot)>::Target;
        const bool open = open_mapping_of(setting) != nullptr;
        if constexpr (std::is_same_v<Target, TextList>) {
          return slot.read(built_in, "")->items.empty() ? "none" : "see default.yaml";
        } else if constexpr (std::is_enum_v<decltype(Target::value)>) {
          // An entry's choice has no default of its own: it exists when somebody makes it.
          return open ? "unset" : fmt::format("`{}`", text_of(setting, **slot.read(built_in, "")));
        } else {
          Config scratch = built_in;
          const auto text = text_of(setting, *slot.write(scratch, "NAME"));
          if (text == "\"\"") return "empty";
          return text == "null" ? "unset" : fmt::format("`{}`", text);
        }
      },
      setting.slot);
}

}  // namespace

std::string settings_markdown(const Config& built_in) {
  std::string page, group;
  for (const auto& setting : settings()) {
    const auto dot = setting.key.find('.');
    const auto head = dot == std::string_view::npos
                          ? std::string("General")
                          : fmt::format("`{}`", setting.key.substr(0, dot));
    if (head != group) {
      page += fmt::format(
          "{}### {}\n\n| setting | type | default | a repository may |\n| --- | --- | --- | --- "
          "|\n",
          page.empty() ? "" : "\n", head);
      group = head;
    }
    page += fmt::format("| `{}`<br>{} | {} | {} | {} |\n", with_name(setting.key, "NAME"),
                        setting.description, type_text(setting), default_text(setting, built_in),
                        repository_text(setting.repository));
  }
  return page;
}

}  // namespace sable::runtime::config
