#include "memory/working_files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <git2.h>
#include <linux/openat2.h>
#include <mutex>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/folder_stream.h"

namespace sable::memory {

namespace {

FileStamp stamp_of(const struct stat& info) {
  const auto ns = [](const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .bytes = static_cast<uint64_t>(info.st_size),
          .modified_ns = ns(info.st_mtim),
          .changed_ns = ns(info.st_ctim),
          .executable = S_ISREG(info.st_mode) && (info.st_mode & S_IXUSR) != 0,
          .link = S_ISLNK(info.st_mode)};
}

std::string reason_of(int number) { return std::strerror(number); }

}  // namespace

Result<UniqueFd> open_below(int root, const std::string& path, uint64_t flags, uint64_t mode) {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  UniqueFd fd(static_cast<int>(
      ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how)));
  if (!fd) {
    const int number = errno;
    if (number == ENOENT || number == ENOTDIR) return fail(ErrorCode::not_found, path);
    return fail_errno(path, number);
  }
  return fd;
}

IgnoreRules::IgnoreRules(const std::filesystem::path& root) {
  static std::once_flag started;
  std::call_once(started, [] { git_libgit2_init(); });
  git_repository* repository = nullptr;
  if (git_repository_open_ext(&repository, root.c_str(), 0, nullptr) != 0) return;
  repository_.reset(repository);
  const char* workdir = git_repository_workdir(repository);
  std::error_code error;
  const auto below = workdir ? std::filesystem::canonical(root, error)
                                   .lexically_relative(std::filesystem::canonical(workdir, error))
                             : std::filesystem::path();
  if (error || below.empty() || *below.begin() == "..") {
    repository_.reset();
  } else if (below != ".") {
    prefix_ = below.string() + "/";
  }
}

void IgnoreRules::Free::operator()(git_repository* repository) const {
  git_repository_free(repository);
}

void IgnoreRules::begin() {
  rules_before_ = std::exchange(rules_, {});
  if (!repository_) return;
  // What is tracked is not ignored; what is excluded only here is.
  const std::string own = git_repository_path(repository_.get());
  for (const char* name : {"index", "info/exclude"}) {
    const std::string path = own + name;
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) note_rules(path, stamp_of(info));
  }
  git_index* index = nullptr;
  if (git_repository_index(&index, repository_.get()) == 0) {
    (void)git_index_read(index, /*force=*/0);
    git_index_free(index);
  }
}

bool IgnoreRules::end() {
  for (const auto& [path, stamp] : rules_before_) {
    if (rules_.contains(path)) continue;
    answers_.clear();
    return false;
  }
  return true;
}

void IgnoreRules::note_rules(const std::string& path, const FileStamp& stamp) {
  rules_[path] = stamp;
  const auto before = rules_before_.find(path);
  if (before == rules_before_.end() || !(before->second == stamp)) answers_.clear();
}

bool IgnoreRules::ignores(const std::string& path, bool folder) {
  if (!repository_) return false;
  const std::string full = prefix_ + path + (folder ? "/" : "");
  if (const auto known = answers_.find(full); known != answers_.end()) return known->second;
  int ignored = 0;
  if (git_ignore_path_is_ignored(&ignored, repository_.get(), full.c_str()) != 0) ignored = 0;
  if (ignored != 0) {
    git_index* index = nullptr;
    if (git_repository_index(&index, repository_.get()) == 0) {
      size_t at = 0;
      const bool tracked = folder ? git_index_find_prefix(&at, index, full.c_str()) == 0
                                  : git_index_get_bypath(index, full.c_str(), 0) != nullptr;
      if (tracked) ignored = 0;
      git_index_free(index);
    }
  }
  answers_[full] = ignored != 0;
  return ignored != 0;
}

namespace {

Result<WorkingFiles> walk_once(int root, IgnoreRules& ignore, size_t n_max,
                               const std::stop_token& stop) {
  WorkingFiles found;
  ignore.begin();
  std::vector<std::string> open_folders{""};
  struct stat top {};
  if (::fstat(root, &top) != 0) return fail_errno("working directory", errno);
  for (size_t n_seen = 0; !open_folders.empty();) {
    const std::string folder = std::move(open_folders.back());
    open_folders.pop_back();
    auto fd = open_below(root, folder, O_RDONLY | O_DIRECTORY);
    if (!fd) {
      if (fd.error().code != ErrorCode::not_found) {
        found.left_out.push_back({folder, fd.error().message});
      }
      continue;
    }
    FolderStream stream(std::move(*fd));
    if (!stream) return fail_errno(folder, errno);
    const int dir_fd = stream.fd();
    std::vector<std::string> names;
    // However many there are, no more are read than can count.
    while (names.size() <= n_max - n_seen + 1) {
      const dirent* entry = stream.next();
      if (entry == nullptr) break;
      names.emplace_back(entry->d_name);
    }
    struct stat info {};
    // Its rules come before what they are about.
    if (::fstatat(dir_fd, ".gitignore", &info, AT_SYMLINK_NOFOLLOW) == 0) {
      ignore.note_rules(folder + ".gitignore", stamp_of(info));
    }
    for (const std::string& name : names) {
      if (name == ".git") continue;
      if (stop.stop_requested()) {
        return fail(ErrorCode::cancelled, "the file checkpoint was given up");
      }
      if (++n_seen > n_max) {
        return fail(ErrorCode::exhausted,
                    fmt::format("the working directory holds more than {} files and folders; its "
                                "files are not kept in checkpoints",
                                n_max));
      }
      if (::fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) found.left_out.push_back({folder + name, reason_of(errno)});
        continue;
      }
      if (info.st_dev != top.st_dev) continue;
      const bool is_folder = S_ISDIR(info.st_mode);
      if (!is_folder && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) continue;
      if (ignore.ignores(folder + name, is_folder)) continue;
      if (is_folder) {
        open_folders.push_back(folder + name + "/");
      } else {
        found.files.emplace(folder + name, stamp_of(info));
      }
    }
  }
  return found;
}

}  // namespace

Result<WorkingFiles> walk(int root, IgnoreRules& ignore, size_t n_max,
                          const std::stop_token& stop) {
  SABLE_TRY(auto found, walk_once(root, ignore, n_max, stop));
  if (ignore.end()) return found;
  return walk_once(root, ignore, n_max, stop);
}

}  // namespace sable::memory
