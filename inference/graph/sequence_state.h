// What one token stream leaves behind in every layer: its window, its compressed entries and keys,
// and the compressors' unfinished blocks. Values that can be copied: copies share pages until one
// of them writes.
//
// Appending is in three parts. prepare() gives a step the pages it will write, so that nothing can
// fail later; the step writes only behind `position`, where nobody looks; commit() moves
// `position`. A step that is abandoned instead leaves the state as it was, bit for bit.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "inference/graph/cache_layout.h"
#include "inference/graph/page_pool.h"

namespace sable::inference {

/// An append-only list of equal items in pages; the oldest pages may be dropped.
struct PageLog {
  std::vector<PageRef> pages;
  uint64_t n_dropped = 0;  ///< pages dropped in front

  std::byte* item(uint64_t i, size_t items_per_page, size_t item_bytes) const {
    return pages[i / items_per_page - n_dropped].data() + i % items_per_page * item_bytes;
  }
};

/// One compressor's rows, twice: a step that finishes a block builds the next set beside the
/// current one.
struct CompressorState {
  PageRef sets[2];
  int current = 0;
};

struct LayerState {
  PageLog window;   ///< one entry a position, after rope and rounding
  PageLog entries;  ///< ratio > 0: one compressed entry for each finished block
  PageLog keys;     ///< ratio 4: the indexer's key of each entry
  CompressorState main, index;
};

class SequenceState {
 public:
  explicit SequenceState(const CacheLayout& layout)
      : layout_(&layout), layers_(layout.ratios.size()) {}

  /// Tokens processed.
  uint64_t position() const { return position_; }
  const CacheLayout& layout() const { return *layout_; }
  LayerState& layer(size_t i) { return layers_[i]; }
  const LayerState& layer(size_t i) const { return layers_[i]; }
  size_t n_layers() const { return layers_.size(); }

  /// Makes room for n_tokens more in every layer. On exhausted, the state is as before.
  Result<void> prepare(PagePool& pool, uint64_t n_tokens);
  /// What prepare() made room for has been written in every layer.
  void commit(uint64_t n_tokens);
  /// Gives back what prepare() added.
  void abandon();

  /// Cuts the compressed entries to those of the first `position` tokens and takes windows and
  /// compressors from `record`, a state of this sequence at exactly that position.
  void rewind_to(const SequenceState& record);
  /// A copy without compressed entries: what rewind_to() needs besides them.
  SequenceState record() const;

  /// Bytes of the pages this sequence refers to, shared ones counted whole.
  uint64_t bytes() const;

  /// Before the first prepare() of a state that is about to be restored at `position`: windows need
  /// no room for what is no longer seen there.
  void start_at(uint64_t position);

 private:
  Result<void> prepare_layer(PagePool& pool, size_t i, uint64_t n_tokens);
  void trim(size_t i, uint64_t position);
  /// The oldest position that the query at `position` sees.
  uint64_t oldest_seen(uint64_t position) const {
    return position + 1 > layout_->window ? position + 1 - layout_->window : 0;
  }

  const CacheLayout* layout_;
  uint64_t position_ = 0;
  std::vector<LayerState> layers_;
};

/// Whether a step of n_tokens from `position` leaves the current block of a compressor.
inline bool leaves_block(uint64_t position, uint64_t n_tokens, size_t ratio) {
  return (position + n_tokens) / ratio != position / ratio;
}

}  // namespace sable::inference
