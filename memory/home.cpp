#include "memory/home.h"

#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "memory/file_lock.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

/// File systems on which locks, shared memory or syncs are not what SQLite's write-ahead log needs
/// (magic numbers: statfs(2) and linux/magic.h).
constexpr std::pair<uint32_t, std::string_view> kRefused[] = {
    {0x6969, "NFS"},      {0x517b, "SMB"},
    {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
    {0x01021997, "9P"},   {0x00c36400, "Ceph"},
    {0x5346414f, "AFS"},  {0x6b414653, "AFS"},
    {0x73757245, "Coda"}, {0x0bd00bd0, "Lustre"},
    {0x01161970, "GFS2"}, {0x7461636f, "OCFS2"},
    {0x65735546, "FUSE"}, {0x786f4256, "VirtualBox shared folder"},
};

Result<void> check_file_system(const fs::path& path) {
  struct statfs info;
  if (::statfs(path.c_str(), &info) != 0) return fail_errno(path.string(), errno);
  for (const auto& [magic, name] : kRefused) {
    if (static_cast<uint32_t>(info.f_type) == magic) {
      return fail(
          ErrorCode::unsupported,
          fmt::format("{} is on a file system of kind {}, which cannot promise that what is "
                      "written stays; put the home on a local disk (SABLE_HOME)",
                      path.string(), name));
    }
  }
  if ((static_cast<unsigned long>(info.f_flags) & ST_RDONLY) != 0 ||
      ::access(path.c_str(), W_OK | X_OK) != 0) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("{} cannot be written; choose another home (SABLE_HOME)", path.string()));
  }
  return {};
}

}  // namespace

Result<void> sync_folder(const fs::path& folder) {
  UniqueFd fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(folder.string() + ": fsync", errno);
  return {};
}

Result<Home> Home::prepare(const fs::path& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return fail_errno(path.string(), error.value());
  if (!fs::exists(absolute, error)) {
    if (auto made = make_private_folders(absolute); !made) {
      return fail(ErrorCode::io,
                  fmt::format("{}; choose another home (SABLE_HOME)", made.error().message));
    }
  }
  Home home;
  home.path_ = fs::canonical(absolute, error);
  if (error) return fail_errno(absolute.string(), error.value());
  SABLE_TRY_VOID(check_file_system(home.path_));
  for (const auto& folder : {home.path_, home.locks(), home.blobs()}) {
    SABLE_TRY_VOID(make_private_folder(folder));
  }
  SABLE_TRY(home.lock_, open_private_file(home.path_ / "home.lock"));
  return home;
}

Result<Home> Home::open(const fs::path& path) {
  SABLE_TRY(auto home, prepare(path));
  home.alone_ = try_lock(home.lock_.get(), LockKind::alone);
  if (!home.alone_ && !wait_for_lock(home.lock_.get(), LockKind::shared)) {
    return fail_errno(home.path_.string() + ": lock", errno);
  }
  return home;
}

Result<Home> Home::open_alone(const fs::path& path) {
  SABLE_TRY(auto home, prepare(path));
  if (!try_lock(home.lock_.get(), LockKind::alone)) {
    return fail(ErrorCode::denied,
                fmt::format("{} is in use by another process; stop it first", home.path_.string()));
  }
  home.alone_ = true;
  return home;
}

Result<void> Home::share() {
  if (alone_ && !try_lock(lock_.get(), LockKind::shared)) {
    return fail_errno(path_.string() + ": lock", errno);
  }
  alone_ = false;
  return {};
}

}  // namespace sable::memory
