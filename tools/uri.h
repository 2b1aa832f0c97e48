// URI references resolved against a base (RFC 3986, section 5.2), as far as JSON Schema needs it.
#pragma once

#include <string>
#include <string_view>

namespace sable::tools {

/// `reference` made absolute by `base`, which may be empty. Nothing is decoded.
std::string resolve_uri(std::string_view base, std::string_view reference);

/// "%41" becomes "A"; a broken escape stays.
std::string percent_decoded(std::string_view text);

}  // namespace sable::tools
