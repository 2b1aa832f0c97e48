#include "inference/graph/page_pool.h"

#include "base/check.h"

namespace sable::inference {

PageRef::~PageRef() {
  if (page_ != nullptr && page_->n_refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    page_->pool->give_back(page_);
  }
}

PagePool::PagePool(Backend& backend, size_t bytes_max) : backend_(backend), bytes_max_(bytes_max) {}

PagePool::~PagePool() {
  SABLE_CHECK(bytes_in_use_ == 0);
  for (auto& [bytes, pages] : free_) {
    for (auto& page : pages) backend_.release(page->data, bytes);
  }
}

PageRef PagePool::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  auto& pages = free_[bytes];
  if (pages.empty()) {
    if (bytes > bytes_max_ - bytes_in_use_) return {};
    if (bytes > bytes_max_ - bytes_held_) {  // pages of other sizes lie idle
      for (auto& [size, idle] : free_) {
        for (auto& page : idle) backend_.release(page->data, size);
        bytes_held_ -= size * idle.size();
        idle.clear();
      }
    }
    void* const data = backend_.allocate(bytes);
    if (data == nullptr) return {};
    bytes_held_ += bytes;
    pages.push_back(
        std::make_unique<PageRef::Page>(this, static_cast<std::byte*>(data), bytes, 0U));
  }
  PageRef::Page* const page = pages.back().release();
  pages.pop_back();
  page->n_refs.store(1, std::memory_order_relaxed);
  bytes_in_use_ += bytes;
  return PageRef(page);
}

PageRef PagePool::copy_of(const PageRef& page) {
  PageRef copy = allocate(page.bytes());
  if (copy) backend_.copy(copy.data(), page.data(), page.bytes());
  return copy;
}

void PagePool::give_back(PageRef::Page* page) {
  const std::lock_guard lock(mutex_);
  bytes_in_use_ -= page->bytes;
  free_[page->bytes].emplace_back(page);
}

}  // namespace sable::inference
