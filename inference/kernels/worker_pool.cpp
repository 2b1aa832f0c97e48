#include "inference/kernels/worker_pool.h"

#include "base/check.h"

namespace sable::inference {

namespace {

// Loops follow each other within microseconds; looking a little longer saves most sleeps. Bounded,
// and short against a time slice.
constexpr int kLooksBeforeSleep = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Returns once `value` differs from `old`.
void await_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kLooksBeforeSleep; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

WorkerPool::WorkerPool(size_t n_threads) {
  for (size_t i = 1; i < n_threads; ++i) threads_.emplace_back([this, i] { work(i); });
}

WorkerPool::~WorkerPool() {
  ending_.store(true);
  loop_.fetch_add(1);
  loop_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::run_shared(size_t n_pieces, Call call, const void* body) {
  SABLE_CHECK(n_pieces < UINT32_MAX);
  const uint32_t loop = loop_.load(std::memory_order_relaxed) + 1;
  // Close the last loop first: a late thread that reads any field below finds its piece gone.
  next_.store((static_cast<uint64_t>(loop) << 32) | UINT32_MAX);
  n_done_.store(0, std::memory_order_release);
  n_pieces_.store(static_cast<uint32_t>(n_pieces), std::memory_order_release);
  call_.store(call, std::memory_order_release);
  body_.store(body, std::memory_order_release);
  next_.store(static_cast<uint64_t>(loop) << 32, std::memory_order_release);
  loop_.store(loop, std::memory_order_release);
  loop_.notify_all();
  take_pieces(loop, 0);
  for (uint32_t done = n_done_.load(std::memory_order_acquire); done != n_pieces;
       done = n_done_.load(std::memory_order_acquire)) {
    await_change(n_done_, done);
  }
}

void WorkerPool::take_pieces(uint32_t loop, size_t thread) {
  for (;;) {
    uint64_t next = next_.load(std::memory_order_acquire);
    const Call call = call_.load(std::memory_order_acquire);
    const void* const body = body_.load(std::memory_order_acquire);
    const uint32_t n_pieces = n_pieces_.load(std::memory_order_acquire);
    const auto piece = static_cast<uint32_t>(next);
    if (next >> 32 != loop || piece >= n_pieces) return;
    if (!next_.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel)) continue;
    call(body, piece, thread);
    if (n_done_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_pieces) n_done_.notify_one();
  }
}

void WorkerPool::work(size_t thread) {
  uint32_t seen = 0;
  for (;;) {
    await_change(loop_, seen);
    seen = loop_.load(std::memory_order_acquire);
    if (ending_.load()) return;
    take_pieces(seen, thread);
  }
}

}  // namespace sable::inference
