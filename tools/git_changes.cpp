#include "tools/git_changes.h"

#include <algorithm>
#include <deque>
#include <sys/stat.h>

#include "base/text.h"
#include "tools/beneath.h"
#include "tools/ignore_rules.h"

namespace sable::tools {

namespace {

constexpr size_t kComparedFileBytesMax = 64 << 20;
constexpr uint64_t kComparedBytesMax = uint64_t{512} << 20;
constexpr size_t kEntriesMax = 100'000;
constexpr uint32_t kTypeMask = 0170000, kLink = 0120000;

std::string with_lf(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    result += text[i];
  }
  return result;
}

bool has_id(std::string_view content, const git_oid& id) {
  git_oid own;
  return git_odb_hash(&own, content.data(), content.size(), GIT_OBJECT_BLOB) == 0 &&
         git_oid_equal(&own, &id) != 0;
}

/// Compares one file after the other with the index, within a bound on bytes read.
class Comparison {
 public:
  explicit Comparison(const WorkspaceFiles& files) : files_(files) {}

  void compare(const git_index_entry& entry, WorkspaceChanges& found) {
    GitChange change{.path = entry.path,
                     .before = GitFile{.id = entry.id, .mode = entry.mode},
                     .after_is_file = true};
    const auto state = files_.state_of(entry.path);
    if (!state) {
      // What leads out, or lies behind a link, is not the file that was added.
      change.kind = GitChange::Kind::removed;
      change.after_is_file = false;
    } else if ((entry.mode & kTypeMask) == kGitSubmodule) {
      return;  // its own repository answers for it
    } else if (!same_type(*state, entry.mode)) {
      change.kind = GitChange::Kind::retyped;
    } else if (same_content(*state, entry, found)) {
      const bool runs = (state->mode & S_IXUSR) != 0, ran = (entry.mode & S_IXUSR) != 0;
      if (runs == ran || S_ISLNK(state->mode)) return;
    }
    found.changes[entry.path] = std::move(change);
  }

 private:
  static bool same_type(const FileState& state, uint32_t mode) {
    return (mode & kTypeMask) == kLink ? S_ISLNK(state.mode) : S_ISREG(state.mode);
  }

  bool same_content(const FileState& state, const git_index_entry& entry, WorkspaceChanges& found) {
    if (S_ISLNK(state.mode)) return has_id(state.target, entry.id);
    // A time without its fraction is too coarse to vouch for a file that was written just then.
    if (state.bytes == entry.file_size && state.modified_s == entry.mtime.seconds &&
        state.modified_ns == entry.mtime.nanoseconds && state.modified_ns != 0) {
      return true;
    }
    if (n_bytes_ + state.bytes > kComparedBytesMax || state.bytes > kComparedFileBytesMax) {
      ++found.n_not_compared;
      return state.bytes == entry.file_size;
    }
    n_bytes_ += state.bytes;
    const auto loaded = files_.load(entry.path, kComparedFileBytesMax);
    if (!loaded) return false;
    return has_id(loaded->content, entry.id) ||
           (loaded->content.find("\r\n") != std::string::npos &&
            has_id(with_lf(loaded->content), entry.id));
  }

  const WorkspaceFiles& files_;
  uint64_t n_bytes_ = 0;
};

bool holds_staged_file(const GitFiles& staged, const std::string& folder) {
  const auto it = staged.files.lower_bound(folder + "/");
  return it != staged.files.end() && it->first.starts_with(folder + "/");
}

}  // namespace

char letter_of(GitChange::Kind kind) {
  switch (kind) {
    case GitChange::Kind::added:
      return 'A';
    case GitChange::Kind::changed:
      return 'M';
    case GitChange::Kind::removed:
      return 'D';
    case GitChange::Kind::retyped:
      return 'T';
  }
  return '?';
}

