#include "agent/rewind.h"

#include <optional>

#include <fmt/format.h>

#include "agent/events.h"
#include "agent/history_of.h"
#include "base/task_group.h"

namespace sable::agent {

namespace {

namespace fs = std::filesystem;

/// The state of the files at a moment, as the log knows it.
struct FilesThen {
  bool unchanged = true;   ///< no call since then could change them
  std::string checkpoint;  ///< empty: there is none, and `reason` says why
  std::string reason;
};

std::string text_or(const Json& data, const char* key) { return string_or(data, key, ""); }

/// The first rewind behind event `to` that changed files; nullopt: none did.
asio::awaitable<Result<std::optional<memory::Event>>> rewind_of_files(memory::Store& store,
                                                                      std::string id,
                                                                      memory::Seq to) {
  using Found = std::optional<memory::Event>;
  constexpr size_t kAtOnce = 100;
  while (true) {
    SABLE_CO_TRY(auto rewinds, co_await store.find_events(id, memory::kRewound, to + 1, kAtOnce));
    if (rewinds.empty()) co_return Found();
    for (auto& rewind : rewinds) {
      if (!text_or(rewind.data, "files").empty()) co_return Found(std::move(rewind));
    }
    to = rewinds.back().seq;
  }
}

/// The first checkpoint behind event `to`, whoever took it: a call or another rewind.
asio::awaitable<Result<FilesThen>> files_behind(memory::Store& store, std::string id,
                                                memory::Seq to) {
  SABLE_CO_TRY(const auto calls, co_await store.find_events(id, "files.checkpointed", to + 1, 1));
  SABLE_CO_TRY(const auto rewind, co_await rewind_of_files(store, id, to));
  FilesThen then;
  if (!calls.empty() && (!rewind || calls[0].seq < rewind->seq)) {
    then = {false, text_or(calls[0].data, "checkpoint"), text_or(calls[0].data, "reason")};
  } else if (rewind) {
    then = {false, text_or(rewind->data, "files_before"), "the rewind kept none"};
  }
  co_return then;
}

/// Keeps the files as they are, so that the rewind can itself be undone, once it is known that
/// `checkpoint` can be brought back.
asio::awaitable<Result<std::string>> keep_before(memory::Store& store, asio::thread_pool& workers,
                                                 std::string session, fs::path root,
                                                 std::string checkpoint) {
  const std::function<Result<std::string>()> work = [home = store.home(), root, session,
                                                     checkpoint]() -> Result<std::string> {
    SABLE_TRY(const auto files, memory::FileCheckpoints::open(home, root));
    if (const auto sound = files->check(checkpoint); !sound) {
      return fail(sound.error().code,
                  fmt::format("the files of that moment cannot be brought back ({}); with "
                              "--keep-files the conversation goes back and the files stay",
                              sound.error().message));
    }
    SABLE_TRY(const auto taken, files->take(session));
    return taken.id;
  };
  co_return co_await run_blocking(workers, work);
}

asio::awaitable<Result<memory::RestoreReport>> restore(memory::Store& store,
                                                       asio::thread_pool& workers, fs::path root,
                                                       std::string checkpoint) {
  const std::function<Result<memory::RestoreReport>()> work =
      [home = store.home(), root, checkpoint]() -> Result<memory::RestoreReport> {
    SABLE_TRY(const auto files, memory::FileCheckpoints::open(home, root));
    return files->restore(checkpoint);
  };
  co_return co_await run_blocking(workers, work);
}

/// Trying again would find the same.
bool is_lasting(const Error& error) {
  return error.code == ErrorCode::not_found || error.code == ErrorCode::corrupt ||
         error.code == ErrorCode::invalid_input;
}

asio::awaitable<Result<memory::Seq>> log_one(memory::Store& store, memory::Lease& lease,
                                             memory::NewEvent event) {
  std::vector<memory::NewEvent> events;
  events.push_back(std::move(event));
  SABLE_CO_TRY(const auto appended, co_await store.append(lease, std::move(events)));
  co_return appended.front().seq;
}

}  // namespace

asio::awaitable<Result<RewindResult>> rewind_session(memory::Store& store,
                                                     asio::thread_pool& workers, std::string id,
                                                     memory::Seq to, bool keep_files) {
  SABLE_CO_TRY(const auto info, co_await store.find(id));
  SABLE_CO_TRY(const auto lease, co_await store.acquire(info.id));
  const memory::Seq last = lease->last_seq();
  if (to < 1 || to >= last) {
    co_return fail(ErrorCode::invalid_input,
                   fmt::format("session {} has events 1 to {}; it can go back to 1 to {}", info.id,
                               last, last - 1));
  }
  SABLE_CO_TRY(const auto then, co_await history_of(store, info.id, to));
  if (!then.open_calls().empty()) {
    co_return fail(ErrorCode::invalid_input,
                   fmt::format("event {} lies between a tool call and its outcome; choose one "
                               "before the call or behind the outcome",
                               to));
  }
  SABLE_CO_TRY(const auto now, co_await history_of(store, info.id, last));
  const fs::path root = info.working_directory;
  FilesThen files;
  if (!keep_files) {
    SABLE_CO_TRY(files, co_await files_behind(store, info.id, to));
  }
  const bool restores = !files.unchanged;
  std::string before;
  if (restores) {
    if (files.checkpoint.empty()) {
      co_return fail(ErrorCode::unsupported,
                     fmt::format("the files of that moment were not kept ({}); with --keep-files "
                                 "the conversation goes back and the files stay",
                                 files.reason));
    }
    SABLE_CO_TRY(before, co_await keep_before(store, workers, info.id, root, files.checkpoint));
  }
  auto rewound = events::session_rewound(to, now.n_turns(), files.checkpoint, before);
  SABLE_CO_TRY(const auto at, co_await log_one(store, *lease, std::move(rewound)));
  RewindResult result{.session = info.id, .to = to, .event = at};
  if (restores) {
    SABLE_CO_TRY(result.files, co_await restore(store, workers, root, files.checkpoint));
    auto done = events::files_restored(files.checkpoint, result.files);
    SABLE_CO_TRY_VOID(co_await log_one(store, *lease, std::move(done)));
    result.files_changed = true;
  }
  co_return result;
}

asio::awaitable<Result<void>> finish_rewind(memory::Store& store, asio::thread_pool& workers,
                                            memory::Lease& lease, fs::path working_directory) {
  // What a crash can leave behind is the rewind as the very last event.
  SABLE_CO_TRY(const auto newest, co_await store.read(lease.session(), lease.last_seq(), 1));
  if (newest.empty() || newest[0].type != memory::kRewound) co_return Result<void>();
  SABLE_CO_TRY_VOID(memory::check_understood(newest[0]));
  const auto checkpoint = text_or(newest[0].data, "files");
  if (checkpoint.empty()) co_return Result<void>();
  const auto report = co_await restore(store, workers, std::move(working_directory), checkpoint);
  if (!report && !is_lasting(report.error())) co_return fail(report.error());
  auto done = events::files_restored(checkpoint, report);
  SABLE_CO_TRY_VOID(co_await log_one(store, lease, std::move(done)));
  co_return Result<void>();
}

asio::awaitable<Result<memory::TaskState>> tasks_of(memory::Store& store, std::string id) {
  SABLE_CO_TRY(const auto info, co_await store.find(id));
  SABLE_CO_TRY(const auto history, co_await history_of(store, info.id, info.n_events));
  co_return history.tasks();
}

}  // namespace sable::agent
