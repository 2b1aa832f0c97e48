#include "agent/prompt/spaced_json.h"

namespace sable::agent {

namespace {

void write(const Json& value, std::string& out) {
  if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.items()) {
      if (!first) out += ", ";
      first = false;
      out += dump_json(Json(key));
      out += ": ";
      write(item, out);
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ", ";
      write(value[i], out);
    }
    out += ']';
  } else {
    out += dump_json(value);
  }
}

}  // namespace

std::string spaced_json(const Json& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace sable::agent
