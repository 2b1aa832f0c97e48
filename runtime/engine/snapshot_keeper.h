// Writes snapshots of sequences on a thread of its own, so that decoding goes on meanwhile.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/agent.h"
#include "base/log.h"

namespace sable::runtime {

/// How far one stream is stored: what the engine's thread and the keeper tell each other of it.
class KeptState {
 public:
  /// Tokens whose blocks are stored, or are being.
  uint64_t n_tokens() const { return n_tokens_; }
  bool is_busy() const { return n_writing_ > 0; }
  void note(uint64_t n_tokens) { n_tokens_ = n_tokens; }
  /// The stream has other tokens from here on.
  void forget_behind(uint64_t n_tokens) {
    if (n_tokens < n_tokens_) n_tokens_ = n_tokens;
  }

 private:
  friend class SnapshotKeeper;
  std::atomic<uint64_t> n_tokens_ = 0;
  std::atomic<int> n_writing_ = 0;
};

class SnapshotKeeper {
 public:
  /// `store` outlives it.
  SnapshotKeeper(memory::SnapshotStore& store, Log log);
  ~SnapshotKeeper();  ///< writes what it was given, and joins

  /// A failure costs a prefill later, is logged once, and makes the next copy begin from the first
  /// block.
  void keep(std::string session, agent::SequenceCopy copy, std::shared_ptr<KeptState> state);

 private:
  struct Work {
    std::string session;
    agent::SequenceCopy copy;
    std::shared_ptr<KeptState> state;
  };
  void loop();
  void write(const Work& work);

  memory::SnapshotStore& store_;
  const Log log_;
  bool warned_ = false;  ///< the thread's

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: ends before anything that it uses
};

}  // namespace sable::runtime
