#include "memory/checkpoint_carry.h"

#include <climits>
#include <set>

#include <fmt/format.h>

#include "memory/file_checkpoints.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> fail_foreign(const ObjectId& id, std::string_view how) {
  return fail(ErrorCode::corrupt, fmt::format("object {} of a checkpoint {}", hex_of(id), how));
}

}  // namespace

Result<void> visit_checkpoint_objects(
    GitObjects& objects, const ObjectId& newest,
    const std::function<Result<void>(ObjectKind, const ObjectId&, std::string_view)>& visit) {
  std::set<ObjectId> seen;
  const auto carry = [&](ObjectKind kind, const ObjectId& id) -> Result<void> {
    SABLE_TRY(const auto bytes, objects.read(id, kind));
    if (bytes.size() > kCarriedObjectBytesMax || seen.size() > kCarriedObjectsMax) {
      return fail(ErrorCode::exhausted, "the file checkpoints are too large to be carried");
    }
    return visit(kind, id, bytes);
  };
  for (ObjectId commit = newest; !commit.empty() && seen.insert(commit).second;) {
    SABLE_TRY(const auto record, objects.read_commit(commit));
    SABLE_TRY_VOID(carry(ObjectKind::commit, commit));
    std::vector<ObjectId> trees{record.tree};
    while (!trees.empty()) {
      const ObjectId tree = std::move(trees.back());
      trees.pop_back();
      if (!seen.insert(tree).second) continue;
      SABLE_TRY_VOID(carry(ObjectKind::tree, tree));
      SABLE_TRY(const auto entries, objects.read_tree(tree));
      for (const TreeEntry& entry : entries) {
        if (entry.mode == TreeMode::folder) {
          trees.push_back(entry.id);
        } else if (seen.insert(entry.id).second) {
          SABLE_TRY_VOID(carry(ObjectKind::blob, entry.id));
        }
      }
    }
    commit = record.parent;
  }
  return {};
}

Result<CheckpointReceiver> CheckpointReceiver::open(const fs::path& home, const fs::path& root) {
  SABLE_TRY(auto folder, make_checkpoint_folder(home, root));
  SABLE_TRY(auto lock, use_checkpoints(folder));
  SABLE_TRY_VOID(mark_unswept(folder));
  SABLE_TRY(auto objects, GitObjects::open(folder / "objects", /*sync_each=*/false));
  return CheckpointReceiver(std::move(folder), std::move(lock), std::move(objects));
}

Result<void> CheckpointReceiver::take(ObjectKind kind, const ObjectId& id, std::string_view bytes) {
  SABLE_TRY(const auto name, GitObjects::name_of(kind, bytes));
  if (name != id) return fail_foreign(id, "is not what its name says");
  if (came_.size() >= kCarriedObjectsMax) {
    return fail(ErrorCode::exhausted, fmt::format("more than {} objects", kCarriedObjectsMax));
  }
  if (!came_.emplace(id, kind).second) return {};
  return objects_.write_whole(kind, id, bytes);
}

Result<void> CheckpointReceiver::finish(const ObjectId& newest, const std::string& session) {
  SABLE_TRY_VOID(check_whole(newest));
  SABLE_TRY_VOID(objects_.sync());
  return set_newest_checkpoint(folder_, session, newest);
}

Result<void> CheckpointReceiver::check_came(ObjectKind kind, const ObjectId& id) const {
  const auto object = came_.find(id);
  if (object == came_.end()) return fail_foreign(id, "is missing");
  if (object->second != kind) return fail_foreign(id, "is not of the kind that it should be");
  return {};
}

Result<void> CheckpointReceiver::check_whole(ObjectId commit) {
  // Its name is made from its parent's, so the chain has an end.
  while (!commit.empty()) {
    SABLE_TRY_VOID(check_came(ObjectKind::commit, commit));
    SABLE_TRY(const auto record, objects_.read_commit(commit));
    SABLE_TRY_VOID(check_tree(record.tree));
    commit = record.parent;
  }
  return {};
}

/// Everything below is there, and is no more than a checkpoint may hold: trees share what is equal,
/// so a few small ones can stand for more files than any disk has. Without recursion, since nobody
/// knows how deep it is.
Result<void> CheckpointReceiver::check_tree(const ObjectId& root) {
  const CheckpointLimits limits;
  struct Open {
    ObjectId id;
    std::vector<TreeEntry> entries;
    size_t next = 0;
    Extent extent;
  };
  std::vector<Open> open;
  const auto enter = [&](const ObjectId& id) -> Result<void> {
    SABLE_TRY_VOID(check_came(ObjectKind::tree, id));
    SABLE_TRY(auto entries, objects_.read_tree(id));
    open.push_back({id, std::move(entries), 0, {}});
    return {};
  };
  if (extents_.contains(root)) return {};
  SABLE_TRY_VOID(enter(root));
  while (!open.empty()) {
    Open& top = open.back();
    if (top.next == top.entries.size()) {
      extents_[top.id] = top.extent;
      open.pop_back();
      continue;
    }
    const TreeEntry& entry = top.entries[top.next];
    Extent below{1, 0};
    if (entry.mode == TreeMode::folder) {
      const auto known = extents_.find(entry.id);
      if (known == extents_.end()) {
        if (open.size() > PATH_MAX / 2) return fail_foreign(root, "is nested too deep");
        const ObjectId id = entry.id;  // entering moves the entry
        SABLE_TRY_VOID(enter(id));
        continue;
      }
      below = {known->second.n_files + 1, known->second.path_bytes + 1};
    } else {
      SABLE_TRY_VOID(check_came(ObjectKind::blob, entry.id));
    }
    ++top.next;
    top.extent.n_files += below.n_files;
    top.extent.path_bytes = std::max(top.extent.path_bytes, entry.name.size() + below.path_bytes);
    if (top.extent.n_files > limits.n_files_max + 2 || top.extent.path_bytes > PATH_MAX) {
      return fail_foreign(root, "stands for more files, or longer paths, than a checkpoint holds");
    }
  }
  return {};
}

}  // namespace sable::memory
