#include "memory/replacement.h"

#include <cerrno>
#include <sys/stat.h>

#include "memory/file_lock.h"

namespace sable::memory {

namespace fs = std::filesystem;

Result<fs::path> make_damaged_folder(const Home& home) {
  const fs::path all = home.path() / "damaged";
  SABLE_TRY_VOID(make_private_folders(all));
  for (int number = 1;; ++number) {
    fs::path folder = all / std::to_string(number);
    if (::mkdir(folder.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return fail_errno(folder.string(), errno);
    }
    SABLE_TRY_VOID(sync_folder(all));
    return folder;
  }
}

fs::path repaired_database(const Home& home) { return home.path() / "sable.db.repaired"; }

Result<fs::path> finish_replacement(const Home& home) {
  const fs::path repaired = repaired_database(home);
  std::error_code error;
  if (!fs::exists(repaired, error)) return fs::path();
  SABLE_TRY(auto folder, make_damaged_folder(home));
  // The old write-ahead log must be gone before the new file has the name it belongs to.
  for (const char* suffix : {"-wal", "-shm", ""}) {
    const fs::path from = home.database().string() + suffix;
    fs::rename(from, folder / from.filename(), error);
    if (error && error != std::errc::no_such_file_or_directory) {
      return fail_errno(from.string(), error.value());
    }
  }
  SABLE_TRY_VOID(sync_folder(folder));
  fs::rename(repaired, home.database(), error);
  if (error) return fail_errno(repaired.string(), error.value());
  SABLE_TRY_VOID(sync_folder(home.path()));
  return folder;
}

}  // namespace sable::memory
