#include "runtime/config/trust.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"

namespace sable::runtime::config {

namespace {

constexpr int kVersion = 1;
constexpr size_t kStoreBytesMax = size_t{16} << 20;
constexpr size_t kGrantsPerRepositoryMax = 16;

/// Holds other processes off while the store is read, changed and written.
Result<UniqueFd> lock(const std::filesystem::path& home) {
  const auto path = home / "trust.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(path.string(), errno);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno(path.string() + ": lock", errno);
  }
  return fd;
}

std::map<std::string, std::string> digests_of(const std::vector<BroughtFile>& files) {
  std::map<std::string, std::string> digests;
  for (const auto& file : files) digests[file.path] = to_hex(sha256(file.content));
  return digests;
}

}  // namespace

struct TrustStore::Grant {
  std::string repository, digest, time;
  std::map<std::string, std::string> files;  ///< path to SHA-256, to say what changed since

  Json to_json() const {
    return {{"repository", repository}, {"digest", digest}, {"time", time}, {"files", files}};
  }

  /// Nothing when it does not have exactly this shape.
  static std::optional<Grant> from_json(const Json& json) {
    Grant grant;
    if (!json.is_object() || json.size() != 4) return std::nullopt;
    const auto text = [&](const char* key, std::string& out) {
      const auto found = json.find(key);
      if (found == json.end() || !found->is_string()) return false;
      out = found->get<std::string>();
      return true;
    };
    if (!text("repository", grant.repository) || !text("digest", grant.digest) ||
        !text("time", grant.time)) {
      return std::nullopt;
    }
    const auto files = json.find("files");
    if (files == json.end() || !files->is_object()) return std::nullopt;
    for (const auto& [path, digest] : files->items()) {
      if (!digest.is_string()) return std::nullopt;
      grant.files[path] = digest.get<std::string>();
    }
    return grant;
  }
};

TrustStore::TrustStore(std::filesystem::path home, const Clock& clock)
    : home_(std::move(home)), clock_(&clock) {}

Result<std::vector<TrustStore::Grant>> TrustStore::read() const {
  struct stat info;
  if (::lstat(file().c_str(), &info) != 0) {
    const int number = errno;
    if (number == ENOENT || number == ENOTDIR) return std::vector<Grant>{};
    return fail_errno(file().string(), number);
  }
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 022) != 0) {
    return fail(ErrorCode::denied,
                file().string() +
                    ": others may have written it; it must be a plain file of yours "
                    "that only you may write (chmod 600), or be removed");
  }
  SABLE_TRY(const auto text, read_file(file(), kStoreBytesMax));
  const auto damaged = [&] {
    return fail(ErrorCode::corrupt, file().string() +
                                        ": damaged; remove it, and each repository's tools and "
                                        "agents will be asked about again");
  };
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return damaged();
  const auto version = json->find("version");
  if (version == json->end() || !version->is_number_integer()) return damaged();
  if (*version != kVersion) {
    return fail(ErrorCode::unsupported,
                fmt::format("{}: written by a newer version", file().string()));
  }
  const auto list = json->find("grants");
  if (list == json->end() || !list->is_array()) return damaged();
  std::vector<Grant> grants;
  for (const auto& entry : *list) {
    auto grant = Grant::from_json(entry);
    if (!grant) return damaged();
    grants.push_back(std::move(*grant));
  }
  return grants;
}

Result<void> TrustStore::write(std::vector<Grant> grants) const {
  while (true) {
    Json list = Json::array();
    for (const auto& grant : grants) list.push_back(grant.to_json());
    const auto text = dump_json({{"version", kVersion}, {"grants", std::move(list)}}) + "\n";
    if (text.size() <= kStoreBytesMax) return write_file_atomically(file(), text, 0600);
    SABLE_CHECK(!grants.empty());
    grants.erase(grants.begin());  // oldest first
  }
}

