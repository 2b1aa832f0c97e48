#include "memory/checkpoint_folder.h"

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "memory/file_lock.h"
#include "memory/home.h"
#include "memory/session_id.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

constexpr const char* kUnswept = "unswept";
constexpr const char* kLost = "lost";

Result<void> remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  return error ? fail_errno(file.string(), error.value()) : Result<void>();
}

/// What is known to be lost.
Result<std::set<ObjectId>> lost_objects(const fs::path& folder) {
  std::set<ObjectId> lost;
  const auto text = read_file(folder / kLost);
  if (!text && text.error().code == ErrorCode::not_found) return lost;
  if (!text) return fail(text.error());
  for (const auto line : split_lines(*text)) {
    if (const auto id = object_id(line)) lost.insert(*id);
  }
  return lost;
}

/// Walks everything that checkpoints are made of, each object once.
class Walk {
 public:
  enum class Blobs { named, read };  ///< whether the content of files is looked at, too

  Walk(GitObjects& objects, Blobs blobs, std::stop_token stop)
      : objects_(objects), blobs_(blobs), stop_(std::move(stop)) {}

  /// A checkpoint and those before it. Errors: cancelled.
  Result<void> visit(ObjectId commit) {
    while (!commit.empty() && needed_.insert(commit).second) {
      const auto record = objects_.read_commit(commit);
      if (!record) {
        unreadable_.insert(commit);
        return {};
      }
      SABLE_TRY_VOID(visit_tree(record->tree));
      commit = record->parent;
    }
    return {};
  }

  const std::set<ObjectId>& needed() const { return needed_; }
  const std::set<ObjectId>& unreadable() const { return unreadable_; }

 private:
  Result<void> visit_tree(const ObjectId& top) {
    std::vector<ObjectId> trees{top};
    while (!trees.empty()) {
      if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "a sweep was given up");
      const ObjectId tree = std::move(trees.back());
      trees.pop_back();
      if (!needed_.insert(tree).second) continue;
      const auto entries = objects_.read_tree(tree);
      if (!entries) {
        unreadable_.insert(tree);
        continue;
      }
      for (const TreeEntry& entry : *entries) {
        if (entry.mode == TreeMode::folder) {
          trees.push_back(entry.id);
        } else if (needed_.insert(entry.id).second && blobs_ == Blobs::read &&
                   !objects_.read_blob(entry.id)) {
          unreadable_.insert(entry.id);
        }
      }
    }
    return {};
  }

  GitObjects& objects_;
  const Blobs blobs_;
  const std::stop_token stop_;
  std::set<ObjectId> needed_, unreadable_;
};

/// Names in sessions/; `temporary`: what writers left there that died.
std::vector<std::string> names_in(const fs::path& sessions, bool temporary) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(sessions, error), end; !error && it != end; it.increment(error)) {
    auto name = it->path().filename().string();
    if (may_be_session_id(name) != temporary) names.push_back(std::move(name));
  }
  return names;
}

/// Deletes what no session needs, unless somebody uses the objects: then the mark stays.
Result<void> sweep(const fs::path& folder, const std::stop_token& stop) {
  SABLE_TRY(auto lock, open_private_file(folder / "lock"));
  if (!try_lock(lock.get(), LockKind::alone)) return {};
  SABLE_TRY(auto objects, GitObjects::open(folder / "objects", /*sync_each=*/false));
  SABLE_TRY(const auto lost, lost_objects(folder));
  Walk walk(objects, Walk::Blobs::named, stop);
  for (const auto& session : names_in(folder / "sessions", false)) {
    SABLE_TRY(const auto newest, newest_checkpoint(folder, session));
    if (newest && !walk.visit(*newest)) return {};
  }
  // New damage: what cannot be told to be unneeded stays.
  if (!std::includes(lost.begin(), lost.end(), walk.unreadable().begin(),
                     walk.unreadable().end())) {
    return {};
  }
  SABLE_TRY_VOID(objects.keep_only(walk.needed()));
  for (const auto& name : names_in(folder / "sessions", true)) {
    SABLE_TRY_VOID(remove_file(folder / "sessions" / name));
  }
  return remove_file(folder / kUnswept);
}

}  // namespace

fs::path checkpoint_folder(const fs::path& home, const fs::path& root) {
  return home / "checkpoints" / to_hex(sha256(root.string())).substr(0, 32);
}

Result<fs::path> make_checkpoint_folder(const fs::path& home, const fs::path& root) {
  fs::path folder = checkpoint_folder(home, root);
  for (const auto& needed :
       {home / "checkpoints", folder, folder / "objects", folder / "sessions"}) {
    SABLE_TRY_VOID(make_private_folder(needed));
  }
  std::error_code error;
  if (!fs::exists(folder / "root", error)) {
    SABLE_TRY_VOID(write_file_atomically(folder / "root", root.string() + "\n", 0600));
  }
  return folder;
}

Result<UniqueFd> use_checkpoints(const fs::path& folder) {
  SABLE_TRY(auto lock, open_private_file(folder / "lock"));
  if (!wait_for_lock(lock.get(), LockKind::shared)) {
    return fail_errno((folder / "lock").string(), errno);
  }
  return lock;
}

