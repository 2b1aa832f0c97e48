#include "agent/call_checkpoint.h"

#include "agent/events.h"
#include "base/task_group.h"

namespace sable::agent {

asio::awaitable<memory::NewEvent> CallCheckpoints::before(asio::thread_pool& workers,
                                                          std::string session,
                                                          std::string call_id) {
  const std::function<Result<memory::FileCheckpoint>()> take =
      [this, session]() -> Result<memory::FileCheckpoint> {
    if (!files_) {
      SABLE_TRY(files_, memory::FileCheckpoints::open(home_, root_));
    }
    return files_->take(session);
  };
  const auto taken = co_await run_blocking(workers, take);
  auto event = events::files_checkpointed(call_id, taken);
  co_return event;
}

}  // namespace sable::agent
