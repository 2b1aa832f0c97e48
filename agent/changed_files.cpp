#include "agent/changed_files.h"

#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <utility>

#include "base/folder_stream.h"

namespace sable::agent {

namespace {

struct Folder {
  std::string path;  ///< relative, ending in '/' unless it is the root
};

}  // namespace

FileScan scan_files(const std::filesystem::path& root, size_t n_files_max) {
  FileScan scan;
  std::vector<Folder> open_folders{{""}};
  size_t n_entries = 0;
  while (!open_folders.empty()) {
    const Folder folder = std::move(open_folders.back());
    open_folders.pop_back();
    UniqueFd fd(
        ::open((root / folder.path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) continue;
    FolderStream stream(std::move(fd));
    if (!stream) continue;
    while (const dirent* entry = stream.next()) {
      if (std::string_view(entry->d_name) == ".git") continue;
      if (++n_entries > n_files_max) {
        scan.complete = false;
        return scan;
      }
      struct stat info {};
      if (::fstatat(stream.fd(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      std::string path = folder.path + entry->d_name;
      if (S_ISDIR(info.st_mode)) {
        open_folders.push_back({path + "/"});
      } else if (S_ISREG(info.st_mode)) {
        scan.files.emplace(
            std::move(path),
            FileScan::Stamp{static_cast<uint64_t>(info.st_size), info.st_ino,
                            info.st_ctim.tv_sec * 1'000'000'000LL + info.st_ctim.tv_nsec});
      }
    }
  }
  return scan;
}

std::vector<std::string> changed_between(const FileScan& before, const FileScan& after) {
  std::vector<std::string> changed;
  if (!before.complete || !after.complete) return changed;
  auto a = before.files.begin();
  auto b = after.files.begin();
  while (a != before.files.end() || b != after.files.end()) {
    if (b == after.files.end() || (a != before.files.end() && a->first < b->first)) {
      changed.push_back((a++)->first);
    } else if (a == before.files.end() || b->first < a->first) {
      changed.push_back((b++)->first);
    } else {
      if (!(a->second == b->second)) changed.push_back(a->first);
      ++a;
      ++b;
    }
  }
  return changed;
}

}  // namespace sable::agent
