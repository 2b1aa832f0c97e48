// Memory that the disk reads into and writes from without a copy by the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace sable::memory {

/// Aligned for direct reads and writes; keeps its size and is not cleared. It lies in huge pages
/// where the kernel has them: then few long pieces are pinned and handed to the disk's controller.
/// Memory that was never touched costs nothing.
class PageBuffer {
 public:
  PageBuffer() = default;
  PageBuffer(PageBuffer&& other) noexcept { swap(other); }
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~PageBuffer() { release(); }

  /// Room for so many bytes; the content is undefined afterwards. Throws std::bad_alloc.
  void reserve(size_t bytes) {
    if (bytes <= capacity_) return;
    release();  // before the larger one is asked for
    const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    const size_t mapped = rounded + kHugePage;  // so that an aligned part is in it
    void* const map =
        ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    map_ = map;
    mapped_ = mapped;
    const auto address = reinterpret_cast<uintptr_t>(map);
    data_ = static_cast<std::byte*>(map) + (kHugePage - address % kHugePage) % kHugePage;
    capacity_ = rounded;
    (void)::madvise(data_, capacity_, MADV_HUGEPAGE);
  }
  std::byte* data() const { return data_; }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;

  void release() {
    if (map_ != nullptr) ::munmap(map_, mapped_);
    map_ = nullptr;
    data_ = nullptr;
    mapped_ = capacity_ = 0;
  }
  void swap(PageBuffer& other) {
    std::swap(map_, other.map_);
    std::swap(data_, other.data_);
    std::swap(mapped_, other.mapped_);
    std::swap(capacity_, other.capacity_);
  }

  void* map_ = nullptr;
  std::byte* data_ = nullptr;
  size_t mapped_ = 0, capacity_ = 0;
};

}  // namespace sable::memory
