#include "memory/blob_files.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <map>
#include <set>
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

constexpr size_t kPieceBytes = size_t{1} << 20;

fs::path blob_path(const fs::path& folder, const std::string& digest) {
  return folder / digest.substr(0, 2) / digest;
}

/// Of a blob or of its temporary file, ".DIGEST.XXXXXX" (write_file_atomically).
std::string digest_of_file(std::string_view name) {
  constexpr size_t kHexBytes = 64;
  return std::string(name.substr(name.starts_with('.') ? 1 : 0, kHexBytes));
}

Result<std::vector<std::string>> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail_errno(folder.string(), error.value());
  }
  return names;
}

Error with_disk_full(Error error) {
  if (error.message.find("No space left") != std::string::npos ||
      error.message.find("Disk quota exceeded") != std::string::npos) {
    error.code = ErrorCode::exhausted;
  }
  return error;
}

Result<void> make_subfolder(const fs::path& folder, const fs::path& blob) {
  if (::mkdir(blob.parent_path().c_str(), 0700) == 0) return sync_folder(folder);
  if (errno == EEXIST) return {};
  return fail(with_disk_full(fail_errno(blob.parent_path().string(), errno).value()));
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
  SABLE_TRY_VOID(make_subfolder(folder, path));
  if (auto written = write_file_atomically(path, bytes, 0600); !written) {
    return fail(with_disk_full(written.error()));
  }
  return {};
}

Result<void> write_blob_in_pieces(const fs::path& folder, const std::string& digest,
                                  const BlobPieces& next) {
  const auto path = blob_path(folder, digest);
  SABLE_TRY_VOID(make_subfolder(folder, path));
  const fs::path unnamed = path.parent_path() / ("." + digest + ".XXXXXX");
  std::string temporary = unnamed.string();
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail(with_disk_full(fail_errno(temporary, errno).value()));
  const auto fill = [&]() -> Result<void> {
    Sha256 hash;
    while (true) {
      SABLE_TRY(const auto piece, next());
      if (piece.empty()) break;
      hash.update(piece);
      SABLE_TRY_VOID(write_all(fd.get(), piece));
    }
    if (to_hex(hash.finish()) != digest) return fail(ErrorCode::corrupt, "a blob is damaged");
    if (::fsync(fd.get()) != 0) return fail_errno(temporary + ": fsync", errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(path.string(), errno);
    return sync_folder(path.parent_path());
  };
  auto filled = fill();
  if (filled) return {};
  ::unlink(temporary.c_str());
  return fail(with_disk_full(std::move(filled.error())));
}

Result<void> read_blob_in_pieces(const fs::path& folder, const std::string& digest,
                                 const std::function<Result<void>(uint64_t)>& begin,
                                 const std::function<Result<void>(std::string_view)>& take) {
  const auto path = blob_path(folder, digest);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno != ENOENT) return fail_errno(path.string(), errno);
    return fail(ErrorCode::not_found, fmt::format("no such blob: {}{}", kBlobPrefix, digest));
  }
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return fail_errno(path.string(), errno);
  auto left = static_cast<uint64_t>(info.st_size);
  SABLE_TRY_VOID(begin(left));
  Sha256 hash;
  std::string piece(kPieceBytes, '\0');
  while (left > 0) {
    const ssize_t n = ::read(fd.get(), piece.data(), std::min<uint64_t>(left, piece.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path.string(), errno);
    if (n == 0) break;
    const std::string_view bytes(piece.data(), static_cast<size_t>(n));
    hash.update(bytes);
    SABLE_TRY_VOID(take(bytes));
    left -= bytes.size();
  }
  if (to_hex(hash.finish()) != digest) {
    return fail(ErrorCode::corrupt,
                fmt::format("blob {}{} is damaged on disk", kBlobPrefix, digest));
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

uint64_t blob_bytes(const fs::path& folder, const std::string& digest) {
  std::error_code error;
  const auto bytes = fs::file_size(blob_path(folder, digest), error);
  return error ? 0 : bytes;
}

Result<void> remove_blobs(const fs::path& folder, const std::vector<std::string>& digests) {
  std::map<std::string, std::set<std::string>> by_subfolder;
  for (const auto& digest : digests) by_subfolder[digest.substr(0, 2)].insert(digest);
  for (const auto& [name, going] : by_subfolder) {
    SABLE_TRY(const auto files, files_in(folder / name));
    for (const auto& file : files) {
      if (!going.contains(digest_of_file(file))) continue;
      const auto path = folder / name / file;
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(path.string(), errno);
    }
    if (!files.empty()) {
      SABLE_TRY_VOID(sync_folder(folder / name));
    }
  }
  return {};
}

Result<std::vector<std::string>> blobs_in_subfolder(const fs::path& folder, uint8_t subfolder) {
  SABLE_TRY(const auto files, files_in(folder / fmt::format("{:02x}", subfolder)));
  std::set<std::string> digests;
  for (const auto& file : files) {
    if (auto digest = digest_of_file(file); digest_from_hex(digest)) {
      digests.insert(std::move(digest));
    }
  }
  return std::vector<std::string>(digests.begin(), digests.end());
}

}  // namespace sable::memory
