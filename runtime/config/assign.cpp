#include "runtime/config/assign.h"

#include <algorithm>
#include <optional>
#include <type_traits>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "runtime/config/one_line.h"
#include "runtime/config/quantity.h"

namespace sable::runtime::config {

namespace {

constexpr size_t kItemsMax = 256;  // of one list in one file

tl::unexpected<Error> wrong(std::string why) {
  return fail(ErrorCode::invalid_input, std::move(why));
}

/// What stands there, for messages about values that cannot be secrets.
std::string describe(const YamlValue& value) {
  switch (value.kind) {
    case YamlValue::Kind::null:
      return "nothing";
    case YamlValue::Kind::sequence:
      return "a list";
    case YamlValue::Kind::mapping:
      return "a mapping";
    case YamlValue::Kind::scalar:
      break;
  }
  const std::string_view text = value.scalar;
  const size_t cut = utf8_prefix(text, 60);
  return fmt::format("\"{}{}\"", one_line(text.substr(0, cut)), cut < text.size() ? "..." : "");
}

Result<uint64_t> in_range(uint64_t number, const Setting& setting, const YamlValue& value) {
  if (number >= setting.minimum && number <= setting.maximum) return number;
  const auto show = [&](uint64_t bound) {
    if (setting.type == Type::size) return format_size(bound);
    if (setting.type == Type::duration) {
      return format_duration(std::chrono::milliseconds(static_cast<int64_t>(bound)));
    }
    return std::to_string(bound);
  };
  return wrong(fmt::format("expected {} to {}, got {}", show(setting.minimum),
                           show(setting.maximum), describe(value)));
}

// ---------------------------------------------------------------- one reader for each type

Result<void> read(const Setting& setting, const YamlValue& value, std::string& out) {
  if (value.kind != YamlValue::Kind::scalar) {
    return wrong("expected text, got " + describe(value));
  }
  if (setting.check != nullptr) {
    SABLE_TRY_VOID(setting.check(value.scalar));
  }
  out = value.scalar;
  return {};
}

Result<void> read(const Setting& setting, const YamlValue& value, uint64_t& out) {
  if (setting.type == Type::size) {
    const auto bytes = parse_size(value.scalar);
    if (!bytes) return wrong(fmt::format("{}, got {}", bytes.error().message, describe(value)));
    SABLE_TRY(out, in_range(*bytes, setting, value));
    return {};
  }
  const auto number = value.as_int();
  if (!number || *number < 0) return wrong("expected a whole number, got " + describe(value));
  SABLE_TRY(out, in_range(static_cast<uint64_t>(*number), setting, value));
  return {};
}

Result<void> read(const Setting& setting, const YamlValue& value, std::chrono::milliseconds& out) {
  const auto duration = parse_duration(value.scalar);
  if (!duration) return wrong(fmt::format("{}, got {}", duration.error().message, describe(value)));
  SABLE_TRY(const uint64_t number,
            in_range(static_cast<uint64_t>(duration->count()), setting, value));
  out = std::chrono::milliseconds(static_cast<int64_t>(number));
  return {};
}

Result<void> read(const Setting& setting, const YamlValue& value, double& out) {
  const auto number = value.as_number();
  if (!number || !(*number >= setting.lowest && *number <= setting.highest)) {
    return wrong(fmt::format("expected a number from {} to {}, got {}", setting.lowest,
                             setting.highest, describe(value)));
  }
  out = *number;
  return {};
}

template <class T>
Result<void> read(const Setting& setting, const YamlValue& value, std::optional<T>& out) {
  out.reset();
  if (value.kind == YamlValue::Kind::null) return {};
  return read(setting, value, out.emplace());
}

template <class E>
requires std::is_enum_v<E> Result<void> read(const Setting&, const YamlValue& value, E& out) {
  std::vector<std::string> names;
  for (const auto& [choice_name, choice] : Choices<E>::kAll) {
    if (value.kind == YamlValue::Kind::scalar && value.scalar == choice_name) {
      out = choice;
      return {};
    }
    names.emplace_back(choice_name);
  }
  const auto near = nearest(value.scalar, names);
  return wrong(fmt::format("expected {}, got {}{}", fmt::join(names, " or "), describe(value),
                           near.empty() ? "" : fmt::format("; did you mean {}?", near)));
}

// ---------------------------------------------------------------- what a repository may do

template <class T>
std::string shown(const Setting& setting, const T& value) {
  if constexpr (std::is_same_v<T, std::chrono::milliseconds>) return format_duration(value);
  if constexpr (std::is_same_v<T, uint64_t>) {
    return setting.type == Type::size ? format_size(value) : std::to_string(value);
  }
  if constexpr (std::is_enum_v<T>) {
    for (const auto& [choice_name, choice] : Choices<T>::kAll) {
      if (choice == value) return std::string(choice_name);
    }
  }
  SABLE_CHECK(false && "a type that is narrowed");
}

/// Whether a repository may replace `now` (null: set by nobody yet) by `wanted`.
template <class T>
Result<void> check_narrowing(const Setting& setting, const Value<T>* now, const T& wanted) {
  if constexpr (std::is_enum_v<T>) {
    SABLE_CHECK(setting.repository == Narrowing::stricter);
    const auto rank = [](T value) {
      const auto& all = Choices<T>::kAll;
      return std::find_if(all.begin(), all.end(),
                          [&](const auto& c) { return c.second == value; }) -
             all.begin();
    };
    if (now == nullptr) {
      // What holds instead is not known here, so only what cannot be the widest is certainly
      // stricter; approval_of() takes the stricter of the two.
      if (rank(wanted) > 0) return {};
      return fail(ErrorCode::denied, fmt::format("a repository may only make it stricter than {}",
                                                 shown(setting, wanted)));
    }
    if (rank(wanted) >= rank(now->value)) return {};
    return fail(
        ErrorCode::denied,
        fmt::format("{} permits more than {} ({}); a repository may only make it stricter",
                    shown(setting, wanted), shown(setting, now->value), now->origin.text()));
  } else if constexpr (std::is_same_v<T, uint64_t> ||
                       std::is_same_v<T, std::chrono::milliseconds>) {
    SABLE_CHECK(setting.repository == Narrowing::lower && now != nullptr);
    if (wanted <= now->value) return {};
    return fail(
        ErrorCode::denied,
        fmt::format("{} is more than {} ({}); a repository may only lower it",
                    shown(setting, wanted), shown(setting, now->value), now->origin.text()));
  } else {
    SABLE_CHECK(false && "a type that is narrowed");
  }
}

/// What only the person at the command line may choose, and no file.
template <class T>
Result<void> check_by_hand(const T& wanted, Layer layer) {
  if constexpr (std::is_same_v<T, sandbox::Network>) {
    if (wanted == sandbox::Network::open && layer != Layer::flag) {
      return fail(
          ErrorCode::denied,
          "open does without the sandbox's network, which no file can ask for: only you can, "
          "by --network open on the command line; hosts can be named with allow and "
          "sandbox.allowed_hosts");
    }
  }
  return {};
}

// ---------------------------------------------------------------- into the slot

template <class T>
Result<void> store(const Setting& setting, const std::string& name, const YamlValue& value,
                   const Origin& where, Config& config, const Slot<Value<T>>& slot) {
  const auto place = place_of(value, where);
  T parsed{};
  auto good = read(setting, value, parsed);
  if (good && where.layer == Layer::repository) {
    good = check_narrowing(setting, slot.read(config, name), parsed);
  }
  if (good) good = check_by_hand(parsed, where.layer);
  if (!good) {
    return refuse_at(good.error().code, place, with_name(setting.key, name), good.error().message);
  }
  slot.write(config, name) = {.value = std::move(parsed), .origin = place};
  return {};
}

Result<void> store(const Setting& setting, const std::string& name, const YamlValue& value,
                   const Origin& where, Config& config, const Slot<TextList>& slot) {
  const auto refuse = [&](const YamlValue& at, std::string_view why) {
    return refuse_at(ErrorCode::invalid_input, place_of(at, where), with_name(setting.key, name),
                     why);
  };
  if (value.kind != YamlValue::Kind::sequence && value.kind != YamlValue::Kind::null) {
    return refuse(value, "expected a list, got " + describe(value));
  }
  if (value.items.size() > kItemsMax) {
    return refuse(value.items[kItemsMax], fmt::format("more than {} items", kItemsMax));
  }
  TextList list;
  if (setting.adds_up) list = *slot.read(config, name);
  list.origin = place_of(value, where);
  SABLE_CHECK(where.layer != Layer::repository || setting.adds_up);
  for (const auto& item : value.items) {
    std::string text;
    if (auto good = read(setting, item, text); !good) return refuse(item, good.error().message);
    list.items.push_back({.value = std::move(text), .origin = place_of(item, where)});
  }
  slot.write(config, name) = std::move(list);
  return {};
}

}  // namespace

Origin place_of(const YamlValue& value, const Origin& where) {
  Origin place = where;
  if (value.line > 0) {
    place.line = value.line;
    place.column = value.column;
  }
  return place;
}

tl::unexpected<Error> refuse_at(ErrorCode code, const Origin& place, std::string_view key,
                                std::string_view why) {
  Origin with_file = place;
  // Also the built-in file is named here: a mistake in it is ours, and must be found.
  if (with_file.layer == Layer::built_in) with_file.layer = Layer::user;
  return fail(code, fmt::format("{}: {}{}{}", with_file.text(), one_line(key),
                                key.empty() ? "" : ": ", why));
}

Result<void> assign(const Setting& setting, const std::string& name, const YamlValue& value,
                    const Origin& where, Config& config) {
  if (where.layer == Layer::repository && setting.repository == Narrowing::refused) {
    return refuse_at(
        ErrorCode::denied, place_of(value, where), with_name(setting.key, name),
        "a repository may not set this; if you want it, set it in your own configuration");
  }
  return std::visit(
      [&](const auto& slot) { return store(setting, name, value, where, config, slot); },
      setting.slot);
}

}  // namespace sable::runtime::config
