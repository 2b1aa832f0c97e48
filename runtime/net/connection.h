// One connected byte stream to an endpoint, plain or TLS, with a deadline on every wait.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string_view>

#include <boost/asio/ssl/context.hpp>

#include "base/asio.h"
#include "base/result.h"
#include "runtime/net/url.h"

namespace sable::runtime {

/// Destroying it closes the socket. Cancelling a coroutine that waits in it fails with cancelled
/// (or unwinds); the stream is then of no further use.
class Connection {
 public:
  /// Resolves, connects and, for https, shakes hands and verifies the certificate chain and the
  /// host name against `tls` (borrowed for the connection's life), all within `limit`. Errors: io
  /// (resolve, connect, TLS), denied (certificate or name not accepted), timed_out, cancelled; each
  /// names the host and what to do.
  static asio::awaitable<Result<std::unique_ptr<Connection>>> open(Url url, asio::ssl::context& tls,
                                                                   std::chrono::milliseconds limit);
  virtual ~Connection() = default;

  /// Waits at most `idle` for some bytes; 0 is the orderly end. A TLS stream that ends without its
  /// closing message is corrupt. `into` outlives the wait.
  virtual asio::awaitable<Result<size_t>> read_some(std::span<char> into,
                                                    std::chrono::milliseconds idle) = 0;

  /// Writes everything; fails when nothing can be written for `idle`. `bytes` outlives the wait.
  virtual asio::awaitable<Result<void>> write_all(std::string_view bytes,
                                                  std::chrono::milliseconds idle) = 0;
};

}  // namespace sable::runtime
