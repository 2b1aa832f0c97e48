// Pages of cache memory, shared by counting references and returned to a pool for the next one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
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
  struct Page {
    PagePool* pool;
    std::byte* data;
    size_t bytes;
    std::atomic<uint32_t> n_refs;
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
  void give_back(PageRef::Page* page);

  Backend& backend_;
  size_t bytes_max_;
  std::atomic<size_t> bytes_in_use_{0};
  std::mutex mutex_;
  size_t bytes_held_ = 0;                                               // in use or free
  std::map<size_t, std::vector<std::unique_ptr<PageRef::Page>>> free_;  // by size
};

}  // namespace sable::inference
