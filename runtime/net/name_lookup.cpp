#include "runtime/net/name_lookup.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>

namespace sable::runtime {

namespace {

constexpr int kLookupsMax = 64;
std::atomic<int> n_running{0};

/// What the waiter and the thread share. `waiter` is empty once nobody waits.
struct Shared {
  std::mutex mutex;
  std::shared_ptr<asio::steady_timer> waiter;
  std::optional<Result<Endpoints>> result;
};

/// Leaves the lookup when the waiting coroutine ends, however it ends.
class Waiting {
 public:
  Waiting(std::shared_ptr<Shared> shared, std::shared_ptr<asio::steady_timer> timer)
      : shared_(std::move(shared)) {
    shared_->waiter = std::move(timer);
  }
  ~Waiting() {
    const std::lock_guard lock(shared_->mutex);
    shared_->waiter.reset();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::shared_ptr<Shared> shared_;
};

void run_lookup(const std::shared_ptr<Shared>& shared, const std::string& host, uint16_t port,
                const BlockingLookup& lookup) {
  auto result = lookup(host, port);
  const std::lock_guard lock(shared->mutex);
  shared->result = std::move(result);
  if (!shared->waiter) return;
  // The lock is held, so the waiter, its timer and its loop are alive.
  auto timer = shared->waiter;
  asio::post(timer->get_executor(), [timer] { timer->cancel(); });
}

}  // namespace

Result<Endpoints> system_lookup(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) {
    return fail(ErrorCode::io,
                fmt::format("cannot look up {}: {}; check the host's name and the network", host,
                            status == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(status)));
  }
  Endpoints endpoints;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    asio::ip::tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    endpoint.resize(entry->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(found);
  if (endpoints.empty()) {
    return fail(ErrorCode::io, fmt::format("cannot look up {}: it has no address", host));
  }
  return endpoints;
}

asio::awaitable<Result<Endpoints>> look_up(std::string host, uint16_t port,
                                           std::chrono::milliseconds limit, BlockingLookup lookup) {
  if (n_running.fetch_add(1) >= kLookupsMax) {
    n_running.fetch_sub(1);
    co_return fail(ErrorCode::exhausted,
                   fmt::format("cannot look up {}: {} lookups without an answer are still running; "
                               "check the network and DNS",
                               host, kLookupsMax));
  }
  const auto shared = std::make_shared<Shared>();
  const auto timer =
      std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, limit);
  const Waiting waiting(shared, timer);
  try {
    std::thread([shared, host, port, lookup = std::move(lookup)] {
      run_lookup(shared, host, port, lookup);
      n_running.fetch_sub(1);
    }).detach();
  } catch (const std::system_error& error) {
    n_running.fetch_sub(1);
    co_return fail(ErrorCode::exhausted,
                   fmt::format("cannot look up {}: no thread: {}", host, error.what()));
  }
  boost::system::error_code ignored;
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    co_return fail(ErrorCode::cancelled, fmt::format("looking up {} was stopped", host));
  }
  const std::lock_guard lock(shared->mutex);
  if (!shared->result) {
    co_return fail(ErrorCode::timed_out,
                   fmt::format("looking up {}: no answer within {} ms; check the network and DNS",
                               host, limit.count()));
  }
  co_return std::move(*shared->result);
}

}  // namespace sable::runtime
