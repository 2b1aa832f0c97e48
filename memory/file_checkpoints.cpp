#include "memory/file_checkpoints.h"

#include <algorithm>
#include <climits>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "memory/checkpoint_folder.h"
#include "memory/file_restore.h"
#include "memory/git_objects.h"
#include "memory/out_of_memory.h"
#include "memory/working_files.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

// So many new files are synced one by one; more of them together.
constexpr size_t kSyncEachMax = 64;

// A file may change twice within one tick of the file system's clock without a new stamp.
constexpr int64_t kTickNs = 40'000'000;

int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

Result<std::string> content_of(int root, const std::string& path, const FileStamp& stamp) {
  if (stamp.link) {
    SABLE_TRY(const auto fd, open_below(root, path, O_PATH));
    std::string target(4096, '\0');
    const ssize_t n = ::readlinkat(fd.get(), "", target.data(), target.size());
    if (n < 0) return fail_errno(path, errno);
    target.resize(static_cast<size_t>(n));
    return target;
  }
  SABLE_TRY(const auto fd, open_below(root, path, O_RDONLY | O_NONBLOCK));
  std::string bytes(stamp.bytes + 1, '\0');  // one more, to see that it has not grown
  size_t n_read = 0;
  while (n_read < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + n_read, bytes.size() - n_read);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path, errno);
    if (n == 0) break;
    n_read += static_cast<size_t>(n);
  }
  bytes.resize(n_read);
  return bytes;
}

class GitCheckpoints : public FileCheckpoints {
 public:
  GitCheckpoints(fs::path folder, UniqueFd root, UniqueFd lock, IgnoreRules ignore, GitObjects each,
                 GitObjects bulk, CheckpointLimits limits, Log log)
      : folder_(std::move(folder)),
        root_(std::move(root)),
        lock_(std::move(lock)),
        ignore_(std::move(ignore)),
        each_(std::move(each)),
        bulk_(std::move(bulk)),
        limits_(limits),
        log_(std::move(log)) {}

  Result<FileCheckpoint> take(const std::string& session, std::stop_token stop) override {
    return unless_out_of_memory([&] { return keep_files(session, stop); });
  }

  Result<void> check(const std::string& id) override {
    return unless_out_of_memory([&]() -> Result<void> {
      SABLE_TRY(const auto plan, plan_for(id));
      return check_content(plan, each_);
    });
  }

  Result<RestoreReport> restore(const std::string& id) override {
    return unless_out_of_memory([&]() -> Result<RestoreReport> {
      SABLE_TRY(const auto plan, plan_for(id));
      return carry_out(root_.get(), plan, each_);
    });
  }

 private:
  struct Captured {
    KeptFiles files;
    std::vector<LeftOut> left_out;
    uint64_t n_stored = 0;
    bool bulk = false;
  };
  struct Known {
    FileStamp stamp;
    KeptFile kept;
    int64_t hashed_ns = 0;
  };

  Result<FileCheckpoint> keep_files(const std::string& session, const std::stop_token& stop) {
    SABLE_TRY(const auto parent, newest_checkpoint(folder_, session));
    SABLE_TRY(auto captured, capture(stop));
    GitObjects& objects = captured.bulk ? bulk_ : each_;
    SABLE_TRY(const auto files, write_folder(objects, captured.files, ""));
    std::string left_out;
    for (const LeftOut& one : captured.left_out) left_out.append(one.path).push_back('\0');
    SABLE_TRY(auto names, objects.write_blob(left_out));
    std::vector<TreeEntry> top;
    top.push_back({TreeMode::folder, "files", files});
    top.push_back({TreeMode::file, "left_out", std::move(names)});
    SABLE_TRY(const auto tree, objects.write_tree(std::move(top)));
    SABLE_TRY(const auto commit, objects.write_commit({tree, parent.value_or(ObjectId())},
                                                      "files of session " + session + "\n"));
    if (unsynced_) {
      SABLE_TRY_VOID(bulk_.sync());
      unsynced_ = false;
    }
    SABLE_TRY_VOID(write_file_atomically(folder_ / "sessions" / session, hex_of(commit), 0600));
    return FileCheckpoint{hex_of(commit), captured.files.size(), captured.n_stored,
                          std::move(captured.left_out)};
  }

  /// What there is to do to get from the files as they are to a checkpoint.
  Result<RestorePlan> plan_for(const std::string& id) {
    SABLE_TRY(const auto name, object_id(id));
    SABLE_TRY(const auto commit, each_.read_commit(name));
    SABLE_TRY(const auto top, each_.read_tree(commit.tree));
    KeptFiles wanted;
    std::string left_out;
    for (const TreeEntry& entry : top) {
      if (entry.name == "files") {
        SABLE_TRY_VOID(read_folder(entry.id, "", wanted));
      } else if (entry.name == "left_out") {
        SABLE_TRY(left_out, each_.read_blob(entry.id));
      }
    }
    SABLE_TRY(const auto captured, capture({}));
    return plan_restore(wanted, left_out, captured.files, captured.left_out);
  }

