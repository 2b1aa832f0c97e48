#include "inference/graph/sequence_state.h"

#include <algorithm>

#include "base/check.h"

namespace sable::inference {

namespace {

Result<void> out_of_memory(const PagePool& pool) {
  return fail(ErrorCode::exhausted, "the caches may take " + std::to_string(pool.bytes_max()) +
                                        " bytes, and all of them are in use");
}

/// Makes items [n, n + added) writable: the last page becomes our own, new ones are appended.
bool extend(PagePool& pool, PageLog& log, uint64_t n, uint64_t added, size_t items_per_page,
            size_t page_bytes) {
  if (added == 0) return true;
  if (n % items_per_page != 0) {
    PageRef& last = log.pages[n / items_per_page - log.n_dropped];
    if (last.shared()) {
      PageRef own = pool.copy_of(last);
      if (!own) return false;
      last = std::move(own);
    }
  }
  const uint64_t n_pages = (n + added + items_per_page - 1) / items_per_page;
  while (log.pages.size() + log.n_dropped < n_pages) {
    PageRef page = pool.allocate(page_bytes);
    if (!page) return false;
    log.pages.push_back(std::move(page));
  }
  return true;
}

/// Makes the set that a step will write our own.
bool prepare_compressor(PagePool& pool, CompressorState& state, size_t ratio, size_t dim,
                        uint64_t position, uint64_t n_tokens) {
  const size_t bytes = CacheLayout::compressor_bytes(ratio, dim);
  if (leaves_block(position, n_tokens, ratio)) {
    PageRef& next = state.sets[1 - state.current];
    if (!next || next.shared()) next = pool.allocate(bytes);
    return static_cast<bool>(next);
  }
  PageRef& now = state.sets[state.current];
  if (!now) {
    now = pool.allocate(bytes);
  } else if (now.shared()) {
    PageRef own = pool.copy_of(now);
    if (!own) return false;
    now = std::move(own);
  }
  return static_cast<bool>(now);
}

void commit_compressor(CompressorState& state, size_t ratio, uint64_t position, uint64_t n_tokens) {
  if (!leaves_block(position, n_tokens, ratio)) return;
  state.sets[state.current] = {};
  state.current = 1 - state.current;
}

void keep_items(PageLog& log, uint64_t n, size_t items_per_page) {
  const uint64_t n_pages = (n + items_per_page - 1) / items_per_page;
  const uint64_t kept = n_pages > log.n_dropped ? n_pages - log.n_dropped : 0;
  if (kept < log.pages.size()) log.pages.resize(kept);
}

uint64_t bytes_of(const PageLog& log) {
  return log.pages.empty() ? 0 : log.pages.size() * log.pages.front().bytes();
}

uint64_t bytes_of(const CompressorState& state) {
  uint64_t bytes = 0;
  for (const PageRef& set : state.sets) bytes += set ? set.bytes() : 0;
  return bytes;
}

}  // namespace

Result<void> SequenceState::prepare(PagePool& pool, uint64_t n_tokens) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    Result<void> prepared = prepare_layer(pool, i, n_tokens);
    if (!prepared) {
      abandon();
      return prepared;
    }
  }
  return {};
}

Result<void> SequenceState::prepare_layer(PagePool& pool, size_t i, uint64_t n_tokens) {
  const CacheLayout& c = *layout_;
  LayerState& layer = layers_[i];
  const size_t ratio = c.ratios[i];
  bool ok = extend(pool, layer.window, position_, n_tokens, CacheLayout::kWindowPage,
                   CacheLayout::kWindowPage * c.entry_bytes);
  if (ok && ratio > 0) {
    const uint64_t n = position_ / ratio, added = (position_ + n_tokens) / ratio - n;
    const size_t in_page = CacheLayout::entries_per_page(ratio);
    ok = extend(pool, layer.entries, n, added, in_page, in_page * c.entry_bytes) &&
         prepare_compressor(pool, layer.main, ratio, c.head_dim, position_, n_tokens);
    if (ok && ratio == 4) {
      ok = extend(pool, layer.keys, n, added, in_page, in_page * c.key_bytes) &&
           prepare_compressor(pool, layer.index, ratio, c.key_dim, position_, n_tokens);
    }
  }
  if (!ok) return out_of_memory(pool);
  return {};
}

void SequenceState::commit(uint64_t n_tokens) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const size_t ratio = layout_->ratios[i];
    if (ratio == 0) continue;
    commit_compressor(layers_[i].main, ratio, position_, n_tokens);
    if (ratio == 4) commit_compressor(layers_[i].index, ratio, position_, n_tokens);
  }
  position_ += n_tokens;
  const uint64_t oldest = oldest_seen(position_);
  for (LayerState& layer : layers_) {
    PageLog& window = layer.window;
    const uint64_t unseen = oldest / CacheLayout::kWindowPage - window.n_dropped;
    window.pages.erase(window.pages.begin(),
                       window.pages.begin() + static_cast<std::ptrdiff_t>(unseen));
    window.n_dropped += unseen;
  }
}

void SequenceState::start_at(uint64_t position) {
  for (LayerState& layer : layers_) {
    layer.window.n_dropped = oldest_seen(position) / CacheLayout::kWindowPage;
  }
}

void SequenceState::abandon() {
  for (size_t i = 0; i < layers_.size(); ++i) trim(i, position_);
}

void SequenceState::trim(size_t i, uint64_t position) {
  LayerState& layer = layers_[i];
  const size_t ratio = layout_->ratios[i];
  keep_items(layer.window, position, CacheLayout::kWindowPage);
  if (ratio == 0) return;
  keep_items(layer.entries, position / ratio, CacheLayout::entries_per_page(ratio));
  keep_items(layer.keys, position / ratio, CacheLayout::entries_per_page(ratio));
  layer.main.sets[1 - layer.main.current] = {};
  layer.index.sets[1 - layer.index.current] = {};
}

void SequenceState::rewind_to(const SequenceState& record) {
  SABLE_CHECK(record.position_ <= position_ && record.layers_.size() == layers_.size());
  position_ = record.position_;
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].window = record.layers_[i].window;
    layers_[i].main = record.layers_[i].main;
    layers_[i].index = record.layers_[i].index;
    trim(i, position_);
  }
}

SequenceState SequenceState::record() const {
  SequenceState copy(*layout_);
  copy.position_ = position_;
  for (size_t i = 0; i < layers_.size(); ++i) {
    copy.layers_[i].window = layers_[i].window;
    copy.layers_[i].main = layers_[i].main;
    copy.layers_[i].index = layers_[i].index;
  }
  return copy;
}

uint64_t SequenceState::bytes() const {
  uint64_t bytes = 0;
  for (const LayerState& layer : layers_) {
    bytes += bytes_of(layer.window) + bytes_of(layer.entries) + bytes_of(layer.keys) +
             bytes_of(layer.main) + bytes_of(layer.index);
  }
  return bytes;
}

}  // namespace sable::inference
