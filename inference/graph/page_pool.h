// Pages of cache memory, shared by counting references and returned to a pool for the next one.
//
// Pages have a few KB, far less than the memory that a backend gives out well. So they are cut out
// of slabs of up to 2 MiB, each for pages of one size: a million tokens are some hundred slabs, in
// huge pages where the machine has them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "inference/kernels/backend.h"

namespace sable::inference {

class PagePool;

/// Shares one page, or none. Copies share; who wants to write takes care that it is the only one.
class PageRef {
 public:
  PageRef() = default;
  PageRef(const PageRef& other) : page_(other.page_) {
    if (page_ != nullptr) page_->n_refs.fetch_add(1, std::memory_order_relaxed);
  }
  PageRef(PageRef&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  PageRef& operator=(PageRef other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~PageRef();

  explicit operator bool() const { return page_ != nullptr; }
  std::byte* data() const { return page_->data; }
  size_t bytes() const { return page_->bytes; }
  bool shared() const { return page_->n_refs.load(std::memory_order_acquire) > 1; }

 private:
  friend class PagePool;
  struct Slab;
  struct Page {
    Slab* slab = nullptr;
    std::byte* data = nullptr;
    size_t bytes = 0;
    std::atomic<uint32_t> n_refs = 0;
  };
  explicit PageRef(Page* page) : page_(page) {}

  Page* page_ = nullptr;
};

/// Hands out pages up to a budget. Thread-safe. The backend outlives it; it outlives every page.
class PagePool {
 public:
  PagePool(Backend& backend, size_t bytes_max);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  /// A page nobody else has, content undefined; none when the budget or the memory is used up.
  PageRef allocate(size_t bytes);
  /// A page of its own with the same content.
  PageRef copy_of(const PageRef& page);

  /// Another budget; before the first page is handed out.
  void limit(size_t bytes_max) { bytes_max_ = bytes_max; }

  size_t bytes_in_use() const { return bytes_in_use_.load(); }
  size_t bytes_max() const { return bytes_max_; }
  Backend& backend() const { return backend_; }

 private:
  friend class PageRef;
  using Page = PageRef::Page;
  using Slab = PageRef::Slab;
  struct InAddressOrder {
    bool operator()(const Slab* a, const Slab* b) const;
  };
  /// Slabs for pages of one size, and those of them with a page to give. What lies lowest is given
  /// first, so that the slabs behind become empty and can be used otherwise.
  struct Size {
    std::vector<std::unique_ptr<Slab>> slabs;
    std::set<Slab*, InAddressOrder> open;
    size_t n_pages = 0;
  };

  bool add_slab(Size& size, size_t page_bytes);
  void release_empty_slabs();
  void give_back(Page* page);

  Backend& backend_;
  size_t bytes_max_;
  std::atomic<size_t> bytes_in_use_{0};
  std::mutex mutex_;
  size_t bytes_held_ = 0;         // in use or idle
  std::map<size_t, Size> sizes_;  // by the bytes of a page
};

}  // namespace sable::inference
