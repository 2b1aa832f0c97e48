#include "agent/sequence_snapshots.h"

#include <vector>

namespace sable::agent {

namespace {

static_assert(memory::kSnapshotBlockTokens == inference::kSavedBlockTokens);
static_assert(std::is_same_v<inference::TokenId, int32_t>);

// A damaged entry is dropped when it is met; then a shorter prefix may still be whole.
constexpr int kAttemptsMax = 4;

class Collector final : public inference::ByteSink {
 public:
  explicit Collector(std::vector<std::byte>& bytes) : bytes_(bytes) {}
  Result<void> write(std::span<const std::byte> bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }

 private:
  std::vector<std::byte>& bytes_;
};

class SequenceSource final : public memory::SnapshotSource {
 public:
  explicit SequenceSource(const inference::Sequence& sequence) : sequence_(sequence) {}
  Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
    Collector sink(bytes);
    return sequence_.save_block(index, sink);
  }
  Result<void> position(std::vector<std::byte>& bytes) override {
    Collector sink(bytes);
    return sequence_.save_position(sink);
  }

 private:
  const inference::Sequence& sequence_;
};

class CopySource final : public memory::SnapshotSource {
 public:
  explicit CopySource(const SequenceCopy& copy) : copy_(copy) {}
  Result<void> block(uint64_t index, std::vector<std::byte>& bytes) override {
    if (index < copy_.first_block || index - copy_.first_block >= copy_.blocks.size()) {
      return fail(ErrorCode::not_found, "a block that was stored has gone");
    }
    bytes = copy_.blocks[index - copy_.first_block];
    return {};
  }
  Result<void> position(std::vector<std::byte>& bytes) override {
    bytes = copy_.position;
    return {};
  }

 private:
  const SequenceCopy& copy_;
};

/// One entry of a snapshot, where the reader has it.
class Entry final : public inference::SavedFile {
 public:
  enum class Kind { block, position };
  Entry(memory::SnapshotReader& reader, Kind kind, uint64_t index)
      : reader_(reader), kind_(kind), index_(index) {}

  Result<std::span<const std::byte>> bytes() override {
    return kind_ == Kind::block ? reader_.block(index_) : reader_.position();
  }

 private:
  memory::SnapshotReader& reader_;
  Kind kind_;
  uint64_t index_;
};

}  // namespace

Result<memory::SaveReport> save_sequence(memory::SnapshotStore& store, const std::string& session,
                                         const inference::Engine& engine,
                                         const inference::Sequence& sequence) {
  SequenceSource source(sequence);
  return store.save(session, {engine.fingerprint(), sequence.tokens().first(sequence.position())},
                    source);
}

Result<SequenceCopy> copy_sequence(const inference::Engine& engine,
                                   const inference::Sequence& sequence, uint64_t first_block) {
  const auto tokens = sequence.tokens().first(sequence.position());
  SequenceCopy copy{.fingerprint = engine.fingerprint(),
                    .tokens = {tokens.begin(), tokens.end()},
                    .first_block = first_block};
  SequenceSource source(sequence);
  for (uint64_t i = first_block; i < sequence.saved_blocks(); ++i) {
    SABLE_TRY_VOID(source.block(i, copy.blocks.emplace_back()));
  }
  SABLE_TRY_VOID(source.position(copy.position));
  return copy;
}

Result<memory::SaveReport> save_copy(memory::SnapshotStore& store, const std::string& session,
                                     const SequenceCopy& copy) {
  CopySource source(copy);
  return store.save(session, {copy.fingerprint, copy.tokens}, source);
}

Result<std::unique_ptr<inference::Sequence>> restore_sequence(
    memory::SnapshotStore& store, const std::string& session, inference::Engine& engine,
    std::span<const inference::TokenId> tokens) {
  const auto wanted = tokens.first(tokens.empty() ? 0 : tokens.size() - 1);
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    SABLE_TRY(const auto reader, store.find({engine.fingerprint(), wanted}, session));
    std::vector<Entry> entries;
    entries.reserve(reader->n_blocks());
    std::vector<inference::SavedFile*> blocks;
    for (uint64_t i = 0; i < reader->n_blocks(); ++i) {
      blocks.push_back(&entries.emplace_back(*reader, Entry::Kind::block, i));
    }
    Entry position(*reader, Entry::Kind::position, 0);
    auto sequence = engine.restore(blocks, position);
    if (sequence) return sequence;
    const ErrorCode code = sequence.error().code;
    if (code != ErrorCode::not_found && code != ErrorCode::corrupt) return sequence;
    if (code == ErrorCode::corrupt) break;  // whole, but not what this engine wrote
  }
  return fail(ErrorCode::not_found, "no sound snapshot of a prefix is stored");
}

}  // namespace sable::agent
