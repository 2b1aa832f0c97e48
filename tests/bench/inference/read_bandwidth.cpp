#include "tests/bench/inference/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "inference/kernels/worker_pool.h"

namespace sable::bench {

double read_bandwidth(size_t n_threads) {
  constexpr size_t kWords = size_t{1} << 26, kPiece = size_t{1} << 13;
  const std::vector<uint64_t> words(kWords, 1);
  inference::WorkerPool pool(n_threads);
  double best = 0;
  std::atomic<uint64_t> total{0};
  for (int pass = 0; pass < 6; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    pool.run(kWords / kPiece, [&](size_t piece, size_t) {
      const uint64_t* const p = words.data() + piece * kPiece;
      uint64_t sums[8] = {};
      for (size_t i = 0; i < kPiece; i += 8) {
        for (size_t k = 0; k < 8; ++k) sums[k] += p[i + k];
      }
      uint64_t sum = 0;
      for (const uint64_t s : sums) sum += s;
      total += sum;
    });
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(kWords * sizeof(uint64_t)) / time.count());
  }
  return total == 6 * kWords ? best : 0;
}

}  // namespace sable::bench
