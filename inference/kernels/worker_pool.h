// Threads that share one loop at a time. Whoever is there takes the next piece; nobody waits for a
// thread that has not come, so a busy machine slows the loop down but never stalls it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace sable::inference {

/// A pool of `n_threads` including the caller of run(). One run() at a time.
class WorkerPool {
 public:
  explicit WorkerPool(size_t n_threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  size_t n_threads() const { return threads_.size() + 1; }

  /// Calls body(piece, thread) for every piece in 0 .. n_pieces-1, on any thread in any order;
  /// returns when all are done. `thread` is below n_threads(); two pieces with one number never run
  /// at once.
  template <class Body>
  void run(size_t n_pieces, const Body& body) {
    if (n_pieces == 0) return;
    if (n_pieces == 1 || threads_.empty()) {
      for (size_t i = 0; i < n_pieces; ++i) body(i, size_t{0});
      return;
    }
    run_shared(
        n_pieces,
        [](const void* b, size_t piece, size_t thread) {
          (*static_cast<const Body*>(b))(piece, thread);
        },
        &body);
  }

 private:
  using Call = void (*)(const void* body, size_t piece, size_t thread);

  void run_shared(size_t n_pieces, Call call, const void* body);
  void take_pieces(uint32_t loop, size_t thread);
  void work(size_t thread);

  // The loop's number (high half) and the next piece (low half): taking a piece proves that the
  // loop is still the one whose body was read.
  std::atomic<uint64_t> next_{0};
  std::atomic<uint32_t> loop_{0};
  std::atomic<uint32_t> n_pieces_{0}, n_done_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> body_{nullptr};
  std::atomic<bool> ending_{false};
  std::vector<std::thread> threads_;
};

}  // namespace sable::inference
