#include "sandbox/memory_cgroup.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "base/file.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "sable-";
constexpr int kAttempts = 3;
constexpr size_t kFileBytesMax = 64 << 10;
constexpr uint64_t kTrialBytes = uint64_t{64} << 20;
constexpr std::chrono::milliseconds kEndPatience{250};  // for what is still ending when we end

struct Setting {
  const char* file;
  std::string value;
  bool required;
};

// In the order in which they must be written.
std::vector<Setting> settings_for(int version, uint64_t bytes) {
  const std::string limit = std::to_string(bytes);
  if (version == 1) {
    // Without swap accounting there is no second file, and then no swap is charged to anybody.
    return {{"memory.limit_in_bytes", limit, true}, {"memory.memsw.limit_in_bytes", limit, false}};
  }
  return {{"memory.max", limit, true},
          {"memory.swap.max", "0", false},
          {"memory.oom.group", "1", true}};
}

// A control file exists or not; it is never made.
Result<void> write_setting(const fs::path& file, std::string_view value) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_errno(file.string(), errno);
  if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return fail_errno(file.string(), errno);
  }
  return {};
}

// The number after "KEY " at the beginning of a line; 0 without one.
uint64_t count_of(std::string_view text, std::string_view key) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const auto line = text.substr(at, end - at);
    if (line.size() > key.size() + 1 && line.starts_with(key) && line[key.size()] == ' ') {
      return std::strtoull(std::string(line.substr(key.size() + 1)).c_str(), nullptr, 10);
    }
    at = end + 1;
  }
  return 0;
}

/// Whether a process that goes in arrives. Nothing but system calls after the clone.
Result<void> try_entrance(const LimitedCgroup& group) {
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid < 0) return fail_errno("clone", errno);
  if (pid == 0) ::_exit(::write(group.entrance.get(), "0", 1) == 1 ? 0 : errno);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno("waitpid", errno);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail_errno("entering " + group.folder.string(),
                    WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT);
}

/// What a process that was killed has left: its lock is free, and its calls died with it. Whatever
/// is not empty yet stays for the next one.
void remove_stale(const fs::path& place) {
  std::error_code error;
  for (fs::directory_iterator it(place, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(kPrefix)) continue;
    const UniqueFd lock = lock_folder(it->path());
    if (!lock) continue;
    std::error_code ignored;
    for (fs::directory_iterator call(it->path(), ignored); !ignored && call != end;
         call.increment(ignored)) {
      if (call->is_directory(ignored)) ::rmdir(call->path().c_str());
    }
    ::rmdir(it->path().c_str());
  }
}

/// The kernel kills one process at the limit; that the others go too is ours to do.
Result<UniqueFd> raise_alarm(const fs::path& folder) {
  UniqueFd alarm(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!alarm) return fail_errno("eventfd", errno);
  const auto control = folder / "memory.oom_control";
  const UniqueFd watched(::open(control.c_str(), O_RDONLY | O_CLOEXEC));
  if (!watched) return fail_errno(control.string(), errno);
  SABLE_TRY_VOID(write_setting(folder / "cgroup.event_control",
                               std::to_string(alarm.get()) + " " + std::to_string(watched.get())));
  return alarm;
}

/// `folder` is fresh.
Result<LimitedCgroup> limited(fs::path folder, int version, uint64_t bytes) {
  LimitedCgroup group{.folder = std::move(folder), .entrance = {}, .alarm = {}};
  SABLE_TRY_VOID(write_memory_limit(group.folder, version, bytes));
  if (version == 1) {
    SABLE_TRY(group.alarm, raise_alarm(group.folder));
  }
  if (version == 2) {
    group.door = UniqueFd(::open(group.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!group.door) return fail_errno(group.folder.string(), errno);
  }
  const auto procs = group.folder / "cgroup.procs";
  group.entrance = UniqueFd(::open(procs.c_str(), O_WRONLY | O_CLOEXEC));
  if (!group.entrance) return fail_errno(procs.string(), errno);
  return group;
}

}  // namespace

MemoryCgroup::MemoryCgroup(std::shared_ptr<MemoryCgroups> owner, LimitedCgroup group, int version)
    : owner_(std::move(owner)), group_(std::move(group)), version_(version) {}

MemoryCgroup::~MemoryCgroup() {
  group_.entrance.reset();
  group_.alarm.reset();
  owner_->remove(std::move(group_.folder));
}

Result<void> write_memory_limit(const fs::path& folder, int version, uint64_t bytes) {
  for (const auto& setting : settings_for(version, bytes)) {
    const auto file = folder / setting.file;
    if (!setting.required && ::access(file.c_str(), F_OK) != 0) continue;
    SABLE_TRY_VOID(write_setting(file, setting.value));
  }
  return {};
}