Result<Verdict> TrustStore::check(BroughtContent content) const {
  Verdict verdict;
  if (content.files.empty()) return verdict;
  SABLE_TRY(const auto grants, read());
  const Grant* last = nullptr;
  for (const auto& grant : grants) {
    if (grant.repository != content.repository.string()) continue;
    last = &grant;
    if (grant.digest == content.digest) {
      verdict.state = Verdict::State::trusted;
      verdict.trusted = TrustedContent(std::move(content));
      return verdict;
    }
  }
  if (last == nullptr) {
    verdict.state = Verdict::State::unknown;
    for (const auto& file : content.files) verdict.added.push_back(file.path);
    return verdict;
  }
  verdict.state = Verdict::State::changed;
  const auto now = digests_of(content.files);
  for (const auto& [path, digest] : now) {
    const auto before = last->files.find(path);
    if (before == last->files.end()) {
      verdict.added.push_back(path);
    } else if (before->second != digest) {
      verdict.modified.push_back(path);
    }
  }
  for (const auto& [path, digest] : last->files) {
    if (now.count(path) == 0) verdict.removed.push_back(path);
  }
  return verdict;
}

Result<void> TrustStore::grant(const BroughtContent& content) const {
  std::error_code error;
  std::filesystem::create_directories(home_.parent_path(), error);
  if (::mkdir(home_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(home_.string(), errno);
  }
  SABLE_TRY(const auto held, lock(home_));
  SABLE_TRY(auto grants, read());
  const auto repository = content.repository.string();
  std::erase_if(grants, [&](const Grant& grant) {
    return grant.repository == repository && grant.digest == content.digest;
  });
  grants.push_back({.repository = repository,
                    .digest = content.digest,
                    .time = to_rfc3339(clock_->wall_now()),
                    .files = digests_of(content.files)});
  const auto of_repository = [&](const Grant& grant) { return grant.repository == repository; };
  if (std::count_if(grants.begin(), grants.end(), of_repository) >
      static_cast<std::ptrdiff_t>(kGrantsPerRepositoryMax)) {
    grants.erase(std::find_if(grants.begin(), grants.end(), of_repository));
  }
  return write(std::move(grants));
}

Result<bool> TrustStore::revoke(const std::filesystem::path& repository) const {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(repository, error);
  if (error) return fail_errno(repository.string(), error.value());
  auto resolved = std::filesystem::weakly_canonical(absolute, error);
  if (error) resolved = absolute.lexically_normal();
  if (!std::filesystem::exists(home_, error)) return false;
  SABLE_TRY(const auto held, lock(home_));
  SABLE_TRY(auto grants, read());
  // "repo/" and "repo" are one folder.
  const auto text = resolved.has_filename() ? resolved.string() : resolved.parent_path().string();
  const auto n_removed =
      std::erase_if(grants, [&](const Grant& grant) { return grant.repository == text; });
  if (n_removed == 0) return false;
  SABLE_TRY_VOID(write(std::move(grants)));
  return true;
}

std::string_view name_of(Verdict::State state) {
  switch (state) {
    case Verdict::State::empty:
      return "empty";
    case Verdict::State::trusted:
      return "trusted";
    case Verdict::State::unknown:
      return "unknown";
    case Verdict::State::changed:
      return "changed";
  }
  SABLE_CHECK(false);
}

std::string to_text(const Verdict& verdict) {
  switch (verdict.state) {
    case Verdict::State::empty:
      return "";
    case Verdict::State::trusted:
      return "this repository's tools and agents are trusted";
    case Verdict::State::unknown:
    case Verdict::State::changed:
      break;
  }
  const bool changed = verdict.state == Verdict::State::changed;
  std::string text = changed ? "this repository's tools and agents have changed since you trusted "
                               "them, so they are not loaded; look at them and run `sable trust`:"
                             : "this repository brings tools or agents of its own, which are not "
                               "loaded; look at them and run `sable trust`:";
  const auto lines = [&](std::string_view what, const std::vector<std::string>& paths) {
    for (const auto& path : paths) text += fmt::format("\n  {} {}", what, escape_controls(path));
  };
  lines(changed ? "added" : "brings", verdict.added);
  lines("changed", verdict.modified);
  lines("removed", verdict.removed);
  return text;
}

}  // namespace sable::runtime::config
