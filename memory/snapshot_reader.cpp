#include "memory/snapshot_reader.h"

#include "base/check.h"

namespace sable::memory {

namespace {

class FileReader : public SnapshotReader {
 public:
  FileReader(std::unique_ptr<ReadAhead> entries, uint64_t n_tokens, DamageReport damage)
      : n_tokens_(n_tokens), damage_(std::move(damage)), entries_(std::move(entries)) {}

  uint64_t n_tokens() const override { return n_tokens_; }
  uint64_t n_blocks() const override { return entries_->size() - 1; }

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
    auto payload = entries_->payload(index);
    if (!payload && payload.error().code == ErrorCode::not_found) on_damage(entries_->entry(index));
    return payload;
  }

  const uint64_t n_tokens_;
  const DamageReport damage_;
  const std::unique_ptr<ReadAhead> entries_;
};

}  // namespace

std::unique_ptr<SnapshotReader> read_snapshot(std::unique_ptr<ReadAhead> begun, ReadPlan plan,
                                              DamageReport damage) {
  const size_t n_begun = begun->size();
  SABLE_CHECK(n_begun <= plan.blocks.size());
  plan.blocks.erase(plan.blocks.begin(), plan.blocks.begin() + static_cast<ptrdiff_t>(n_begun));
  begun->add(std::move(plan.blocks));
  begun->add({plan.position});
  begun->expect(begun->size() - 1);  // what an engine begins with
  return std::make_unique<FileReader>(std::move(begun), plan.n_tokens, std::move(damage));
}

}  // namespace sable::memory
