// System calls and constants that Debian 12's headers lack or hide, by their kernel names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sable::sandbox::kernel {

struct landlock_ruleset_attr {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};
struct landlock_path_beneath_attr {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));

inline constexpr unsigned kLandlockRulePathBeneath = 1;
inline constexpr unsigned kLandlockCreateRulesetVersion = 1;

inline int landlock_create_ruleset(const landlock_ruleset_attr* attributes, size_t size,
                                   unsigned flags) {
  return static_cast<int>(::syscall(444, attributes, size, flags));
}
inline int landlock_add_rule(int ruleset, unsigned type, const void* rule) {
  return static_cast<int>(::syscall(445, ruleset, type, rule, 0));
}
inline int landlock_restrict_self(int ruleset) {
  return static_cast<int>(::syscall(446, ruleset, 0));
}

inline int openat2(int folder, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how{};
  how.flags = flags;
  how.resolve = resolve;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

inline int pivot_root(const char* new_root, const char* put_old) {
  return static_cast<int>(::syscall(SYS_pivot_root, new_root, put_old));
}

}  // namespace sable::sandbox::kernel
