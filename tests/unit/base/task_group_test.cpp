#include "base/task_group.h"

#include <atomic>
#include <functional>
#include <thread>

#include <catch2/catch.hpp>

#include "base/stoppable_work.h"

using namespace sable;
using namespace std::chrono_literals;

namespace {

/// Runs a coroutine to its end on a context of its own; rethrows what it throws.
void run(asio::awaitable<void> work) {
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(context, std::move(work), [&](const std::exception_ptr& e) { failure = e; });
  context.run();
  if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> wait_then_count(std::chrono::milliseconds delay, int& count) {
  asio::steady_timer timer(co_await asio::this_coro::executor, delay);
  co_await timer.async_wait(asio::use_awaitable);
  ++count;
}

asio::awaitable<void> fail_soon() {
  co_await sleep_for(1ms);
  throw std::runtime_error("broken");
}

asio::awaitable<void> work_until_stopped(asio::thread_pool& workers, std::atomic<bool>& started,
                                         std::atomic<bool>& ended, int& result) {
  const std::function<int(std::stop_token)> work = [&](const std::stop_token& stop) {
    started = true;
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(5ms);
    ended = true;
    return 7;
  };
  result = co_await run_stoppable(workers, work);
}

asio::awaitable<void> stop_while_it_works(asio::thread_pool& workers, std::atomic<bool>& started,
                                          std::atomic<bool>& ended, int& result) {
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(work_until_stopped(workers, started, ended, result));
  while (!started) co_await sleep_for(1ms);
  group.cancel();
  co_await group.join();
}

asio::awaitable<void> let_it_work(asio::thread_pool& workers, int& result) {
  const std::function<int(std::stop_token)> work = [](const std::stop_token&) { return 8; };
  result = co_await run_stoppable(workers, work);
}

asio::awaitable<void> count_on_a_worker(asio::thread_pool& workers, std::atomic<int>& count) {
  const std::function<int()> work = [&] { return ++count; };
  co_await run_blocking(workers, work);
}

/// Both workers are busy when the group is cancelled, and become free at the same time.
asio::awaitable<void> stop_before_it_works(asio::thread_pool& workers, std::atomic<int>& count) {
  TaskGroup group(co_await asio::this_coro::executor);
  const auto free_at = std::chrono::steady_clock::now() + 200us;
  for (int i = 0; i < 2; ++i) {
    asio::post(workers, [free_at] {
      while (std::chrono::steady_clock::now() < free_at) {
      }
    });
  }
  group.spawn(count_on_a_worker(workers, count));
  group.cancel();
  co_await group.join();
}

asio::awaitable<void> parent_of_three(int& count) {
  TaskGroup group(co_await asio::this_coro::executor);
  for (int i = 0; i < 3; ++i) group.spawn(wait_then_count(1ms, count));
  co_await group.join();
  CHECK(group.size() == 0);
}

asio::awaitable<void> parent_of_failing(int& count) {
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(wait_then_count(1h, count));
  group.spawn(fail_soon());
  co_await group.join();
}

asio::awaitable<void> parent_that_is_cancelled(int& count, bool& joined) {
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(wait_then_count(1h, count));
  co_await group.join();
  joined = group.size() == 0;
}

asio::awaitable<void> cancel_the_parent(int& count, bool& joined) {
  using namespace asio::experimental::awaitable_operators;
  co_await (parent_that_is_cancelled(count, joined) || sleep_for(5ms));
}

asio::awaitable<Result<int>> slow_answer() {
  co_await sleep_for(1h);
  co_return 1;
}

asio::awaitable<void> impatient(Error& error) {
  auto answer = co_await with_deadline(slow_answer(), 5ms, "model");
  error = answer.error();
}

}  // namespace

TEST_CASE("a task group joins all its children") {
  int count = 0;
  run(parent_of_three(count));
  CHECK(count == 3);
}

TEST_CASE("a failing child cancels its siblings and its failure is rethrown") {
  int count = 0;
  CHECK_THROWS_WITH(run(parent_of_failing(count)), "broken");
  CHECK(count == 0);
}

TEST_CASE("a cancelled parent cancels and still joins its children") {
  int count = 0;
  bool joined = false;
  run(cancel_the_parent(count, joined));
  CHECK(joined);
  CHECK(count == 0);
}

TEST_CASE("work that may be stopped ends when its coroutine is cancelled, and is waited for") {
  asio::thread_pool workers(1);
  std::atomic<bool> started = false, ended = false;
  int result = 0;
  run(stop_while_it_works(workers, started, ended, result));
  CHECK(ended);
  CHECK(result == 7);  // it is told what the work returned all the same
  run(let_it_work(workers, result));
  CHECK(result == 8);
}

TEST_CASE("work whose coroutine is cancelled before a worker takes it is done all the same") {
  asio::thread_pool workers(2);
  std::atomic<int> count = 0;
  for (int i = 0; i < 500; ++i) run(stop_before_it_works(workers, count));
  CHECK(count == 500);
}

TEST_CASE("a deadline ends the work and says what was slow") {
  Error error{ErrorCode::io, ""};
  run(impatient(error));
  CHECK(error.code == ErrorCode::timed_out);
  CHECK(error.message == "model: no answer within 5 ms");
}