bool memory_limit_was_reached(const fs::path& folder, int version) {
  const auto text =
      read_file(folder / (version == 1 ? "memory.oom_control" : "memory.events"), kFileBytesMax);
  return text && count_of(*text, "oom_kill") > 0;
}

Result<std::shared_ptr<MemoryCgroups>> MemoryCgroups::open(const CgroupPlace& place) {
  remove_stale(place.folder);
  std::shared_ptr<MemoryCgroups> groups;
  for (int i = 0; i < kAttempts && !groups; ++i) {
    std::string folder = (place.folder / (std::string(kPrefix) + "XXXXXX")).string();
    if (::mkdtemp(folder.data()) == nullptr) return fail_errno(place.folder.string(), errno);
    UniqueFd lock = lock_folder(folder);
    struct stat held {
    }, there{};
    // Another one that opens may have taken it for a leftover before it was locked.
    if (!lock || ::fstat(lock.get(), &held) != 0 || ::stat(folder.c_str(), &there) != 0 ||
        held.st_ino != there.st_ino) {
      continue;
    }
    groups.reset(new MemoryCgroups(place, std::move(folder), std::move(lock)));
  }
  if (!groups) return fail(ErrorCode::io, place.folder.string() + ": what was made there vanished");
  if (place.version == 2) {
    SABLE_TRY_VOID(write_setting(groups->folder_ / "cgroup.subtree_control", "+memory"));
  }
  SABLE_TRY(const auto trial, groups->make_limited(kTrialBytes));
  const auto entered = try_entrance(trial);
  groups->remove(trial.folder);
  SABLE_TRY_VOID(entered);
  groups->worker_ = std::jthread(
      [owner = groups.get()](const std::stop_token& stop) { owner->work_ahead(stop); });
  return groups;
}

MemoryCgroups::~MemoryCgroups() {
  worker_.request_stop();
  if (worker_.joinable()) worker_.join();
  if (ahead_) leftovers_.push_back(std::move(ahead_->folder));
  ahead_.reset();
  const auto until = std::chrono::steady_clock::now() + kEndPatience;
  while (true) {
    remove_leftovers();
    if (leftovers_.empty() || std::chrono::steady_clock::now() > until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ::rmdir(folder_.c_str());
}

Result<std::unique_ptr<MemoryCgroup>> MemoryCgroups::make(uint64_t bytes) {
  std::optional<LimitedCgroup> group;
  {
    const std::lock_guard lock(mutex_);
    if (bytes == bytes_wanted_) {
      group = std::exchange(ahead_, std::nullopt);
    } else if (ahead_) {
      leftovers_.push_back(std::move(ahead_->folder));
      ahead_.reset();
    }
    bytes_wanted_ = bytes;
    wants_work_ = true;
  }
  was_taken_.notify_one();
  if (!group) {
    SABLE_TRY(group, make_limited(bytes));
  }
  return std::make_unique<MemoryCgroup>(shared_from_this(), std::move(*group), place_.version);
}

Result<LimitedCgroup> MemoryCgroups::make_limited(uint64_t bytes) {
  fs::path folder;
  {
    const std::lock_guard lock(mutex_);
    folder = folder_ / ("call-" + std::to_string(++n_made_));
  }
  if (::mkdir(folder.c_str(), 0755) != 0) return fail_errno(folder.string(), errno);
  auto group = limited(folder, place_.version, bytes);
  if (!group) remove(std::move(folder));
  return group;
}

// Nobody is told of an error here: the next call meets it too, and says it.
void MemoryCgroups::work_ahead(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (was_taken_.wait(lock, stop, [&] { return wants_work_; })) {
    wants_work_ = false;
    const uint64_t bytes = bytes_wanted_;
    if (!ahead_) {
      lock.unlock();
      auto group = make_limited(bytes);
      lock.lock();
      if (group && bytes == bytes_wanted_ && !ahead_) {
        ahead_ = std::move(*group);
      } else if (group) {
        leftovers_.push_back(std::move(group->folder));
      }
    }
    lock.unlock();
    remove_leftovers();
    lock.lock();
  }
}

// Not now: somebody waits for the end of this call, and something in the group may still be ending.
void MemoryCgroups::remove(fs::path folder) {
  const std::lock_guard lock(mutex_);
  leftovers_.push_back(std::move(folder));
}

void MemoryCgroups::remove_leftovers() {
  std::vector<fs::path> folders;
  {
    const std::lock_guard lock(mutex_);
    folders.swap(leftovers_);
  }
  std::erase_if(folders, [](const fs::path& folder) {
    return ::rmdir(folder.c_str()) == 0 || errno != EBUSY;
  });
  const std::lock_guard lock(mutex_);
  leftovers_.insert(leftovers_.end(), folders.begin(), folders.end());
}

Result<std::shared_ptr<MemoryCgroups>> open_memory_cgroups() {
  SABLE_TRY(const auto place, memory_cgroup_place());
  return MemoryCgroups::open(place);
}

}  // namespace sable::sandbox
