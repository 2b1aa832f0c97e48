// What memory gives at best: the limit of decoding.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "inference/engine/speed.h"
#include "inference/kernels/worker_pool.h"

namespace sable::inference {

double read_bandwidth(size_t n_threads) {
  constexpr size_t kWords = size_t{1} << 25, kPiece = size_t{1} << 14;
  constexpr int kPasses = 8;
  const std::vector<uint64_t> words(kWords, 1);
  WorkerPool pool(n_threads);
  double best = 0;
  std::atomic<uint64_t> total{0};
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    pool.run(kWords / kPiece, [&](size_t piece, size_t) {
      const uint64_t* const p = words.data() + piece * kPiece;
      constexpr size_t kAhead = 1024;  // words; as far as the kernels look ahead
      uint64_t sums[16] = {};
      for (size_t i = 0; i < kPiece; i += 16) {
        __builtin_prefetch(p + i + kAhead);
        __builtin_prefetch(p + i + kAhead + 8);
        for (size_t k = 0; k < 16; ++k) sums[k] += p[i + k];
      }
      uint64_t sum = 0;
      for (const uint64_t s : sums) sum += s;
      total += sum;
    });
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(kWords * sizeof(uint64_t)) / time.count());
  }
  return total == kPasses * kWords ? best : 0;
}

}  // namespace sable::inference
