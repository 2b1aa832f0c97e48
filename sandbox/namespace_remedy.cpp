#include "sandbox/namespace_remedy.h"

#include <cerrno>
#include <cstdlib>
#include <unistd.h>

#include "base/file.h"

namespace sable::sandbox {

namespace {

constexpr const char* kKinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};

std::optional<uint64_t> number_in(const std::string& file) {
  const auto text = read_file(file, 64);
  if (!text || text->empty() || (*text)[0] < '0' || (*text)[0] > '9') return {};
  return std::strtoull(text->c_str(), nullptr, 10);
}

}  // namespace

NamespaceSettings namespace_settings() {
  NamespaceSettings settings{.root = ::geteuid() == 0};
  for (const char* kind : kKinds) {
    const auto most = number_in("/proc/sys/user/max_" + std::string(kind) + "_namespaces");
    if (most) settings.most[kind] = *most;
  }
  settings.unprivileged_clone = number_in("/proc/sys/kernel/unprivileged_userns_clone");
  settings.apparmor_restricts = number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  return settings;
}

std::string namespace_remedy(const NamespaceSettings& settings,
                             std::initializer_list<std::string_view> kinds, int error) {
  std::string limits;
  for (const auto kind : kinds) {
    const std::string name = "user.max_" + std::string(kind) + "_namespaces";
    const auto most = settings.most.find(std::string(kind));
    if (most == settings.most.end()) continue;
    if (most->second == 0) return name + " is 0, which forbids them: set it to some thousands";
    limits += (limits.empty() ? "" : ", ") + name + " (" + std::to_string(most->second) + ")";
  }
  if (!settings.root && settings.unprivileged_clone == 0) {
    return "kernel.unprivileged_userns_clone is 0, which forbids user namespaces to ordinary "
           "users: "
           "set it to 1";
  }
  if (!settings.root && settings.apparmor_restricts.value_or(0) != 0) {
    return "kernel.apparmor_restrict_unprivileged_userns is 1, so AppArmor takes all rights away "
           "in "
           "user namespaces of ordinary users: set it to 0, or give sable-launcher an AppArmor "
           "profile with \"userns,\"";
  }
  if (error == ENOSPC || error == EUSERS) {
    return "a limit of namespaces is used up, or they are nested too deep: raise " +
           (limits.empty() ? std::string("user.max_*_namespaces") : limits);
  }
  if (error == EINVAL || error == ENOSYS) {
    return "the kernel was built without a kind of namespace: use one with CONFIG_USER_NS, "
           "CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_CGROUPS";
  }
  return "something around this process forbids it: in a container use a profile that permits "
         "clone "
         "and mounts with CLONE_NEWUSER, outside of one look for a security module's rule; it does "
         "not work from a chroot";
}

}  // namespace sable::sandbox