GitStaged staged_files(const git_index* index) {
  GitStaged result;
  if (index == nullptr) return result;
  // libgit2 counts and reads an index without changing it, but does not say so.
  auto* entries = const_cast<git_index*>(index);
  for (size_t i = 0; i < git_index_entrycount(entries); ++i) {
    const git_index_entry* entry = git_index_get_byindex(entries, i);
    if (git_index_entry_is_conflict(entry) != 0) {
      if (result.conflicts.empty() || result.conflicts.back() != entry->path) {
        result.conflicts.emplace_back(entry->path);
      }
    }
    result.staged.files[entry->path] = {.id = entry->id, .mode = entry->mode};
  }
  return result;
}

std::vector<GitChange> changes_between(const GitFiles& before, const GitFiles& after) {
  std::vector<GitChange> changes;
  auto a = before.files.begin();
  auto b = after.files.begin();
  while (a != before.files.end() || b != after.files.end()) {
    const bool only_a = b == after.files.end() || (a != before.files.end() && a->first < b->first);
    const bool only_b = a == before.files.end() || (b != after.files.end() && b->first < a->first);
    if (only_a) {
      changes.push_back({GitChange::Kind::removed, a->first, a->second, std::nullopt});
      ++a;
    } else if (only_b) {
      changes.push_back({GitChange::Kind::added, b->first, std::nullopt, b->second});
      ++b;
    } else {
      if (git_oid_equal(&a->second.id, &b->second.id) == 0 || a->second.mode != b->second.mode) {
        const bool retyped = (a->second.mode & kTypeMask) != (b->second.mode & kTypeMask);
        changes.push_back({retyped ? GitChange::Kind::retyped : GitChange::Kind::changed, a->first,
                           a->second, b->second});
      }
      ++a;
      ++b;
    }
  }
  return changes;
}

WorkspaceChanges workspace_changes(const WorkspaceFiles& files, const git_index* index) {
  WorkspaceChanges found;
  if (index == nullptr) return found;
  auto* entries = const_cast<git_index*>(index);
  Comparison comparison(files);
  for (size_t i = 0; i < git_index_entrycount(entries); ++i) {
    const git_index_entry* entry = git_index_get_byindex(entries, i);
    const bool left_alone = (entry->flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE) != 0 ||
                            (entry->flags & GIT_INDEX_ENTRY_VALID) != 0;
    if (left_alone || git_index_entry_is_conflict(entry) != 0) continue;
    comparison.compare(*entry, found);
  }
  return found;
}

UntrackedFiles untracked_files(const WorkspaceFiles& files, const GitFiles& staged,
                               std::string_view excludes) {
  using Rules = std::shared_ptr<const IgnoreRules>;
  struct Pending {
    std::string path;
    Rules rules;
  };
  UntrackedFiles found;
  std::deque<Pending> pending{{".", std::make_shared<IgnoreRules>(nullptr, ".", excludes)}};
  size_t n_visited = 0;
  while (!pending.empty()) {
    Pending here = std::move(pending.front());
    pending.pop_front();
    const auto folder = files.list(here.path);
    if (!folder) continue;
    found.cut = found.cut || folder->cut;
    if (const auto file = files.load(joined(here.path, ".gitignore"), 1 << 20)) {
      here.rules = std::make_shared<IgnoreRules>(std::move(here.rules), here.path, file->content);
    }
    for (const auto& entry : folder->entries) {
      const std::string path = joined(here.path, entry.name);
      const bool is_folder = entry.kind == FolderEntry::Kind::folder;
      if (++n_visited > kEntriesMax) {
        found.cut = true;
        return found;
      }
      if (entry.name == ".git" || entry.kind == FolderEntry::Kind::other) continue;
      if (is_folder && (holds_staged_file(staged, path))) {
        pending.push_back({path, here.rules});
      } else if (!staged.files.contains(path) && !here.rules->ignores(path, is_folder)) {
        // An empty folder is nothing to git; one of only ignored files is told all the same.
        if (is_folder) {
          const auto below = files.list(path, 2);
          if (!below || below->entries.empty()) continue;
        }
        found.paths.push_back(is_folder ? path + "/" : path);
      }
    }
  }
  std::sort(found.paths.begin(), found.paths.end());
  return found;
}

}  // namespace sable::tools
