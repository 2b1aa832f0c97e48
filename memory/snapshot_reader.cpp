#include "memory/snapshot_reader.h"

#include "memory/snapshot_read_ahead.h"

namespace sable::memory {

namespace {

std::vector<ReadEntry> in_order(ReadPlan plan) {
  auto entries = std::move(plan.blocks);
  entries.push_back(plan.position);
  return entries;
}

class FileReader : public SnapshotReader {
 public:
  FileReader(SegmentFolder folder, ReadPlan plan, DamageReport damage)
      : n_tokens_(plan.n_tokens),
        damage_(std::move(damage)),
        entries_(std::move(folder), in_order(std::move(plan))) {}

  uint64_t n_tokens() const override { return n_tokens_; }
  uint64_t n_blocks() const override { return entries_.size() - 1; }

  Result<std::span<const std::byte>> block(uint64_t index) override {
    if (index >= n_blocks()) return fail(ErrorCode::invalid_input, "no such block in the snapshot");
    return entry(index, damage_.block);
  }

  Result<std::span<const std::byte>> position() override {
    return entry(n_blocks(), damage_.position);
  }

 private:
  Result<std::span<const std::byte>> entry(size_t index,
                                           const std::function<void(const ReadEntry&)>& on_damage) {
    auto payload = entries_.payload(index);
    if (!payload && payload.error().code == ErrorCode::not_found) on_damage(entries_.entry(index));
    return payload;
  }

  const uint64_t n_tokens_;
  const DamageReport damage_;
  ReadAhead entries_;
};

}  // namespace

std::unique_ptr<SnapshotReader> read_snapshot(SegmentFolder folder, ReadPlan plan,
                                              DamageReport damage) {
  return std::make_unique<FileReader>(std::move(folder), std::move(plan), std::move(damage));
}

}  // namespace sable::memory
