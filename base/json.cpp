#include "base/json.h"

#include <fmt/format.h>

namespace sable {

namespace {

/// Builds the document through nlohmann's SAX interface so that depth is checked while parsing.
class BoundedSax : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  BoundedSax(Json& document, size_t depth_max) : Base(document, false), depth_max_(depth_max) {}

  bool start_object(size_t n) { return enter() && Base::start_object(n); }
  bool end_object() { return leave() && Base::end_object(); }
  bool start_array(size_t n) { return enter() && Base::start_array(n); }
  bool end_array() { return leave() && Base::end_array(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    error_position = position;
    return false;
  }

  bool too_deep = false;
  size_t error_position = 0;

 private:
  bool enter() {
    too_deep = ++depth_ > depth_max_;
    return !too_deep;
  }
  bool leave() {
    --depth_;
    return true;
  }

  size_t depth_max_;
  size_t depth_ = 0;
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

}  // namespace sable
