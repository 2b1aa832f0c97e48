#include "inference/files/mapped_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace sable::inference {

namespace {

size_t page_size() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

void advise(std::span<const std::byte> part, int advice) {
  if (part.empty()) return;
  const size_t in_page = reinterpret_cast<uintptr_t>(part.data()) % page_size();
  // Advice only: a kernel that does not know it changes nothing but speed.
  auto* page = const_cast<std::byte*>(part.data()) - in_page;
  (void)::madvise(page, part.size() + in_page, advice);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a FIFO must not block
  if (!fd) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, "no such file: " + path.string());
    return fail_errno("open " + path.string(), errno);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + path.string(), errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_input, path.string() + " is not a regular file");
  }
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return fail(ErrorCode::corrupt, path.string() + " is empty");
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return fail_errno("map " + path.string(), errno);
  // File systems with large folios then read in units of a huge page, and map them as such; that
  // is faster also where the file does not fit into memory.
  (void)::madvise(data, size, MADV_HUGEPAGE);
  const int64_t modified = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  return MappedFile(static_cast<const std::byte*>(data), size, modified);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      modified_(other.modified_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<uint64_t> MappedFile::resident_bytes() const {
  if (data_ == nullptr) return uint64_t{0};
  std::vector<unsigned char> pages((size_ + page_size() - 1) / page_size());
  if (::mincore(const_cast<std::byte*>(data_), size_, pages.data()) != 0) {
    return fail_errno("mincore", errno);
  }
  uint64_t n_pages = 0;
  for (const unsigned char page : pages) n_pages += page & 1U;
  return n_pages * page_size();
}

void MappedFile::release(std::span<const std::byte> part) { advise(part, MADV_DONTNEED); }

void MappedFile::evict(std::span<const std::byte> part) {
#ifdef MADV_PAGEOUT
  advise(part, MADV_PAGEOUT);
#endif
  advise(part, MADV_DONTNEED);
}

void MappedFile::prefetch(std::span<const std::byte> part) { advise(part, MADV_WILLNEED); }

void MappedFile::populate(std::span<const std::byte> part) {
#ifdef MADV_POPULATE_READ
  advise(part, MADV_POPULATE_READ);
#else
  prefetch(part);
#endif
}

}  // namespace sable::inference
