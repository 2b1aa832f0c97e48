// Reading the names in a folder.
#pragma once

#include <cerrno>
#include <dirent.h>
#include <memory>
#include <string_view>

#include "base/unique_fd.h"

namespace sable {

/// The entries of an open folder, without "." and "..", in the file system's order (readdir(3)).
class FolderStream {
 public:
  /// Takes the folder; when that fails, the stream is false and errno says why.
  explicit FolderStream(UniqueFd folder) : stream_(::fdopendir(folder.get())) {
    if (stream_) (void)folder.release();  // the stream closes it now
  }

  explicit operator bool() const { return stream_ != nullptr; }
  int fd() const { return ::dirfd(stream_.get()); }

  /// The next entry, valid until the one after it; null at the end, or where errno is not 0.
  const dirent* next() {
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream_.get());
      if (entry == nullptr) return nullptr;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") return entry;
    }
  }

 private:
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  std::unique_ptr<DIR, Close> stream_;
};

}  // namespace sable
