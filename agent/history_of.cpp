#include "agent/history_of.h"

#include <fmt/format.h>

namespace sable::agent {

namespace {

constexpr size_t kEventsPerRead = 1000;
constexpr size_t kRewindsMax = 100'000;

}  // namespace

asio::awaitable<Result<History>> history_of(memory::Store& store, std::string id,
                                            memory::Seq last) {
  SABLE_CO_TRY(const auto rewound,
               co_await store.find_events(id, memory::kRewound, 1, kRewindsMax));
  std::vector<memory::Rewind> rewinds;
  for (const auto& event : rewound) {
    SABLE_CO_TRY_VOID(memory::check_understood(event));
    if (const auto rewind = memory::rewind_from(event); rewind.at > 0) rewinds.push_back(rewind);
  }
  History history;
  for (const auto& range : memory::events_in_force(rewinds, last)) {
    for (memory::Seq next = range.first; next <= range.last;) {
      const size_t n_max = std::min<size_t>(kEventsPerRead, range.last - next + 1);
      SABLE_CO_TRY(const auto events, co_await store.read(id, next, n_max));
      if (events.empty()) {
        co_return fail(ErrorCode::corrupt,
                       fmt::format("session {}: event {} is missing", id, next));
      }
      for (const auto& event : events) {
        SABLE_CO_TRY_VOID(history.take(event));
      }
      next = events.back().seq + 1;
    }
  }
  co_return history;
}

}  // namespace sable::agent
