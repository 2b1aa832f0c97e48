// The only way out of a sandbox with Network::allow: an HTTP proxy outside, whose listener lies
// inside. It decides about each connection by name, then by address, and writes the decision down.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include <boost/asio/ip/tcp.hpp>

#include "base/task_group.h"
#include "base/unique_fd.h"
#include "sandbox/proxy_request.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

using Addresses = std::vector<asio::ip::address>;
/// All addresses of a canonical name; called only for names on the list.
using Resolve = std::function<asio::awaitable<Result<Addresses>>(std::string host)>;

/// The system's resolver, on a thread of Asio's.
asio::awaitable<Result<Addresses>> resolve_by_system(std::string host);

/// The first address that may be dialed for `rule`; denied names the kind of the ones that may not.
Result<asio::ip::address> choose_address(const AllowedHost& rule, const Addresses& addresses);

struct ProxyLimits {
  size_t connections = 64;                    ///< at once; more wait in the listener's queue
  std::chrono::milliseconds head{10'000};     ///< until a request's head is there
  std::chrono::milliseconds connect{10'000};  ///< to look up and to dial
  std::chrono::milliseconds idle{120'000};    ///< without a byte in either direction
  size_t decisions = 256;                     ///< kept; more are counted
};

/// Runs on one thread; stop() must complete before it is destroyed. Memory: about 36 KiB a
/// connection.
class EgressProxy {
 public:
  EgressProxy(asio::any_io_executor executor, UniqueFd listener, std::vector<AllowedHost> rules,
              Resolve resolve = resolve_by_system, ProxyLimits limits = {});

  void start();
  /// Ends every connection.
  asio::awaitable<void> stop();

  /// What was decided since the last time, connections that are still open included.
  std::vector<NetworkDecision> take_decisions();
  uint64_t take_left_out() { return std::exchange(left_out_, 0); }

 private:
  struct Connection;

  asio::awaitable<void> accept();
  asio::awaitable<void> watch();
  asio::awaitable<void> serve(std::shared_ptr<Connection> connection);
  asio::awaitable<Result<void>> open_way(std::shared_ptr<Connection> connection);
  asio::awaitable<Result<ProxyRequest>> read_request(std::shared_ptr<Connection> connection);
  asio::awaitable<Result<void>> dial(std::shared_ptr<Connection> connection, Authority to);
  asio::awaitable<void> relay_back(std::shared_ptr<Connection> connection);
  std::shared_ptr<NetworkDecision> note(const NetworkDecision& decision);

  const asio::any_io_executor executor_;
  const std::vector<AllowedHost> rules_;
  const Resolve resolve_;
  const ProxyLimits limits_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer room_;  ///< cancelled when a connection ends
  TaskGroup tasks_;
  std::list<std::weak_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<NetworkDecision>> decisions_;
  uint64_t left_out_ = 0;
};

}  // namespace sable::sandbox
