#include "runtime/retention_beside.h"

#include <fmt/format.h>

namespace sable::runtime {

RetentionBeside::RetentionBeside(asio::any_io_executor executor, memory::Store& store,
                                 const config::RetentionSettings& settings, Log log)
    : store_(store), log_(std::move(log)), work_(std::move(executor)) {
  const auto policy = config::to_retention(settings);
  if (policy.age_max || policy.bytes_max) work_.spawn(run(policy));
}

asio::awaitable<void> RetentionBeside::stop() {
  stopping_.request_stop();
  co_await work_.join();
}

asio::awaitable<void> RetentionBeside::run(memory::Retention policy) {
  const auto removed = co_await store_.retain(policy, stopping_.get_token());
  if (!removed) {
    if (removed.error().code == ErrorCode::cancelled) co_return;
    log_.warning("old sessions could not be removed", {{"error", removed.error().message}});
    co_return;
  }
  for (const auto& session : *removed) {
    log_.info("removed a session as retention says", {{"session", session.id},
                                                      {"updated", to_rfc3339(session.updated)},
                                                      {"bytes", session.bytes}});
  }
}

}  // namespace sable::runtime
