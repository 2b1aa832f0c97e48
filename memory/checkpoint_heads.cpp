#include "memory/checkpoint_heads.h"

#include <algorithm>
#include <set>

#include "memory/rewind.h"
#include "memory/session_id.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

/// One session's file compared with its log, of which nothing may be known.
class Comparison {
 public:
  Comparison(GitObjects& objects, const std::vector<ObjectId>& told)
      : objects_(objects), told_(told) {}

  /// How it is wrong; nullptr: it is not, as far as can be known. Errors: io.
  Result<const char*> how_wrong(const fs::path& folder, const std::string& session) {
    std::error_code error;
    const auto kind = fs::symlink_status(folder / "sessions" / session, error).type();
    if (kind == fs::file_type::not_found) {
      SABLE_TRY(const auto newest, newest_readable());
      return newest ? "is missing" : nullptr;
    }
    if (kind != fs::file_type::regular) return "is not a file";
    if (!may_be_session_id(session)) return nullptr;  // left by a writer that died
    const auto newest = newest_checkpoint(folder, session);
    if (!newest && newest.error().code == ErrorCode::io) return fail(newest.error());
    if (!newest) return "is damaged";
    if (!*newest || told_.empty()) return nullptr;
    return leads_to_told(**newest);
  }

  /// In the log, from the newest on.
  Result<std::optional<ObjectId>> newest_readable() {
    for (auto id = told_.rbegin(); id != told_.rend(); ++id) {
      SABLE_TRY(const auto record, commit(*id));
      if (record) return std::optional(*id);
    }
    return std::optional<ObjectId>();
  }

 private:
  /// None when it is missing or damaged. Errors: io; what cannot be read now is not given up.
  Result<std::optional<CommitRecord>> commit(const ObjectId& id) {
    auto record = objects_.read_commit(id);
    if (record) return std::optional(std::move(*record));
    if (record.error().code == ErrorCode::io) return fail(record.error());
    return std::optional<CommitRecord>();
  }

  /// From the one that the file names through those before it to the newest that the log tells of.
  Result<const char*> leads_to_told(const ObjectId& newest) {
    std::set<ObjectId> seen;
    for (ObjectId id = newest; !id.empty() && seen.insert(id).second;) {
      if (id == told_.back()) return nullptr;
      SABLE_TRY(const auto record, commit(id));
      if (!record && id != newest) return nullptr;  // an object is damaged, not the file
      if (!record) {
        SABLE_TRY(const auto right, newest_readable());
        return right ? "names a checkpoint that is not there" : nullptr;
      }
      id = record->parent;
    }
    // The newest in the log is lost where an earlier repair had to take one before it.
    SABLE_TRY(const auto last, commit(told_.back()));
    if (!last) return nullptr;
    return "names another checkpoint than the log";
  }

  GitObjects& objects_;
  const std::vector<ObjectId>& told_;
};

Result<void> compare(const fs::path& folder, const std::set<std::string>& names,
                     const CheckpointsInLog& told, std::vector<WrongHead>& wrong) {
  static const std::vector<ObjectId> kNone;
  SABLE_TRY(const auto lock, use_checkpoints(folder));
  SABLE_TRY(auto objects, GitObjects::open(folder / "objects", /*sync_each=*/false));
  for (const auto& name : names) {
    const auto in_log = told.find(name);
    Comparison comparison(objects, in_log == told.end() ? kNone : in_log->second.ids);
    SABLE_TRY(const auto* how, comparison.how_wrong(folder, name));
    if (how == nullptr) continue;
    SABLE_TRY(auto right, comparison.newest_readable());
    wrong.push_back({folder, name, how, std::move(right)});
  }
  return {};
}

}  // namespace

void ToldCheckpoints::take(const Event& event) {
  const char* key = event.type == "files.checkpointed" ? "checkpoint"
                    : event.type == kRewound           ? "files_before"
                                                       : nullptr;
  if (key == nullptr) return;
  if (auto id = object_id(string_or(event.data, key, ""))) ids.push_back(std::move(*id));
}

Result<std::vector<WrongHead>> wrong_heads(const Home& home, const CheckpointsInLog& told) {
  std::map<fs::path, std::set<std::string>> names;
  for (const auto& folder : checkpoint_folders(home.path())) {
    std::error_code error;
    for (fs::directory_iterator it(folder / "sessions", error), end; !error && it != end;
         it.increment(error)) {
      names[folder].insert(it->path().filename().string());
    }
  }
  for (const auto& [session, checkpoints] : told) {
    const auto folder = checkpoint_folder(home.path(), checkpoints.working_directory);
    std::error_code error;
    if (!checkpoints.ids.empty() && fs::exists(folder, error)) names[folder].insert(session);
  }
  std::vector<WrongHead> wrong;
  for (const auto& [folder, sessions] : names) {
    SABLE_TRY_VOID(compare(folder, sessions, told, wrong));
  }
  return wrong;
}

}  // namespace sable::memory
