// Saving and restoring: immutable blocks of 128 tokens, and one record of everything else at a
// position.
//
// Each file: magic, format version, fingerprint, kind, number (block index or position), payload
// size, payload, checksum of all before it. Little-endian.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/checksum.h"
#include "inference/engine/engine_state.h"
#include "inference/engine/fingerprint.h"

namespace sable::inference {

namespace {

constexpr uint32_t kMagic = 0x534c4253;  // "SBLS"
enum class Kind : uint32_t { block = 1, position = 2 };

struct Header {
  uint32_t magic = kMagic;
  uint32_t version = kSavedFormatVersion;
  Digest fingerprint{};
  Kind kind = Kind::block;
  uint32_t unused = 0;
  uint64_t number = 0;
  uint64_t payload_bytes = 0;
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 64);

using Bytes = std::vector<std::byte>;
using Span = std::span<const std::byte>;

/// Collects a payload out of the backend's memory.
class PayloadWriter {
 public:
  explicit PayloadWriter(Backend& backend) : backend_(backend) {}
  Result<void> operator()(std::byte* memory, size_t n) {
    bytes.resize(bytes.size() + n);
    backend_.copy(bytes.data() + bytes.size() - n, memory, n);
    return {};
  }
  Bytes bytes;

 private:
  Backend& backend_;
};

/// Lays a payload out into the backend's memory.
class PayloadReader {
 public:
  PayloadReader(Backend& backend, Span bytes) : backend_(backend), bytes_(bytes) {}
  Result<void> operator()(std::byte* memory, size_t n) {
    if (n > bytes_.size() - at_) return fail(ErrorCode::corrupt, "a saved state ends too early");
    backend_.copy(memory, bytes_.data() + at_, n);
    at_ += n;
    return {};
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  Backend& backend_;
  const Span bytes_;
  size_t at_ = 0;
};

Checksum checksum_of_file(const Header& header, Span payload) {
  return checksum_of(payload, short_checksum_of(std::as_bytes(std::span(&header, 1))));
}

Result<void> write_file(ByteSink& sink, const Digest& fingerprint, Kind kind, uint64_t number,
                        const Bytes& payload) {
  Header header;
  header.fingerprint = fingerprint;
  header.kind = kind;
  header.number = number;
  header.payload_bytes = payload.size();
  const Checksum checksum = checksum_of_file(header, payload);
  SABLE_TRY_VOID(sink.write(std::as_bytes(std::span(&header, 1))));
  SABLE_TRY_VOID(sink.write(payload));
  return sink.write(std::as_bytes(std::span(&checksum, 1)));
}

/// The payload of one file, checked; the header's number comes back through `number`.
Result<Span> payload_of(Span file, const Digest& fingerprint, Kind kind, uint64_t& number) {
  Header header;
  Checksum stored;
  if (file.size() < sizeof header + sizeof stored) {
    return fail(ErrorCode::corrupt, "a saved state ends too early");
  }
  std::memcpy(&header, file.data(), sizeof header);
  if (header.magic != kMagic) return fail(ErrorCode::corrupt, "this is not a saved state");
  if (header.version != kSavedFormatVersion) {
    return fail(ErrorCode::invalid_input,
                "the saved state has format version " + std::to_string(header.version) +
                    ", this program reads " + std::to_string(kSavedFormatVersion));
  }
  if (header.fingerprint != fingerprint) {
    return fail(ErrorCode::invalid_input,
                "the saved state belongs to another model, tokenizer or arithmetic setting");
  }
  if (header.kind != kind) {
    return fail(ErrorCode::corrupt, kind == Kind::block
                                        ? "expected a block, found a position record"
                                        : "expected a position record, found a block");
  }
  const Span payload = file.subspan(sizeof header, file.size() - sizeof header - sizeof stored);
  if (header.payload_bytes != payload.size()) {
    return fail(ErrorCode::corrupt, "a saved state has another size than it says");
  }
  std::memcpy(&stored, file.data() + sizeof header + payload.size(), sizeof stored);
  if (checksum_of_file(header, payload) != stored) {
    return fail(ErrorCode::corrupt, "a saved state is damaged: wrong checksum");
  }
  number = header.number;
  return payload;
}

/// Calls `io` for items [begin, end) of a log, at once for those that lie in one page.
template <class Io>
Result<void> each_item(const PageLog& log, uint64_t begin, uint64_t end, size_t in_page,
                       size_t bytes, Io& io) {
  for (uint64_t i = begin; i < end;) {
    const uint64_t n = std::min<uint64_t>(end - i, in_page - i % in_page);
    SABLE_TRY_VOID(io(log.item(i, in_page, bytes), n * bytes));
    i += n;
  }
  return {};
}

/// The compressed entries and keys of tokens [begin, end), both multiples of every ratio or the
/// end.
template <class Io>
Result<void> each_entry(const SequenceState& state, uint64_t begin, uint64_t end, Io& io) {
  const CacheLayout& c = state.layout();
  for (size_t l = 0; l < c.ratios.size(); ++l) {
    const size_t ratio = c.ratios[l];
    if (ratio == 0) continue;
    const LayerState& layer = state.layer(l);
    const size_t in_page = CacheLayout::entries_per_page(ratio);
    const uint64_t first = begin / ratio, last = end / ratio;
    SABLE_TRY_VOID(each_item(layer.entries, first, last, in_page, c.entry_bytes, io));
    if (ratio == 4) {
      SABLE_TRY_VOID(each_item(layer.keys, first, last, in_page, c.key_bytes, io));
    }
  }
  return {};
}

template <class Io>
Result<void> compressor_rows(const CompressorState& state, size_t ratio, size_t dim,
                             uint64_t position, Io& io) {
  const size_t row = 2 * CacheLayout::compressor_width(ratio, dim) * sizeof(float);
  const size_t n_previous = CacheLayout::previous_rows(ratio), n_current = position % ratio;
  const PageRef& set = state.sets[state.current];
  if (position >= ratio && n_previous > 0) {
    SABLE_TRY_VOID(io(set.data(), n_previous * row));
  }
  if (n_current > 0) {
    SABLE_TRY_VOID(io(set.data() + n_previous * row, n_current * row));
  }
  return {};
}

/// Windows, unfinished blocks, and the entries behind the last whole block of 128 tokens.
template <class Io>
Result<void> each_part(const SequenceState& state, Io& io) {
  const CacheLayout& c = state.layout();
  const uint64_t position = state.position();
  const uint64_t oldest = position + 1 > c.window ? position + 1 - c.window : 0;
  SABLE_TRY_VOID(each_entry(state, position / kBlockTokens * kBlockTokens, position, io));
  for (size_t l = 0; l < c.ratios.size(); ++l) {
    const LayerState& layer = state.layer(l);
    const size_t ratio = c.ratios[l];
    SABLE_TRY_VOID(
        each_item(layer.window, oldest, position, CacheLayout::kWindowPage, c.entry_bytes, io));
    if (ratio > 0) {
      SABLE_TRY_VOID(compressor_rows(layer.main, ratio, c.head_dim, position, io));
    }
    if (ratio == 4) {
      SABLE_TRY_VOID(compressor_rows(layer.index, ratio, c.key_dim, position, io));
    }
  }
  return {};
}

void add_ids(Bytes& bytes, std::span<const TokenId> ids) {
  const auto raw = std::as_bytes(ids);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

/// Takes n ids off the end of a payload and puts them behind `ids`.
Result<void> take_ids(Span& bytes, uint64_t n, int64_t n_vocab, std::vector<TokenId>& ids) {
  if (n * sizeof(TokenId) > bytes.size())
    return fail(ErrorCode::corrupt, "a saved state lacks its tokens");
  const size_t at = bytes.size() - n * sizeof(TokenId), first = ids.size();
  ids.resize(first + n);
  if (n > 0) std::memcpy(ids.data() + first, bytes.data() + at, n * sizeof(TokenId));
  bytes = bytes.first(at);
  for (const TokenId id : std::span(ids).subspan(first)) {
    if (id < 0 || id >= n_vocab)
      return fail(ErrorCode::corrupt, "a saved state has an impossible token");
  }
  return {};
}

}  // namespace

Result<void> Sequence::save_block(uint64_t index, ByteSink& sink) const {
  const State& s = *state_;
  if (index >= saved_blocks()) {
    return fail(ErrorCode::invalid_input,
                "there are " + std::to_string(saved_blocks()) + " blocks");
  }
  PayloadWriter writer(*s.engine->backend);
  const uint64_t begin = index * kBlockTokens;
  SABLE_TRY_VOID(each_entry(s.caches, begin, begin + kBlockTokens, writer));
  add_ids(writer.bytes, std::span(s.tokens).subspan(begin, kBlockTokens));
  return write_file(sink, s.engine->fingerprint, Kind::block, index, writer.bytes);
}

Result<void> Sequence::save_position(ByteSink& sink) const {
  const State& s = *state_;
  PayloadWriter writer(*s.engine->backend);
  SABLE_TRY_VOID(each_part(s.caches, writer));
  const uint64_t begin = saved_blocks() * kBlockTokens;
  add_ids(writer.bytes, std::span(s.tokens).subspan(begin, position() - begin));
  return write_file(sink, s.engine->fingerprint, Kind::position, position(), writer.bytes);
}

Result<std::unique_ptr<Sequence>> Engine::restore(std::span<SavedFile* const> blocks,
                                                  SavedFile& position) {
  State& s = *state_;
  const int64_t n_vocab = config().vocab_size;
  std::unique_ptr<Sequence> sequence = start();
  Sequence::State& q = *sequence->state_;

  // The position record says how many blocks there are, and is laid out behind them.
  uint64_t at = 0;
  SABLE_TRY(const Span lent, position.bytes());
  const Bytes kept(lent.begin(), lent.end());
  SABLE_TRY(Span record, payload_of(kept, s.fingerprint, Kind::position, at));
  if (at > s.options.context_max || at / kBlockTokens != blocks.size()) {
    return fail(ErrorCode::corrupt, "a position record of " + std::to_string(at) +
                                        " tokens cannot go with " + std::to_string(blocks.size()) +
                                        " blocks");
  }
  q.caches.start_at(at);
  SABLE_TRY_VOID(q.caches.prepare(*s.pages, at));
  q.tokens.reserve(at);
  for (uint64_t i = 0; i < blocks.size(); ++i) {
    uint64_t index = 0;
    SABLE_TRY(const Span file, blocks[i]->bytes());
    SABLE_TRY(Span payload, payload_of(file, s.fingerprint, Kind::block, index));
    if (index != i) {
      return fail(ErrorCode::corrupt,
                  "expected block " + std::to_string(i) + ", found block " + std::to_string(index));
    }
    SABLE_TRY_VOID(take_ids(payload, kBlockTokens, n_vocab, q.tokens));
    PayloadReader reader(*s.backend, payload);
    SABLE_TRY_VOID(each_entry(q.caches, i * kBlockTokens, (i + 1) * kBlockTokens, reader));
    if (!reader.at_end()) return fail(ErrorCode::corrupt, "a saved block is too long");
  }
  SABLE_TRY_VOID(take_ids(record, at % kBlockTokens, n_vocab, q.tokens));
  if (at > 0) q.caches.commit(at);
  PayloadReader reader(*s.backend, record);
  SABLE_TRY_VOID(each_part(q.caches, reader));
  if (!reader.at_end()) return fail(ErrorCode::corrupt, "a saved position record is too long");
  return sequence;
}

}  // namespace sable::inference
