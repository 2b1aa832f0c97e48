#include "tools/json_pointer.h"

namespace sable::tools {

std::string json_pointer_part(std::string_view key) {
  std::string part;
  for (const char c : key) {
    if (c == '~') {
      part += "~0";
    } else if (c == '/') {
      part += "~1";
    } else {
      part += c;
    }
  }
  return part;
}

std::string json_pointer_key(std::string_view part) {
  std::string key;
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1')) {
      key += part[++i] == '0' ? '~' : '/';
    } else {
      key += part[i];
    }
  }
  return key;
}

}  // namespace sable::tools
