#include "memory/file_restore.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "memory/working_files.h"

namespace sable::memory {

namespace {

struct Place {
  UniqueFd folder;
  std::string name;
};

Result<Place> place_of(int root, const std::string& path) {
  const size_t slash = path.rfind('/');
  SABLE_TRY(auto folder, open_below(root, slash == std::string::npos ? "" : path.substr(0, slash),
                                    O_RDONLY | O_DIRECTORY));
  return Place{std::move(folder), path.substr(slash == std::string::npos ? 0 : slash + 1)};
}

Result<void> make_folders(int root, const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    SABLE_TRY(const auto place, place_of(root, path.substr(0, slash)));
    if (::mkdirat(place.folder.get(), place.name.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno(path.substr(0, slash), errno);
    }
  }
  return {};
}

/// Takes the file away, and the folders that are empty without it.
Result<void> remove_file(int root, const std::string& path) {
  auto place = place_of(root, path);
  if (!place)
    return place.error().code == ErrorCode::not_found ? Result<void>() : fail(place.error());
  if (::unlinkat(place->folder.get(), place->name.c_str(), 0) != 0 && errno != ENOENT) {
    return fail_errno(path, errno);
  }
  for (size_t slash = path.rfind('/'); slash != std::string::npos;
       slash = path.rfind('/', slash - 1)) {
    const auto folder = place_of(root, path.substr(0, slash));
    if (!folder || ::unlinkat(folder->folder.get(), folder->name.c_str(), AT_REMOVEDIR) != 0) break;
    if (slash == 0) break;
  }
  return {};
}

/// The permissions of the file that is replaced, with the executable bits as they were.
mode_t mode_for(const Place& place, bool executable) {
  struct stat info {};
  mode_t mode = 0644;
  if (::fstatat(place.folder.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(info.st_mode)) {
    mode = info.st_mode & 0777;
  }
  return executable ? mode | ((mode & 0444) >> 2) : mode & ~mode_t{0111};
}

/// Beside its place, then over it in one step.
Result<void> write_file(int root, const std::string& path, const KeptFile& file,
                        const std::string& content) {
  SABLE_TRY_VOID(make_folders(root, path));
  SABLE_TRY(const auto place, place_of(root, path));
  const int folder = place.folder.get();
  const std::string beside = fmt::format(".sable-restore-{}", ::getpid());
  (void)::unlinkat(folder, beside.c_str(), 0);
  Result<void> written;
  if (file.mode == TreeMode::link) {
    if (::symlinkat(content.c_str(), folder, beside.c_str()) != 0) {
      written = fail_errno(path, errno);
    }
  } else {
    const UniqueFd fd(::openat(folder, beside.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return fail_errno(path, errno);
    written = write_all(fd.get(), content);
    if (written && ::fchmod(fd.get(), mode_for(place, file.mode == TreeMode::program)) != 0) {
      written = fail_errno(path, errno);
    }
  }
  if (written && ::renameat(folder, beside.c_str(), folder, place.name.c_str()) != 0) {
    written = fail_errno(path, errno);
  }
  if (!written) (void)::unlinkat(folder, beside.c_str(), 0);
  return written;
}

bool is_there(int root, const std::string& path) {
  const auto place = place_of(root, path);
  struct stat info {};
  return place &&
         ::fstatat(place->folder.get(), place->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

RestorePlan plan_restore(const KeptFiles& wanted, const std::string& wanted_left_out,
                         const KeptFiles& now, const std::vector<LeftOut>& now_left_out) {
  RestorePlan plan;
  std::set<std::string> unknown_then;
  for (size_t at = 0; at < wanted_left_out.size();) {
    const size_t end = std::min(wanted_left_out.find('\0', at), wanted_left_out.size());
    unknown_then.insert(wanted_left_out.substr(at, end - at));
    at = end + 1;
  }
  std::set<std::string> unknown_now;
  for (const LeftOut& one : now_left_out) unknown_now.insert(one.path);
  for (const auto& [path, file] : now) {
    if (!wanted.contains(path) && !unknown_then.contains(path)) plan.remove.push_back(path);
  }
  std::reverse(plan.remove.begin(), plan.remove.end());
  for (const auto& [path, file] : wanted) {
    const auto there = now.find(path);
    if (there != now.end() && there->second == file) continue;
    if (unknown_now.contains(path)) {
      plan.kept.push_back({path, "it holds what no checkpoint can bring back"});
    } else {
      plan.write.emplace_back(path, file);
    }
  }
  plan.captured = now;
  return plan;
}

Result<void> check_content(const RestorePlan& plan, GitObjects& objects) {
  for (const auto& [path, file] : plan.write) {
    auto content = objects.read_blob(file.id);
    if (!content) return fail_in(to_utf8(path), content.error());
  }
  return {};
}

Result<RestoreReport> carry_out(int root, const RestorePlan& plan, GitObjects& objects) {
  RestoreReport report;
  report.kept = plan.kept;
  SABLE_TRY_VOID(check_content(plan, objects));
  for (const std::string& path : plan.remove) {
    if (const auto removed = remove_file(root, path); removed) {
      ++report.n_removed;
    } else {
      report.kept.push_back({path, removed.error().message});
    }
  }
  for (const auto& [path, file] : plan.write) {
    if (!plan.captured.contains(path) && is_there(root, path)) {
      report.kept.push_back({path, "what lies there is ignored by Git, so no checkpoint has it"});
      continue;
    }
    SABLE_TRY(const auto content, objects.read_blob(file.id));
    if (const auto written = write_file(root, path, file, content); written) {
      ++report.n_written;
    } else if (written.error().message.find("No space left") != std::string::npos) {
      return fail(ErrorCode::exhausted,
                  "the disk is full; free some space and restore the checkpoint again");
    } else {
      report.kept.push_back({path, written.error().message});
    }
  }
  if (::syncfs(root) != 0) return fail_errno("syncfs", errno);
  return report;
}

}  // namespace sable::memory
