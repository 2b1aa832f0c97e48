#include "inference/graph/page_pool.h"

#include <algorithm>
#include <functional>

#include "base/check.h"

namespace sable::inference {

namespace {

constexpr size_t kSlabBytesMax = size_t{2} << 20;  // a huge page
constexpr size_t kPageAlignment = 64;

}  // namespace

struct PageRef::Slab {
  PagePool* pool;
  std::byte* data;
  size_t bytes;
  std::vector<Page> pages;
  std::vector<Page*> idle;
};

PageRef::~PageRef() {
  if (page_ != nullptr && page_->n_refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    page_->slab->pool->give_back(page_);
  }
}

bool PagePool::InAddressOrder::operator()(const Slab* a, const Slab* b) const {
  return std::less<>()(a->data, b->data);
}

PagePool::PagePool(Backend& backend, size_t bytes_max) : backend_(backend), bytes_max_(bytes_max) {}

PagePool::~PagePool() {
  SABLE_CHECK(bytes_in_use_ == 0);
  release_empty_slabs();
}

PageRef PagePool::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  Size& size = sizes_[bytes];
  if (size.open.empty() && !add_slab(size, bytes)) return {};
  Slab& slab = **size.open.begin();
  Page* const page = slab.idle.back();
  slab.idle.pop_back();
  if (slab.idle.empty()) size.open.erase(size.open.begin());
  page->n_refs.store(1, std::memory_order_relaxed);
  bytes_in_use_ += bytes;
  return PageRef(page);
}

/// As many pages as there are already, within a slab's size and the budget, and at least one.
bool PagePool::add_slab(Size& size, size_t page_bytes) {
  if (page_bytes > bytes_max_ - bytes_in_use_) return false;
  if (page_bytes > bytes_max_ - bytes_held_) release_empty_slabs();
  if (page_bytes > bytes_max_ - bytes_held_) return false;
  const size_t stride = (page_bytes + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
  const size_t n = std::max<size_t>(
      1, std::min({size.n_pages, kSlabBytesMax / stride, (bytes_max_ - bytes_held_) / page_bytes}));
  // A whole slab is asked for as such, so that it can be a huge page.
  const size_t bytes = n == kSlabBytesMax / stride ? kSlabBytesMax : n * stride;
  void* const data = backend_.allocate(bytes);
  if (data == nullptr) return false;
  auto slab = std::make_unique<Slab>();
  slab->pool = this;
  slab->data = static_cast<std::byte*>(data);
  slab->bytes = bytes;
  slab->pages = std::vector<Page>(n);
  for (size_t i = n; i-- > 0;) {  // the last is given first
    Page& page = slab->pages[i];
    page.slab = slab.get();
    page.data = slab->data + i * stride;
    page.bytes = page_bytes;
    slab->idle.push_back(&page);
  }
  bytes_held_ += n * page_bytes;
  size.n_pages += n;
  size.open.insert(slab.get());
  size.slabs.push_back(std::move(slab));
  return true;
}

void PagePool::release_empty_slabs() {
  for (auto& [bytes, size] : sizes_) {
    std::erase_if(size.slabs, [&](const std::unique_ptr<Slab>& slab) {
      if (slab->idle.size() < slab->pages.size()) return false;
      size.open.erase(slab.get());
      size.n_pages -= slab->pages.size();
      bytes_held_ -= slab->pages.size() * bytes;
      backend_.release(slab->data, slab->bytes);
      return true;
    });
  }
}

PageRef PagePool::copy_of(const PageRef& page) {
  PageRef copy = allocate(page.bytes());
  if (copy) backend_.copy(copy.data(), page.data(), page.bytes());
  return copy;
}

void PagePool::give_back(Page* page) {
  const std::lock_guard lock(mutex_);
  bytes_in_use_ -= page->bytes;
  Slab& slab = *page->slab;
  slab.idle.push_back(page);
  if (slab.idle.size() == 1) sizes_[page->bytes].open.insert(&slab);
}

}  // namespace sable::inference
