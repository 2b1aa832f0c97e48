#include "memory/blob_files.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "memory/event_record.h"
#include "memory/home.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

fs::path blob_path(const fs::path& folder, const std::string& digest) {
  return folder / digest.substr(0, 2) / digest;
}

Error with_disk_full(Error error) {
  if (error.message.find("No space left") != std::string::npos ||
      error.message.find("Disk quota exceeded") != std::string::npos) {
    error.code = ErrorCode::exhausted;
  }
  return error;
}

}  // namespace

Result<std::string> digest_of_locator(std::string_view locator) {
  const auto digests = blob_digests_in(locator);
  if (digests.size() != 1 || locator.size() != kBlobPrefix.size() + digests.front().size()) {
    return fail(ErrorCode::invalid_input, fmt::format("\"{}\" is not a locator of a blob",
                                                      escape_controls(locator.substr(0, 100))));
  }
  return digests.front();
}

Result<void> write_blob(const fs::path& folder, const std::string& digest, std::string_view bytes) {
  const auto path = blob_path(folder, digest);
  if (const auto there = read_file(path, bytes.size()); there && *there == bytes) {
    return sync_folder(path.parent_path());  // another writer may not have come to this yet
  }
  if (::mkdir(path.parent_path().c_str(), 0700) == 0) {
    SABLE_TRY_VOID(sync_folder(folder));
  } else if (errno != EEXIST) {
    return fail(with_disk_full(fail_errno(path.parent_path().string(), errno).value()));
  }
  if (auto written = write_file_atomically(path, bytes, 0600); !written) {
    return fail(with_disk_full(written.error()));
  }
  return {};
}

Result<std::string> read_blob(const fs::path& folder, const std::string& digest) {
  auto bytes = read_file(blob_path(folder, digest), std::numeric_limits<size_t>::max());
  if (!bytes) {
    if (bytes.error().code != ErrorCode::not_found) return bytes;
    return fail(ErrorCode::not_found, fmt::format("no such blob: {}{}", kBlobPrefix, digest));
  }
  if (to_hex(sha256(*bytes)) != digest) {
    return fail(ErrorCode::corrupt,
                fmt::format("blob {}{} is damaged on disk", kBlobPrefix, digest));
  }
  return bytes;
}

Result<void> remove_blob(const fs::path& folder, const std::string& digest) {
  const auto path = blob_path(folder, digest);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(path.string(), errno);
  return {};
}

}  // namespace sable::memory