  /// Stores what the files hold now.
  Result<Captured> capture(const std::stop_token& stop) {
    SABLE_TRY(auto found, walk(root_.get(), ignore_, limits_.n_files_max, stop));
    Captured captured;
    captured.left_out = std::move(found.left_out);
    std::vector<const std::pair<const std::string, FileStamp>*> fresh;
    uint64_t new_bytes = 0;
    for (const auto& file : found.files) {
      const auto& [path, stamp] = file;
      const auto known = known_.find(path);
      if (known != known_.end() && known->second.stamp == stamp &&
          stamp.changed_ns < known->second.hashed_ns - kTickNs) {
        captured.files.emplace(path, known->second.kept);
      } else if (stamp.bytes > limits_.file_bytes_max) {
        captured.left_out.push_back(
            {path, fmt::format("larger than {} bytes", limits_.file_bytes_max)});
      } else {
        new_bytes += stamp.bytes;
        fresh.push_back(&file);
      }
    }
    if (new_bytes > limits_.new_bytes_max) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{} bytes in the working directory are new since the last file "
                              "checkpoint, more than {}",
                              new_bytes, limits_.new_bytes_max));
    }
    captured.bulk = fresh.size() > kSyncEachMax;
    unsynced_ = unsynced_ || captured.bulk;
    for (const auto* file : fresh) {
      if (stop.stop_requested()) {
        return fail(ErrorCode::cancelled, "the file checkpoint was given up");
      }
      SABLE_TRY_VOID(store(file->first, file->second, captured));
    }
    std::erase_if(known_, [&](const auto& known) { return !captured.files.contains(known.first); });
    return captured;
  }

  Result<void> store(const std::string& path, const FileStamp& stamp, Captured& captured) {
    const int64_t before = now_ns();
    const auto content = content_of(root_.get(), path, stamp);
    if (!content) {
      // Gone since the walk is gone; anything else is told.
      if (content.error().code != ErrorCode::not_found) {
        captured.left_out.push_back({path, content.error().message});
      }
      return {};
    }
    SABLE_TRY(auto id, (captured.bulk ? bulk_ : each_).write_blob(*content));
    const KeptFile kept{stamp.link         ? TreeMode::link
                        : stamp.executable ? TreeMode::program
                                           : TreeMode::file,
                        std::move(id)};
    captured.files[path] = kept;
    if (content->size() == stamp.bytes) known_[path] = {stamp, kept, before};
    ++captured.n_stored;
    return {};
  }

  /// Writes the folder `path` (empty, or ending in '/') of `files`.
  static Result<ObjectId> write_folder(GitObjects& objects, const KeptFiles& files,
                                       const std::string& path) {
    std::vector<TreeEntry> entries;
    for (auto file = files.lower_bound(path);
         file != files.end() && file->first.starts_with(path);) {
      const size_t slash = file->first.find('/', path.size());
      if (slash == std::string::npos) {
        entries.push_back({file->second.mode, file->first.substr(path.size()), file->second.id});
        ++file;
        continue;
      }
      const std::string below = file->first.substr(0, slash + 1);
      SABLE_TRY(auto id, write_folder(objects, files, below));
      entries.push_back({TreeMode::folder,
                         below.substr(path.size(), below.size() - path.size() - 1), std::move(id)});
      while (file != files.end() && file->first.starts_with(below)) ++file;
    }
    return objects.write_tree(std::move(entries));
  }

  Result<void> read_folder(const ObjectId& tree, const std::string& path, KeptFiles& files) {
    SABLE_TRY(const auto entries, each_.read_tree(tree));
    for (const TreeEntry& entry : entries) {
      if (path.size() + entry.name.size() > PATH_MAX || files.size() > limits_.n_files_max) {
        return fail(ErrorCode::corrupt, "not a checkpoint that was taken here");
      }
      if (entry.mode == TreeMode::folder) {
        SABLE_TRY_VOID(read_folder(entry.id, path + entry.name + "/", files));
      } else {
        files.emplace(path + entry.name, KeptFile{entry.mode, entry.id});
      }
    }
    return {};
  }

  const fs::path folder_;
  const UniqueFd root_;
  const UniqueFd lock_;  ///< shared: nothing is swept away meanwhile
  IgnoreRules ignore_;
  GitObjects each_, bulk_;  ///< one store; how it is synced differs
  bool unsynced_ = false;   ///< something in bulk is not durable yet, be it of one given up
  const CheckpointLimits limits_;
  const Log log_;
  std::unordered_map<std::string, Known> known_;
};

}  // namespace

Result<std::unique_ptr<FileCheckpoints>> FileCheckpoints::open(const fs::path& home,
                                                               const fs::path& root,
                                                               CheckpointLimits limits, Log log) {
  std::error_code error;
  const fs::path real = fs::canonical(root, error);
  if (error) return fail(ErrorCode::not_found, root.string() + ": " + error.message());
  UniqueFd root_fd(::open(real.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root_fd) return fail_errno(real.string(), errno);
  SABLE_TRY(const auto folder, make_checkpoint_folder(home, real));
  SABLE_TRY(auto lock, use_checkpoints(folder));
  SABLE_TRY(auto each, GitObjects::open(folder / "objects", /*sync_each=*/true));
  SABLE_TRY(auto bulk, GitObjects::open(folder / "objects", /*sync_each=*/false));
  return std::make_unique<GitCheckpoints>(folder, std::move(root_fd), std::move(lock),
                                          IgnoreRules(real), std::move(each), std::move(bulk),
                                          limits, std::move(log));
}

}  // namespace sable::memory
