// Landlock's rights by number (the kernel's uapi/linux/landlock.h), and which of them each ABI
// knows.
#pragma once

#include <cstdint>

namespace sable::sandbox::landlock {

inline constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2,
                          kReadDir = 1 << 3, kRemoveDir = 1 << 4, kRemoveFile = 1 << 5,
                          kMakeChar = 1 << 6, kMakeDir = 1 << 7, kMakeReg = 1 << 8,
                          kMakeSock = 1 << 9, kMakeFifo = 1 << 10, kMakeBlock = 1 << 11,
                          kMakeSym = 1 << 12, kRefer = 1 << 13, kTruncate = 1 << 14,
                          kIoctlDev = 1 << 15, kResolveUnix = 1 << 16;

inline constexpr uint64_t kBindTcp = 1 << 0, kConnectTcp = 1 << 1;
inline constexpr uint64_t kScopeAbstractUnix = 1 << 0, kScopeSignal = 1 << 1;

/// What applies to a file that is not a folder.
inline constexpr uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;

constexpr uint64_t files_known(int abi) {
  if (abi < 1) return 0;
  uint64_t rights = (uint64_t{1} << 13) - 1;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDev;
  if (abi >= 9) rights |= kResolveUnix;
  return rights;
}
constexpr uint64_t network_known(int abi) { return abi >= 4 ? kBindTcp | kConnectTcp : 0; }
constexpr uint64_t scopes_known(int abi) {
  return abi >= 6 ? kScopeAbstractUnix | kScopeSignal : 0;
}

}  // namespace sable::sandbox::landlock
