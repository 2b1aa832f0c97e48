#include "inference/files/output_file.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"

namespace sable::inference {

namespace fs = std::filesystem;

namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;
}

OutputFile::OutputFile(fs::path path, fs::path partial, UniqueFd fd)
    : path_(std::move(path)), partial_(std::move(partial)), fd_(std::move(fd)) {
  buffer_.reserve(kBufferBytes);
}

Result<OutputFile> OutputFile::create(const fs::path& path) {
  std::error_code none;
  if (fs::exists(path, none))
    return fail(ErrorCode::invalid_input, path.string() + " exists already");
  fs::path partial = path;
  partial += ".partial";
  UniqueFd fd(::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno("create " + partial.string(), errno);
  return OutputFile(path, std::move(partial), std::move(fd));
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(partial_, other.partial_);
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  std::swap(size_, other.size_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_) ::unlink(partial_.c_str());
}

Result<void> OutputFile::flush() {
  const std::string_view text(reinterpret_cast<const char*>(buffer_.data()), buffer_.size());
  if (auto written = write_all(fd_.get(), text); !written)
    return fail_in(partial_.string(), written.error());
  buffer_.clear();
  return {};
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    const size_t piece = std::min(bytes.size(), kBufferBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(),
                   bytes.begin() + static_cast<std::ptrdiff_t>(piece));
    bytes = bytes.subspan(piece);
    if (buffer_.size() == kBufferBytes) {
      SABLE_TRY_VOID(flush());
    }
  }
  return {};
}

Result<void> OutputFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text)));
}

Result<void> OutputFile::pad_to(uint64_t alignment) {
  const std::vector<std::byte> zeros((alignment - size_ % alignment) % alignment);
  return write(zeros);
}

Result<void> OutputFile::finish() {
  SABLE_TRY_VOID(flush());
  if (::fsync(fd_.get()) != 0) return fail_errno("sync " + partial_.string(), errno);
  if (::rename(partial_.c_str(), path_.c_str()) != 0)
    return fail_errno("rename to " + path_.string(), errno);
  fd_.reset();
  return {};
}

Result<void> check_disk_space(const fs::path& path, uint64_t bytes) {
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::space_info space = fs::space(folder, error);
  if (error) return fail(ErrorCode::io, folder.string() + ": " + error.message());
  if (space.available < bytes) {
    return fail(ErrorCode::exhausted, fmt::format("{} needs {} bytes, the disk has {} free",
                                                  path.string(), bytes, space.available));
  }
  return {};
}

}  // namespace sable::inference
