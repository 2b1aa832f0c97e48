#include "sandbox/egress_proxy.h"

#include <array>

#include "base/text.h"
#include "sandbox/address_rules.h"

namespace sable::sandbox {

namespace {

using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr size_t kPieceBytes = size_t{16} << 10;
constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";

// What a program sees that was refused; tools show it to their user as it is.
std::string refusal(const Error& error) {
  std::string_view status = "502 Bad Gateway";
  if (error.code == ErrorCode::denied) status = "403 Forbidden";
  if (error.code == ErrorCode::invalid_input) status = "400 Bad Request";
  if (error.code == ErrorCode::timed_out) status = "504 Gateway Timeout";
  const std::string body = "sandbox: " + error.message + "\n";
  return "HTTP/1.1 " + std::string(status) +
         "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Moves bytes until the sender is done, and tells the receiver.
asio::awaitable<void> move_bytes(tcp::socket& from, tcp::socket& to, uint64_t& bytes,
                                 Clock::time_point& last) {
  std::array<char, kPieceBytes> piece;
  boost::system::error_code error;
  while (!error) {
    const size_t size = co_await from.async_read_some(
        asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
    if (size == 0) continue;
    last = Clock::now();
    bytes += size;
    boost::system::error_code write_error;
    co_await asio::async_write(to, asio::buffer(piece.data(), size),
                               asio::redirect_error(asio::use_awaitable, write_error));
    if (write_error) error = write_error;
    last = Clock::now();
  }
  boost::system::error_code ignored;
  to.shutdown(tcp::socket::shutdown_send, ignored);
  if (error != asio::error::eof) from.shutdown(tcp::socket::shutdown_receive, ignored);
}

}  // namespace

struct EgressProxy::Connection {
  Connection(tcp::socket accepted, const asio::any_io_executor& executor)
      : inside(std::move(accepted)), outside(executor) {}

  void close() {
    boost::system::error_code ignored;
    inside.close(ignored);
    outside.close(ignored);
  }

  tcp::socket inside, outside;
  Clock::time_point due = Clock::time_point::max();  ///< then what is going on now took too long
  Clock::time_point last = Clock::now();             ///< a byte moved
  std::string early;  ///< bytes that came after the head of the request
  std::string head;   ///< to be sent on
  bool tunnel = false;
  std::shared_ptr<NetworkDecision> decision;
};

asio::awaitable<Result<Addresses>> resolve_by_system(std::string host) {
  tcp::resolver resolver(co_await asio::this_coro::executor);
  boost::system::error_code error;
  const auto found =
      co_await resolver.async_resolve(host, "", asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    co_return fail(ErrorCode::not_found,
                   "the name " + host + " has no address: " + error.message());
  }
  Addresses addresses;
  for (const auto& entry : found) addresses.push_back(entry.endpoint().address());
  co_return addresses;
}

Result<asio::ip::address> choose_address(const AllowedHost& rule, const Addresses& addresses) {
  std::string refused;
  for (const auto& address : addresses) {
    const AddressKind kind = kind_of(address);
    const bool inner = kind == AddressKind::loopback || kind == AddressKind::of_this_host ||
                       kind == AddressKind::private_use;
    boost::system::error_code not_literal;
    const auto literal = asio::ip::make_address(rule.name, not_literal);
    const bool named = !not_literal && literal == address;
    if (kind == AddressKind::global || (rule.private_addresses && (inner || named))) return address;
    if (refused.empty()) refused = address.to_string() + " is " + std::string(name_of(kind));
  }
  if (refused.empty()) {
    return fail(ErrorCode::not_found, "the name " + rule.name + " has no address");
  }
  return fail(ErrorCode::denied,
              "the address " + refused + ", which the policy does not allow for this host");
}

EgressProxy::EgressProxy(asio::any_io_executor executor, UniqueFd listener,
                         std::vector<AllowedHost> rules, Resolve resolve, ProxyLimits limits)
    : executor_(executor),
      rules_(std::move(rules)),
      resolve_(std::move(resolve)),
      limits_(limits),
      acceptor_(executor),
      room_(executor, Clock::time_point::max()),
      tasks_(executor) {
  boost::system::error_code ignored;
  acceptor_.assign(tcp::v4(), listener.release(), ignored);
}

void EgressProxy::start() {
  tasks_.spawn(accept());
  tasks_.spawn(watch());
}

asio::awaitable<void> EgressProxy::stop() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for (const auto& entry : connections_) {
    if (const auto connection = entry.lock()) connection->close();
  }
  tasks_.cancel();
  co_await tasks_.join();
}

std::vector<NetworkDecision> EgressProxy::take_decisions() {
  std::vector<NetworkDecision> taken;
  for (const auto& decision : decisions_) taken.push_back(*decision);
  decisions_.clear();
  return taken;
}

asio::awaitable<void> EgressProxy::accept() {
  boost::system::error_code error;
  while (acceptor_.is_open()) {
    std::erase_if(connections_, [](const auto& entry) { return entry.expired(); });
    if (connections_.size() >= limits_.connections) {
      co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) co_return;
      continue;
    }
    tcp::socket socket =
        co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {  // out of descriptors, or a peer that is gone already
      co_await sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    auto connection = std::make_shared<Connection>(std::move(socket), executor_);
    connections_.push_back(connection);
    tasks_.spawn(serve(std::move(connection)));
  }
}

// Closes what takes too long; whoever waits on it then sees an error.
asio::awaitable<void> EgressProxy::watch() {
  const auto interval = std::min(limits_.head, limits_.idle) / 10;
  while (acceptor_.is_open()) {
    co_await sleep_for(std::chrono::duration_cast<std::chrono::milliseconds>(interval));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
    const auto now = Clock::now();
    for (const auto& entry : connections_) {
      const auto connection = entry.lock();
      if (!connection) continue;
      if (connection->due < now || connection->last + limits_.idle < now) connection->close();
    }
  }
}

asio::awaitable<void> EgressProxy::serve(std::shared_ptr<Connection> connection) {
  const auto opened = co_await open_way(connection);
  if (!opened) {
    if (!connection->decision) {
      connection->decision = note({.host = "", .reason = opened.error().message});
    }
    connection->decision->reason = opened.error().message;
    const std::string answer = refusal(opened.error());
    boost::system::error_code ignored;
    co_await asio::async_write(connection->inside, asio::buffer(answer),
                               asio::redirect_error(asio::use_awaitable, ignored));
    connection->close();
  } else {
    connection->due = Clock::time_point::max();
    connection->last = Clock::now();
    tasks_.spawn(relay_back(connection));
    auto& decision = *connection->decision;
    co_await move_bytes(connection->inside, connection->outside, decision.bytes_sent,
                        connection->last);
  }
  connection.reset();
  room_.cancel();
}

// From a program's first byte until bytes may flow.
asio::awaitable<Result<void>> EgressProxy::open_way(std::shared_ptr<Connection> connection) {
  connection->due = Clock::now() + limits_.head;
  SABLE_CO_TRY(ProxyRequest request, co_await read_request(connection));
  connection->decision = note({.host = request.to.host, .port = request.to.port});
  connection->due = Clock::now() + limits_.connect;
  connection->tunnel = request.tunnel;
  connection->head = std::move(request.head);
  SABLE_CO_TRY_VOID(co_await dial(connection, request.to));
  connection->decision->allowed = true;
  boost::system::error_code error;
  if (connection->tunnel) {
    co_await asio::async_write(connection->inside, asio::buffer(kEstablished),
                               asio::redirect_error(asio::use_awaitable, error));
  }
  const std::string first = connection->head + connection->early;
  if (!first.empty() && !error) {
    connection->decision->bytes_sent += first.size();
    co_await asio::async_write(connection->outside, asio::buffer(first),
                               asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) co_return fail(ErrorCode::io, "the connection broke: " + error.message());
  co_return Result<void>();
}

asio::awaitable<Result<ProxyRequest>> EgressProxy::read_request(
    std::shared_ptr<Connection> connection) {
  std::string head;
  std::array<char, 4096> piece;
  while (true) {
    boost::system::error_code error;
    const size_t size = co_await connection->inside.async_read_some(
        asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(ErrorCode::timed_out, "no whole request came");
    const size_t searched = head.size() < 3 ? 0 : head.size() - 3;
    head.append(piece.data(), size);
    const size_t end = head.find("\r\n\r\n", searched);
    if (end != std::string::npos) {
      connection->early = head.substr(end + 4);
      head.resize(end + 4);
      co_return parse_proxy_request(head);
    }
    if (head.size() > kRequestHeadMax) {
      co_return fail(ErrorCode::invalid_input, "the head of the request is too long");
    }
  }
}

asio::awaitable<Result<void>> EgressProxy::dial(std::shared_ptr<Connection> connection,
                                                Authority to) {
  const AllowedHost* rule = rule_for(rules_, to);
  if (rule == nullptr) {
    co_return fail(ErrorCode::denied,
                   "the host " + to.host + " is not allowed on port " + std::to_string(to.port));
  }
  boost::system::error_code error;
  Addresses addresses;
  const auto literal = asio::ip::make_address(to.host, error);
  if (!error) {
    addresses.push_back(literal);
  } else {
    // Only here does a name leave the machine: it is on the list.
    SABLE_CO_TRY(addresses, co_await resolve_(to.host));
  }
  SABLE_CO_TRY(const auto address, choose_address(*rule, addresses));
  connection->decision->address = address.to_string();
  const tcp::endpoint endpoint(address, to.port);
  co_await connection->outside.async_connect(endpoint,
                                             asio::redirect_error(asio::use_awaitable, error));
  if (error == asio::error::operation_aborted) {
    co_return fail(ErrorCode::timed_out, "the host " + to.host + " did not answer");
  }
  if (error) {
    co_return fail(ErrorCode::io, "the host " + to.host + " cannot be reached: " + error.message());
  }
  co_return Result<void>();
}

asio::awaitable<void> EgressProxy::relay_back(std::shared_ptr<Connection> connection) {
  auto& decision = *connection->decision;
  co_await move_bytes(connection->outside, connection->inside, decision.bytes_received,
                      connection->last);
  connection.reset();
  room_.cancel();
}

std::shared_ptr<NetworkDecision> EgressProxy::note(const NetworkDecision& decision) {
  auto noted = std::make_shared<NetworkDecision>(decision);
  if (decisions_.size() < limits_.decisions) {
    decisions_.push_back(noted);
  } else {
    ++left_out_;
  }
  return noted;
}

}  // namespace sable::sandbox
