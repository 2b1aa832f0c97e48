#include "agent/call_checkpoint.h"

#include <functional>
#include <stop_token>

#include "agent/events.h"
#include "base/stoppable_work.h"

namespace sable::agent {

asio::awaitable<memory::NewEvent> CallCheckpoints::before(asio::thread_pool& workers,
                                                          std::string session,
                                                          std::string call_id) {
  const std::function<Result<memory::FileCheckpoint>(std::stop_token)> take =
      [this, session](std::stop_token stop) -> Result<memory::FileCheckpoint> {
    if (!files_) {
      SABLE_TRY(files_, memory::FileCheckpoints::open(home_, root_));
    }
    return files_->take(session, std::move(stop));
  };
  const auto taken = co_await run_stoppable(workers, take);
  auto event = events::files_checkpointed(call_id, taken);
  co_return event;
}

}  // namespace sable::agent
