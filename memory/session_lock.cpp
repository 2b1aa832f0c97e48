#include "memory/session_lock.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "memory/event_record.h"
#include "memory/file_lock.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

// One disk sector, written at once: a JSON line, then its SHA-256.
constexpr size_t kRecordBytes = 512;
constexpr size_t kHexBytes = 64;

struct Record {
  int pid = 0;
  std::string host;
  std::string started;  // of the process: clock ticks since boot, tells a reused pid apart
  AcknowledgedHead head;
};

std::string host_name() {
  char name[64] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? to_utf8(name) : "unknown";
}

/// Field 22 of /proc/self/stat (proc(5)).
std::string process_start() {
  UniqueFd fd(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  char buffer[1024];
  const ssize_t n = fd ? ::read(fd.get(), buffer, sizeof buffer) : -1;
  if (n <= 0) return "unknown";
  std::string_view text(buffer, static_cast<size_t>(n));
  text.remove_prefix(std::min(text.rfind(')'), text.size()));  // the name may hold spaces
  for (int field = 2; field < 22; ++field) {
    text.remove_prefix(std::min(text.find(' '), text.size() - 1) + 1);
  }
  return std::string(text.substr(0, text.find(' ')));
}

std::string encode(int64_t fence, const AcknowledgedHead& head) {
  static const std::string kProcess =
      dump_json(Json{{"host", host_name()}, {"started", process_start()}});
  std::string line = fmt::format(R"({{"pid":{},"process":{},"fence":{},"seq":{},"hash":"{}"}})",
                                 ::getpid(), kProcess, fence, head.seq, to_hex(head.hash));
  line.resize(kRecordBytes - kHexBytes - 2, ' ');
  line.push_back('\n');
  return line + to_hex(sha256(line)) + "\n";
}

/// Empty when the file is fresh, torn or damaged.
std::optional<Record> read_record(int fd) {
  std::array<char, kRecordBytes> buffer;
  if (::pread(fd, buffer.data(), buffer.size(), 0) != static_cast<ssize_t>(buffer.size())) {
    return std::nullopt;
  }
  const std::string_view text(buffer.data(), buffer.size());
  const auto line = text.substr(0, kRecordBytes - kHexBytes - 1);
  if (to_hex(sha256(line)) != text.substr(line.size(), kHexBytes)) return std::nullopt;
  const auto json = parse_json(line);
  if (!json || !json->is_object()) return std::nullopt;
  const auto hash = digest_from_hex(string_or(*json, "hash", ""));
  if (!hash || !(*json)["pid"].is_number_integer() || !(*json)["seq"].is_number_unsigned()) {
    return std::nullopt;
  }
  const Json& process = (*json)["process"];
  return Record{(*json)["pid"].get<int>(),
                string_or(process, "host", "unknown"),
                string_or(process, "started", "unknown"),
                {(*json)["seq"].get<Seq>(), *hash}};
}

bool is_held(int fd) {
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

Result<SessionLock> SessionLock::acquire(const fs::path& locks, const std::string& session) {
  SessionLock lock;
  lock.file_ = locks / session;
  do {
    lock.fd_ =
        UniqueFd(::open(lock.file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.fd_) return fail_errno(lock.file_.string(), errno);
    if (!try_lock(lock.fd_.get(), LockKind::alone)) {
      if (errno != EAGAIN && errno != EACCES) return fail_errno(lock.file_.string(), errno);
      const auto owner = read_record(lock.fd_.get());
      lock.fd_.reset();
      const auto name = owner ? fmt::format("process {} on {}", owner->pid, owner->host)
                              : std::string("another process");
      return fail(ErrorCode::denied,
                  fmt::format("session {} is owned by {}; attach to it there if that is sable "
                              "serve, or: sable session fork {}",
                              session, name, session));
    }
  } while (!leads_to(lock.file_, lock.fd_.get()));
  if (const auto record = read_record(lock.fd_.get())) {
    lock.left_behind_ = record->head;
  } else {
    lock.ours_ = true;
  }
  return lock;
}

SessionLock::~SessionLock() {
  if (fd_ && ours_ && leads_to(file_, fd_.get())) ::unlink(file_.c_str());
}

void SessionLock::record(int64_t fence, const AcknowledgedHead& head) {
  const std::string record = encode(fence, head);
  if (::pwrite(fd_.get(), record.data(), record.size(), 0) == static_cast<ssize_t>(record.size())) {
    ours_ = true;
  }
}

bool is_owned(const fs::path& locks, const std::string& session) {
  const UniqueFd fd(::open((locks / session).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd && is_held(fd.get());
}

std::optional<int> live_owner(const fs::path& locks, const std::string& session) {
  const fs::path file = locks / session;
  UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd || !is_held(fd.get())) return std::nullopt;
  const auto record = read_record(fd.get());
  // Between its lock and its first record an owner has no name yet.
  return record ? std::optional(record->pid) : std::nullopt;
}

std::vector<std::string> sessions_with_lock_file(const fs::path& locks) {
  std::vector<std::string> sessions;
  std::error_code error;
  for (fs::directory_iterator it(locks, error), end; !error && it != end; it.increment(error)) {
    sessions.push_back(it->path().filename().string());
  }
  return sessions;
}

std::optional<AcknowledgedHead> recorded_head(const fs::path& locks, const std::string& session) {
  const fs::path file = locks / session;
  UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return std::nullopt;
  const auto record = read_record(fd.get());
  return record ? std::optional(record->head) : std::nullopt;
}

}  // namespace sable::memory
