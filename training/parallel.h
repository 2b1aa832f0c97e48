// Independent jobs on a few threads, without spinning.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace sable::training {

/// Calls work(job, thread) for each job in 0 .. n_jobs-1, on n_threads threads (one of them the
/// caller's), and returns when all are done. Jobs start in order; which thread takes which is
/// chance, so results must not depend on it.
template <class Work>
void in_parallel(size_t n_threads, size_t n_jobs, const Work& work) {
  std::atomic<size_t> next{0};
  const auto take = [&](size_t thread) {
    for (size_t job; (job = next.fetch_add(1)) < n_jobs;) work(job, thread);
  };
  std::vector<std::jthread> others;
  for (size_t i = 1; i < n_threads && i < n_jobs; ++i) others.emplace_back(take, i);
  take(0);
}

}  // namespace sable::training
