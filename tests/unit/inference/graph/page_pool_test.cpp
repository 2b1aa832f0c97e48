#include "inference/graph/page_pool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "base/random.h"
#include "inference/kernels/worker_pool.h"

using namespace sable;
using namespace sable::inference;

namespace {

std::vector<PageRef> take(PagePool& pool, size_t bytes, size_t n) {
  std::vector<PageRef> pages;
  while (pages.size() < n) {
    PageRef page = pool.allocate(bytes);
    if (!page) break;
    std::memset(page.data(), static_cast<int>(pages.size() % 251), bytes);
    pages.push_back(std::move(page));
  }
  return pages;
}

bool holds_its_number(const PageRef& page, size_t number) {
  const auto* const begin = page.data();
  return std::all_of(begin, begin + page.bytes(),
                     [&](std::byte b) { return b == std::byte(number % 251); });
}

}  // namespace

TEST_CASE("pages are aligned, apart from each other, and as large as was asked for") {
  WorkerPool workers(1);
  const auto backend = make_cpu_backend(workers);
  PagePool pool(*backend, size_t{64} << 20);
  // Odd sizes too, and enough of them that slabs grow to their full size.
  for (const size_t bytes :
       {size_t{1}, size_t{584}, size_t{4096}, size_t{18'688}, size_t{100'001}}) {
    INFO(bytes);
    const auto pages = take(pool, bytes, std::min<size_t>(2000, (size_t{6} << 20) / bytes));
    for (size_t i = 0; i < pages.size(); ++i) {
      REQUIRE(reinterpret_cast<uintptr_t>(pages[i].data()) % 64 == 0);
      REQUIRE(pages[i].bytes() == bytes);
      REQUIRE(holds_its_number(pages[i], i));
    }
    CHECK(pool.bytes_in_use() == pages.size() * bytes);
  }
  CHECK(pool.bytes_in_use() == 0);
}

TEST_CASE("a page lives as long as the last that shares it, and copies are their own") {
  const auto backend = make_reference_backend();
  PagePool pool(*backend, 1 << 20);
  PageRef first = pool.allocate(128);
  std::memset(first.data(), 7, 128);
  PageRef second = first;
  CHECK(second.shared());
  const PageRef copy = pool.copy_of(first);
  first = {};
  CHECK_FALSE(second.shared());
  CHECK(pool.bytes_in_use() == 256);
  std::memset(second.data(), 9, 128);
  CHECK(holds_its_number(copy, 7));
  second = {};
  CHECK(pool.bytes_in_use() == 128);
}

TEST_CASE("the budget is kept to the last page, and what lies idle serves pages of another size") {
  const auto backend = make_reference_backend();
  for (const size_t budget : {size_t{4096}, size_t{100'000}, size_t{10} << 20}) {
    PagePool pool(*backend, budget);
    for (const size_t bytes : {size_t{4096}, size_t{1024}, size_t{2048}}) {
      INFO(budget << " in pages of " << bytes);
      const auto pages = take(pool, bytes, SIZE_MAX);
      CHECK(pages.size() == budget / bytes);
      CHECK_FALSE(pool.allocate(bytes));
      CHECK_FALSE(pool.allocate(budget));
    }
    CHECK_FALSE(pool.allocate(budget + 1));
  }
}

TEST_CASE("slabs behind the pages in use become free for pages of another size") {
  const auto backend = make_reference_backend();
  PagePool pool(*backend, size_t{64} << 20);
  auto pages = take(pool, 4096, (size_t{64} << 20) / 4096);
  REQUIRE(pages.size() == 16384);
  pages.resize(100);  // one sequence in many has ended
  const auto others = take(pool, 8192, SIZE_MAX);
  CHECK(others.size() * 8192 > size_t{60} << 20);
  for (size_t i = 0; i < pages.size(); ++i) REQUIRE(holds_its_number(pages[i], i));
}

TEST_CASE("many threads take and give back at once") {
  WorkerPool workers(1);
  const auto backend = make_cpu_backend(workers);
  PagePool pool(*backend, size_t{32} << 20);
  std::atomic<int> n_wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Random random(static_cast<uint64_t>(t));
      std::vector<PageRef> mine;
      for (int i = 0; i < 4000; ++i) {
        const size_t bytes = random.chance(0.5) ? 4096 : 1500;
        PageRef page = pool.allocate(bytes);
        if (!page) continue;
        std::memset(page.data(), t + 1, bytes);
        mine.push_back(std::move(page));
        if (mine.size() > 300) {
          const size_t gone = random.below(mine.size());
          if (!holds_its_number(mine[gone], static_cast<size_t>(t) + 1)) ++n_wrong;
          std::swap(mine[gone], mine.back());
          mine.pop_back();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(n_wrong == 0);
  CHECK(pool.bytes_in_use() == 0);
}
