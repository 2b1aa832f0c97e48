#include "sandbox/launcher/disk_watch.h"

#include <sys/statfs.h>

namespace sable::sandbox {

DiskWatch::DiskWatch(const Plan& plan) : plan_(plan) {
  if (plan.disk_bytes == 0 && plan.disk_files == 0) return;
  for (; n_ < plan.disk_roots.size() && n_ < kRootsMax; ++n_) {
    before_[n_] = free_of(plan.disk_roots[n_].c_str());
  }
}

DiskWatch::Free DiskWatch::free_of(const char* path) {
  struct statfs found {};
  if (::statfs(path, &found) != 0) return {};
  const auto block = static_cast<uint64_t>(found.f_frsize != 0 ? found.f_frsize : found.f_bsize);
  return {.known = true,
          .bytes = found.f_bavail * block,
          .files = found.f_files == 0 ? 0 : found.f_ffree};
}

DiskWatch::Finding DiskWatch::look() const {
  for (size_t i = 0; i < n_; ++i) {
    const Free& before = before_[i];
    const Free now = free_of(plan_.disk_roots[i].c_str());
    if (!before.known || !now.known) continue;
    const auto lost = [](uint64_t then, uint64_t left) { return then > left ? then - left : 0; };
    if (lost(before.bytes, now.bytes) >
        disk_allowance(before.bytes, plan_.disk_bytes, kDiskBytesReserve)) {
      return {.root = static_cast<int>(i), .files = false};
    }
    if (before.files != 0 &&
        lost(before.files, now.files) >
            disk_allowance(before.files, plan_.disk_files, kDiskFilesReserve)) {
      return {.root = static_cast<int>(i), .files = true};
    }
  }
  return {};
}

}  // namespace sable::sandbox
