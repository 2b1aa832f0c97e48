#include "runtime/engine/snapshot_keeper.h"

#include <utility>

namespace sable::runtime {

SnapshotKeeper::SnapshotKeeper(memory::SnapshotStore& store, Log log)
    : store_(store), log_(std::move(log)), thread_([this] { loop(); }) {}

SnapshotKeeper::~SnapshotKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SnapshotKeeper::keep(std::string session, agent::SequenceCopy copy,
                          std::shared_ptr<KeptState> state) {
  ++state->n_writing_;
  state->n_tokens_ = copy.tokens.size();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(session), std::move(copy), std::move(state)});
  }
  changed_.notify_one();
}

void SnapshotKeeper::loop() {
  while (true) {
    Work work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    write(work);
  }
}

void SnapshotKeeper::write(const Work& work) {
  const auto saved = agent::save_copy(store_, work.session, work.copy);
  if (!saved) {
    work.state->n_tokens_ = 0;
    // A block that was evicted meanwhile is ordinary.
    if (saved.error().code != ErrorCode::not_found && !std::exchange(warned_, true)) {
      log_.warning("a snapshot could not be kept; resuming will compute again",
                   {{"session", work.session}, {"error", saved.error().message}});
    }
  }
  --work.state->n_writing_;
}

}  // namespace sable::runtime
