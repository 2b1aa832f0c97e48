// Why a machine gives no namespaces, and the setting that changes it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sable::sandbox {

/// What a machine's settings say of namespaces; what it does not have is absent.
struct NamespaceSettings {
  bool root = false;  ///< whoever asks is
  std::map<std::string, uint64_t>
      most;  ///< of user.max_KIND_namespaces, by kind: "user", "mnt", ...
  std::optional<uint64_t> unprivileged_clone;  ///< kernel.unprivileged_userns_clone
  std::optional<uint64_t> apparmor_restricts;  ///< kernel.apparmor_restrict_unprivileged_userns
};

/// Of this machine, as it is now, for this process.
NamespaceSettings namespace_settings();

/// What to change when making namespaces of these kinds ("user", "mnt", "pid", "net", "ipc",
/// "uts", "cgroup") has failed with `error`: names the setting, or the likely cause.
std::string namespace_remedy(const NamespaceSettings& settings,
                             std::initializer_list<std::string_view> kinds, int error);

}  // namespace sable::sandbox
