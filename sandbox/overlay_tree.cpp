#include "sandbox/overlay_tree.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/folder_stream.h"
#include "base/text.h"
#include "sandbox/protected_paths.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

constexpr int kDepthMax = 200;
constexpr size_t kChangesMax = 1'000'000;
constexpr const char* kTemporary = ".sable-apply";
constexpr unsigned kModeBits = 0777;  // no set-id, no sticky bits

Result<std::vector<std::string>> names_in(int folder) {
  UniqueFd copy(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return fail_errno("opening a folder", errno);
  FolderStream stream(std::move(copy));
  if (!stream) return fail_errno("reading a folder", errno);
  std::vector<std::string> names;
  while (const dirent* entry = stream.next()) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<struct stat> stat_of(int folder, const std::string& name) {
  struct stat seen {};
  if (folder < 0 || ::fstatat(folder, name.c_str(), &seen, AT_SYMLINK_NOFOLLOW) != 0)
    return std::nullopt;
  return seen;
}

UniqueFd open_below(int folder, const std::string& name, int flags) {
  return UniqueFd(::openat(folder, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
}

UniqueFd open_folder_below(int folder, const std::string& name) {
  return open_below(folder, name, O_RDONLY | O_DIRECTORY);
}

bool is_whiteout(const struct stat& seen) { return S_ISCHR(seen.st_mode) && seen.st_rdev == 0; }

bool is_opaque(int folder) {
  char value = 0;
  return ::fgetxattr(folder, "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

std::string link_text(int folder, const std::string& name) {
  char text[PATH_MAX];
  const ssize_t size = ::readlinkat(folder, name.c_str(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

// Whether two regular files hold the same bytes.
bool is_same_content(int upper, int lower, const std::string& name, off_t size) {
  const UniqueFd a = open_below(upper, name, O_RDONLY), b = open_below(lower, name, O_RDONLY);
  std::vector<char> x(size_t{64} << 10), y(x.size());
  for (off_t at = 0; a && b && at < size;) {
    const ssize_t n = ::pread(a.get(), x.data(), x.size(), at);
    if (n <= 0 || ::pread(b.get(), y.data(), static_cast<size_t>(n), at) != n ||
        std::memcmp(x.data(), y.data(), static_cast<size_t>(n)) != 0) {
      return false;
    }
    at += n;
  }
  return a && b;
}

bool is_same(int upper, int lower, const std::string& name, const struct stat& now,
             const struct stat& before) {
  if ((now.st_mode & S_IFMT) != (before.st_mode & S_IFMT)) return false;
  if (S_ISLNK(now.st_mode)) return link_text(upper, name) == link_text(lower, name);
  if ((now.st_mode & kModeBits) != (before.st_mode & kModeBits)) return false;
  if (S_ISDIR(now.st_mode)) return true;
  return S_ISREG(now.st_mode) && now.st_size == before.st_size &&
         is_same_content(upper, lower, name, now.st_size);
}

Change::Type type_of(const struct stat& seen) {
  if (S_ISREG(seen.st_mode)) return Change::Type::file;
  if (S_ISDIR(seen.st_mode)) return Change::Type::folder;
  return S_ISLNK(seen.st_mode) ? Change::Type::symlink : Change::Type::other;
}

class Lister {
 public:
  Result<void> list(int upper, int lower, const fs::path& place, int depth) {
    if (depth > kDepthMax) return fail(ErrorCode::exhausted, "the changed folders are too deep");
    SABLE_TRY(const auto names, names_in(upper));
    for (const auto& name : names) {
      const auto now = stat_of(upper, name);
      if (!now) continue;
      const auto before = stat_of(lower, name);
      if (changes.size() >= kChangesMax) return fail(ErrorCode::exhausted, "too many changes");
      if (is_whiteout(*now)) {
        if (before) add(place / name, Change::Kind::removed, *before);
        continue;
      }
      UniqueFd inner_upper, inner_lower;
      bool opaque = false;
      if (S_ISDIR(now->st_mode)) {
        inner_upper = open_folder_below(upper, name);
        if (!inner_upper) return fail_errno("opening a changed folder", errno);
        opaque = is_opaque(inner_upper.get());
        if (before && S_ISDIR(before->st_mode) && !opaque) {
          inner_lower = open_folder_below(lower, name);
        }
      }
      if (!before) {
        add(place / name, Change::Kind::created, *now);
      } else if (opaque || (now->st_mode & S_IFMT) != (before->st_mode & S_IFMT)) {
        add(place / name, Change::Kind::replaced, *now);
      } else if (!is_same(upper, lower, name, *now, *before)) {
        add(place / name, Change::Kind::modified, *now);
      }
      if (inner_upper) {
        SABLE_TRY_VOID(list(inner_upper.get(), inner_lower.get(), place / name, depth + 1));
      }
    }
    return {};
  }

  std::vector<Change> changes;

 private:
  void add(fs::path path, Change::Kind kind, const struct stat& seen) {
    const bool is_protected = is_protected_place(path);
    changes.push_back({.path = std::move(path),
                       .kind = kind,
                       .type = type_of(seen),
                       .bytes = S_ISREG(seen.st_mode) && kind != Change::Kind::removed
                                    ? static_cast<uint64_t>(seen.st_size)
                                    : 0,
                       .mode = static_cast<unsigned>(seen.st_mode) & kModeBits,
                       .protected_name = is_protected});
  }
};

Result<void> remove_tree(int folder, const std::string& name, int depth);

Result<void> remove_all_in(int folder, int depth) {
  if (depth > kDepthMax) return fail(ErrorCode::exhausted, "the folders to remove are too deep");
  SABLE_TRY(const auto names, names_in(folder));
  for (const auto& name : names) {
    SABLE_TRY_VOID(remove_tree(folder, name, depth));
  }
  return {};
}

Result<void> remove_tree(int folder, const std::string& name, int depth) {
  const auto seen = stat_of(folder, name);
  if (!seen) return {};
  if (S_ISDIR(seen->st_mode)) {
    UniqueFd inner = open_folder_below(folder, name);
    if (!inner && errno == EACCES) {
      ::fchmodat(folder, name.c_str(), 0700, 0);
      inner = open_folder_below(folder, name);
    }
    if (!inner) return fail_errno("removing the folder " + escape_controls(name), errno);
    if ((seen->st_mode & 0300) != 0300) ::fchmod(inner.get(), 0700);
    SABLE_TRY_VOID(remove_all_in(inner.get(), depth + 1));
  }
  if (::unlinkat(folder, name.c_str(), S_ISDIR(seen->st_mode) ? AT_REMOVEDIR : 0) != 0 &&
      errno != ENOENT) {
    return fail_errno("removing " + escape_controls(name), errno);
  }
  return {};
}

Result<void> copy_file(int upper, int lower, const std::string& name, const struct stat& now) {
  const UniqueFd from = open_below(upper, name, O_RDONLY | O_NONBLOCK);
  if (!from) return fail_errno("opening the changed file " + escape_controls(name), errno);
  ::unlinkat(lower, kTemporary, 0);
  const UniqueFd to(
      ::openat(lower, kTemporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) return fail_errno("making " + escape_controls(name), errno);
  std::vector<char> piece(size_t{256} << 10);
  while (true) {
    const ssize_t n = ::read(from.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("reading the changed file " + escape_controls(name), errno);
    if (n == 0) break;
    SABLE_TRY_VOID(write_all(to.get(), {piece.data(), static_cast<size_t>(n)}));
  }
  if (::fchmod(to.get(), now.st_mode & kModeBits) != 0 || ::fsync(to.get()) != 0 ||
      ::renameat(lower, kTemporary, lower, name.c_str()) != 0) {
    return fail_errno("writing " + escape_controls(name), errno);
  }
  return {};
}

Result<void> copy_link(int upper, int lower, const std::string& name) {
  ::unlinkat(lower, kTemporary, 0);
  if (::symlinkat(link_text(upper, name).c_str(), lower, kTemporary) != 0 ||
      ::renameat(lower, kTemporary, lower, name.c_str()) != 0) {
    return fail_errno("linking " + escape_controls(name), errno);
  }
  return {};
}

// `exact`: nothing of the lower folder shows through.
Result<void> apply(int upper, int lower, bool exact, int depth) {
  if (depth > kDepthMax) return fail(ErrorCode::exhausted, "the changed folders are too deep");
  SABLE_TRY(const auto names, names_in(upper));
  if (exact) {
    SABLE_TRY(const auto old, names_in(lower));
    for (const auto& name : old) {
      if (std::binary_search(names.begin(), names.end(), name)) continue;
      SABLE_TRY_VOID(remove_tree(lower, name, depth));
    }
  }
  for (const auto& name : names) {
    const auto now = stat_of(upper, name);
    if (!now) continue;
    const auto before = stat_of(lower, name);
    const bool other_type = before && (now->st_mode & S_IFMT) != (before->st_mode & S_IFMT);
    if (is_whiteout(*now) || (other_type && type_of(*now) != Change::Type::other &&
                              (S_ISDIR(now->st_mode) || S_ISDIR(before->st_mode)))) {
      SABLE_TRY_VOID(remove_tree(lower, name, depth));
    }
    if (S_ISDIR(now->st_mode)) {
      if (::mkdirat(lower, name.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno("making the folder " + escape_controls(name), errno);
      }
      const UniqueFd inner_upper = open_folder_below(upper, name);
      const UniqueFd inner_lower = open_folder_below(lower, name);
      if (!inner_upper || !inner_lower) {
        return fail_errno("opening the folder " + escape_controls(name), errno);
      }
      const bool inner_exact =
          exact || !before || !S_ISDIR(before->st_mode) || is_opaque(inner_upper.get());
      SABLE_TRY_VOID(apply(inner_upper.get(), inner_lower.get(), inner_exact, depth + 1));
      if (::fchmod(inner_lower.get(), now->st_mode & kModeBits) != 0) {
        return fail_errno("setting the rights of " + escape_controls(name), errno);
      }
    } else if (before && !other_type && is_same(upper, lower, name, *now, *before)) {
      continue;
    } else if (S_ISREG(now->st_mode)) {
      SABLE_TRY_VOID(copy_file(upper, lower, name, *now));
    } else if (S_ISLNK(now->st_mode)) {
      SABLE_TRY_VOID(copy_link(upper, lower, name));
    }
  }
  if (::fsync(lower) != 0) return fail_errno("syncing a folder", errno);
  return {};
}

}  // namespace

Result<UniqueFd> open_folder(const fs::path& path) {
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return fail_errno(escape_controls(path.string()), errno);
  return folder;
}

Result<std::vector<Change>> changes_in(int upper, int lower) {
  Lister lister;
  SABLE_TRY_VOID(lister.list(upper, lower, "", 0));
  return std::move(lister.changes);
}

std::vector<fs::path> changed_since(int lower, const std::vector<Change>& changes,
                                    int64_t since_ns) {
  std::vector<fs::path> changed;
  for (const auto& change : changes) {
    const auto seen = stat_of(lower, change.path);
    if (!seen || S_ISDIR(seen->st_mode)) continue;
    if (seen->st_ctim.tv_sec * 1'000'000'000 + seen->st_ctim.tv_nsec > since_ns) {
      changed.push_back(change.path);
    }
  }
  return changed;
}

Result<void> apply_layer(int upper, int lower) { return apply(upper, lower, false, 0); }

Result<void> empty_folder(int folder) { return remove_all_in(folder, 0); }

}  // namespace sable::sandbox