Result<std::optional<ObjectId>> newest_checkpoint(const fs::path& folder,
                                                  const std::string& session) {
  const auto text = read_file(folder / "sessions" / session, 100);
  if (!text) {
    if (text.error().code == ErrorCode::not_found) return std::nullopt;
    return fail(text.error());
  }
  SABLE_TRY(auto id, object_id(*text));
  return id;
}

Result<void> set_newest_checkpoint(const fs::path& folder, const std::string& session,
                                   const ObjectId& commit) {
  return write_file_atomically(folder / "sessions" / session, hex_of(commit), 0600);
}

Result<void> mark_unswept(const fs::path& folder) {
  SABLE_TRY_VOID(open_private_file(folder / kUnswept));
  return sync_folder(folder);
}

Result<void> share_checkpoints(const fs::path& home, const fs::path& root, const std::string& from,
                               const std::string& to) {
  const fs::path folder = checkpoint_folder(home, root);
  SABLE_TRY(const auto newest, newest_checkpoint(folder, from));
  return newest ? set_newest_checkpoint(folder, to, *newest) : Result<void>();
}

Result<void> forget_checkpoints(const fs::path& home, const fs::path& root,
                                const std::string& session, const std::stop_token& stop) {
  return forget_checkpoints_in(checkpoint_folder(home, root), session, stop);
}

Result<void> forget_checkpoints_in(const fs::path& folder, const std::string& session,
                                   const std::stop_token& stop) {
  std::error_code error;
  if (fs::exists(folder / "sessions" / session, error)) {
    SABLE_TRY_VOID(mark_unswept(folder));
    SABLE_TRY_VOID(remove_file(folder / "sessions" / session));
    SABLE_TRY_VOID(sync_folder(folder / "sessions"));
  }
  return fs::exists(folder / kUnswept, error) ? sweep(folder, stop) : Result<void>();
}

std::vector<fs::path> checkpoint_folders(const fs::path& home) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(home / "checkpoints", error), end; !error && it != end;
       it.increment(error)) {
    folders.push_back(it->path());
  }
  return folders;
}

std::vector<std::pair<fs::path, std::string>> checkpointed_sessions(const fs::path& home) {
  std::vector<std::pair<fs::path, std::string>> found;
  for (const auto& folder : checkpoint_folders(home)) {
    for (auto& session : names_in(folder / "sessions", false)) {
      found.emplace_back(folder, std::move(session));
    }
  }
  return found;
}

Result<std::vector<CheckpointDamage>> check_checkpoints(const fs::path& home,
                                                        const std::set<fs::path>& passed_over) {
  std::vector<CheckpointDamage> found;
  for (const auto& folder : checkpoint_folders(home)) {
    SABLE_TRY(const auto lock, use_checkpoints(folder));
    SABLE_TRY(auto objects, GitObjects::open(folder / "objects", /*sync_each=*/false));
    SABLE_TRY(const auto known, lost_objects(folder));
    std::map<std::string, ObjectId> newest_of;
    Walk all(objects, Walk::Blobs::read, {});
    for (const auto& session : names_in(folder / "sessions", false)) {
      if (passed_over.contains(folder / "sessions" / session)) continue;
      SABLE_TRY(const auto newest, newest_checkpoint(folder, session));
      if (!newest) continue;
      newest_of[session] = *newest;
      SABLE_TRY_VOID(all.visit(*newest));
    }
    const auto root = read_file(folder / "root");
    CheckpointDamage damage{.folder = folder, .root = root ? *root : std::string()};
    while (damage.root.ends_with('\n')) damage.root.pop_back();
    for (const auto& id : all.unreadable()) {
      if (!known.contains(id) || !objects.is_missing(id)) damage.lost.insert(id);
    }
    if (damage.lost.empty()) continue;
    for (const auto& [session, newest] : newest_of) {
      Walk its(objects, Walk::Blobs::named, {});
      SABLE_TRY_VOID(its.visit(newest));
      const bool concerned = std::any_of(damage.lost.begin(), damage.lost.end(),
                                         [&](const auto& id) { return its.needed().contains(id); });
      if (concerned) damage.sessions.insert(session);
    }
    found.push_back(std::move(damage));
  }
  return found;
}

Result<void> note_lost_objects(const fs::path& folder, const std::set<ObjectId>& lost) {
  SABLE_TRY(auto all, lost_objects(folder));
  all.insert(lost.begin(), lost.end());
  std::string text;
  for (const auto& id : all) text += hex_of(id) + "\n";
  return write_file_atomically(folder / kLost, text, 0600);
}

Result<void> sweep_checkpoints(const fs::path& home, Sweep which) {
  for (const auto& folder : checkpoint_folders(home)) {
    std::error_code error;
    if (which == Sweep::marked && !fs::exists(folder / kUnswept, error)) continue;
    SABLE_TRY_VOID(sweep(folder, {}));
  }
  return {};
}

}  // namespace sable::memory
