#include "sandbox/named_by_git.h"

#include <algorithm>
#include <sys/stat.h>
#include <vector>

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

constexpr int kLinksMax = 40;

bool is_below(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

void add_stronger(NamedByGit::Paths& paths, const std::string& path, NamedByGit::Named named) {
  const auto [entry, is_new] = paths.try_emplace(path, named);
  if (!is_new && entry->second.how < named.how) entry->second = std::move(named);
}

}  // namespace

NamedByGit::NamedByGit(std::string root, GitUser user)
    : root_(std::move(root)), user_(std::move(user)) {}

void NamedByGit::add(const std::string& place) {
  if (by_place_.count(place) == 0) unread_.insert(place);
}

void NamedByGit::doubt(const std::string& path) {
  for (const auto& [place, paths] : by_place_) {
    const auto below = paths.lower_bound(path + "/");
    if (paths.count(path) != 0 || (below != paths.end() && is_below(below->first, path))) {
      unread_.insert(place);
    }
  }
}

void NamedByGit::clear() {
  by_place_.clear();
  unread_.clear();
  settings_.clear();
  readers_.clear();
  paths_.clear();
}

bool NamedByGit::refresh(GitSettings others) {
  if (others == GitSettings::open) {
    for (const auto& [file, stamp] : settings_) {
      if (stamp_of(file) == stamp) continue;
      const auto& readers = readers_[file];
      unread_.insert(readers.begin(), readers.end());
    }
  }
  if (unread_.empty()) return false;
  for (auto& [file, readers] : readers_) {
    for (const auto& place : unread_) readers.erase(place);
  }
  for (const auto& place : unread_) read(place);
  unread_.clear();
  std::erase_if(readers_, [](const auto& entry) { return entry.second.empty(); });
  std::erase_if(settings_, [&](const auto& entry) { return readers_.count(entry.first) == 0; });
  paths_.clear();
  for (const auto& [place, paths] : by_place_) {
    for (const auto& [path, named] : paths) add_stronger(paths_, path, named);
  }
  return true;
}

void NamedByGit::read(const std::string& place) {
  by_place_.erase(place);
  const auto repository = repository_at(place);
  if (!repository) return;
  // Before they are read: a change in between shows at the next look.
  const Stamp pointer = stamp_of(place);
  std::map<std::string, Stamp> before;
  const GitTargets first = git_targets(*repository, user_);
  for (const auto& file : first.settings) before[file.string()] = stamp_of(file.string());
  const GitTargets found = git_targets(*repository, user_);
  struct stat seen {};
  if (::stat(place.c_str(), &seen) == 0 && !S_ISDIR(seen.st_mode)) before[place] = pointer;
  for (const auto& [file, stamp] : before) {
    settings_[file] = stamp;
    readers_[file].insert(place);
  }
  auto& paths = by_place_[place];
  for (const auto& target : found.targets) name_way_to(paths, target);
}

// Every folder and link between the root and the target; a link's own target in the same way.
void NamedByGit::name_way_to(Paths& paths, const GitTarget& target) const {
  std::vector<std::string> left;  // names to go, the next one last
  const auto go_on_with = [&](const fs::path& path) {
    std::vector<std::string> names;
    for (const auto& name : path) {
      if (!name.empty() && name != "/" && name != ".") names.push_back(name.string());
    }
    left.insert(left.end(), names.rbegin(), names.rend());
  };
  go_on_with(target.path);
  fs::path at = "/";
  for (int n_links = 0; !left.empty();) {
    const std::string name = std::move(left.back());
    left.pop_back();
    if (name == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path next = at / name;
    struct stat seen {};
    const bool there = ::lstat(next.c_str(), &seen) == 0;
    const bool ours = is_below(next.native(), root_);
    if (there && S_ISLNK(seen.st_mode)) {
      if (ours) add_stronger(paths, next.string(), {How::link, target.why});
      std::error_code error;
      const fs::path text = fs::read_symlink(next, error);
      if (error || ++n_links > kLinksMax) return;
      if (text.is_absolute()) at = "/";
      go_on_with(text);
      continue;
    }
    at = next;
    if (!ours) continue;
    add_stronger(paths, at.string(), {left.empty() ? How::target : How::around, target.why});
  }
}

NamedByGit::Stamp NamedByGit::stamp_of(const std::string& file) {
  struct stat seen {};
  if (::stat(file.c_str(), &seen) != 0) return {};
  return {.device = seen.st_dev,
          .inode = seen.st_ino,
          .bytes = static_cast<uint64_t>(seen.st_size),
          .changed_ns = seen.st_ctim.tv_sec * 1'000'000'000 + seen.st_ctim.tv_nsec};
}

}  // namespace sable::sandbox
