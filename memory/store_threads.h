// The threads of a store, and how a coroutine has work done on them and awaits the answer.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/asio.h"
#include "memory/awaited_change.h"
#include "memory/commit_thread.h"
#include "memory/log_database.h"
#include "memory/out_of_memory.h"
#include "memory/pending.h"
#include "memory/work_thread.h"

namespace sable::memory {

/// One thread writes the log, one answers questions of it, one writes and reads blobs, one does
/// what takes long. Each finishes what it was given, on destruction; the answers complete on the
/// executor of the caller's coroutine.
class StoreThreads {
 public:
  StoreThreads(std::unique_ptr<CommitThread> committer, LogDatabase reading)
      : committer_(std::move(committer)), reading_(std::move(reading)) {}

  /// Runs `make` in a transaction of the store thread and `durable` after its commit.
  template <class T>
  asio::awaitable<Result<T>> change(std::function<Result<T>(LogDatabase&)> make,
                                    std::function<void()> durable = nullptr, bool alone = false) {
    auto pending = std::make_shared<Pending<T>>(co_await asio::this_coro::executor);
    // Before the change is on its way: there must be memory to wait in.
    auto answer = Pending<T>::wait(pending);
    committer_->submit(std::make_unique<AwaitedChange<T>>(std::move(pending), std::move(make),
                                                          std::move(durable), alone));
    auto result = co_await std::move(answer);
    co_return result;
  }

  /// Runs `work` on one of the threads below.
  template <class T>
  asio::awaitable<Result<T>> on_thread(WorkThread& thread, std::function<Result<T>()> work) {
    auto pending = std::make_shared<Pending<T>>(co_await asio::this_coro::executor);
    auto answer = Pending<T>::wait(pending);
    thread.submit([pending = std::move(pending), work = std::move(work)] {
      Pending<T>::complete(pending, unless_out_of_memory(work));
    });
    auto result = co_await std::move(answer);
    co_return result;
  }

  /// Answers from one snapshot of the database, beside the writer.
  template <class T>
  asio::awaitable<Result<T>> ask(std::function<Result<T>(LogDatabase&)> question) {
    auto answer_later = on_thread<T>(reader_, [this, question = std::move(question)] {
      return reading_.read_consistently([&] { return question(reading_); });
    });
    auto answer = co_await std::move(answer_later);
    co_return answer;
  }

  WorkThread& files() { return files_; }
  WorkThread& long_work() { return long_work_; }

 private:
  // Destroyed from the last to the first: questions end, the reader closes, then the writer, who
  // must be the last to close so that the write-ahead log is folded in.
  std::unique_ptr<CommitThread> committer_;
  LogDatabase reading_;
  WorkThread reader_;
  WorkThread files_;
  WorkThread long_work_;
};

}  // namespace sable::memory
