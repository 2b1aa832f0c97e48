// Names of hosts in one form only, so that what is matched is what is dialed.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// Lower case, without one trailing dot; letters, digits, hyphens and underscores in labels of at
/// most 63 bytes, 253 in all; or a dotted IPv4 address; or an IPv6 address in its canonical form,
/// without brackets. Everything else is invalid_input, numbers that some libraries take for an
/// address ("0177.1", "2130706433") included.
Result<std::string> canonical_host(std::string_view text);

/// "HOST:PORT", with brackets around an IPv6 address; `port` 0 means none was given.
struct Authority {
  std::string host;  ///< canonical
  uint16_t port = 0;

  friend bool operator==(const Authority&, const Authority&) = default;
};
Result<Authority> parse_authority(std::string_view text);

/// The rule that lets it through, or nullptr. No rules: nothing is let through.
const AllowedHost* rule_for(const std::vector<AllowedHost>& rules, const Authority& authority);

}  // namespace sable::sandbox
