#include "base/json.h"

#include <algorithm>
#include <limits>
#include <new>
#include <numeric>
#include <vector>

#include <fmt/format.h>

namespace sable {

namespace {

/// Builds the document from nlohmann's SAX events, for two reasons: depth is checked while parsing,
/// and an object of n keys costs n log n (the library's builder searches an ordered object from its
/// start for every key, which a vocabulary of 100,000 tokens or a hostile file turns into minutes).
class BoundedSax {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  BoundedSax(Json& root, size_t depth_max) : root_(root), depth_max_(depth_max) {}

  bool null() { return place(nullptr); }
  bool boolean(bool value) { return place(value); }
  bool number_integer(number_integer_t value) { return place(value); }
  bool number_unsigned(number_unsigned_t value) { return place(value); }
  bool number_float(number_float_t value, const string_t&) { return place(value); }
  bool string(string_t& value) { return place(std::move(value)); }
  bool binary(binary_t&) { return false; }  // not part of JSON text

  bool start_object(size_t) { return enter(Json::object()); }
  bool key(string_t& name) {
    // Appends without looking for an equal key; leave_object() settles duplicates.
    auto& object = open_.back()->get_ref<Json::object_t&>();
    object.emplace_back(std::move(name), Json());
    slot_ = &object.back().second;
    return true;
  }
  bool end_object() {
    auto& object = open_.back()->get_ref<Json::object_t&>();
    keep_last_of_equal_keys(object);
    open_.pop_back();
    return true;
  }
  bool start_array(size_t) { return enter(Json::array()); }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    error_position = position;
    return false;
  }

  bool too_deep = false;
  size_t error_position = 0;

 private:
  template <class Value>
  Json* put(Value&& value) {
    if (open_.empty()) {
      root_ = Json(std::forward<Value>(value));
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<Json::array_t&>();
      array.emplace_back(std::forward<Value>(value));
      return &array.back();
    }
    *slot_ = Json(std::forward<Value>(value));
    return slot_;
  }

  template <class Value>
  bool place(Value&& value) {
    put(std::forward<Value>(value));
    return true;
  }

  bool enter(Json container) {
    too_deep = open_.size() >= depth_max_;
    if (too_deep) return false;
    open_.push_back(put(std::move(container)));
    return true;
  }

  /// Of equal keys the first keeps its place and the last its value.
  static void keep_last_of_equal_keys(Json::object_t& object) {
    auto* const entries = object.data();  // operator[] would search by key
    std::vector<uint32_t> order(object.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const int compared = entries[a].first.compare(entries[b].first);
      return compared != 0 ? compared < 0 : a < b;
    });
    std::vector<bool> dropped;
    for (size_t i = 0, end = 0; i < order.size(); i = end) {
      for (end = i + 1; end < order.size(); ++end) {
        if (entries[order[end]].first != entries[order[i]].first) break;
        dropped.resize(object.size());
        dropped[order[end]] = true;
      }
      if (end > i + 1) entries[order[i]].second = std::move(entries[order[end - 1]].second);
    }
    if (dropped.empty()) return;
    Json::object_t kept;
    for (size_t i = 0; i < object.size(); ++i) {
      if (!dropped[i]) kept.emplace_back(entries[i].first, std::move(entries[i].second));
    }
    object = std::move(kept);
  }

  Json& root_;
  size_t depth_max_;
  std::vector<Json*> open_;  // containers from the root to the current one; only the last one grows
  Json* slot_ = nullptr;     // where the value of the last key goes
};

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(ErrorCode::exhausted, fmt::format("JSON of {} bytes is larger than the limit of {}",
                                                  text.size(), limits.bytes_max));
  }
  Json root;
  BoundedSax sax(root, limits.depth_max);
  try {
    if (!Json::sax_parse(text.begin(), text.end(), &sax)) {
      if (sax.too_deep) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("JSON is nested deeper than {} levels", limits.depth_max));
      }
      return fail(ErrorCode::invalid_input,
                  fmt::format("invalid JSON at byte {}", sax.error_position));
    }
  } catch (const std::bad_alloc&) {
    throw;                                 // says nothing of the text
  } catch (const std::exception& error) {  // out-of-range numbers and the like
    return fail(ErrorCode::invalid_input, fmt::format("invalid JSON: {}", error.what()));
  }
  return root;
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string string_or(const Json& object, const char* key, std::string_view fallback) {
  if (object.is_object()) {
    if (const auto it = object.find(key); it != object.end() && it->is_string()) {
      return it->get<std::string>();
    }
  }
  return std::string(fallback);
}

int int_or(const Json& object, const char* key, int fallback) {
  if (!object.is_object()) return fallback;
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number_integer()) return fallback;
  if (it->is_number_unsigned() && it->get<uint64_t>() > std::numeric_limits<int>::max()) {
    return fallback;
  }
  const auto value = it->get<int64_t>();
  const bool fits =
      value >= std::numeric_limits<int>::min() && value <= std::numeric_limits<int>::max();
  return fits ? static_cast<int>(value) : fallback;
}

}  // namespace sable
