// A server on loopback that plays given bytes, for tests of what a client makes of them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/asio.h"
#include "tests/unit/runtime/net/test_certificate.h"

namespace sable::test {

/// What the endpoint does on each connection, in order; then it closes.
struct Play {
  struct Step {
    std::string bytes;
    std::chrono::milliseconds wait_before{0};
  };
  std::vector<Step> steps;
  bool read_request = true;        ///< waits for the request's headers first
  bool hang_at_end = false;        ///< keeps the connection open and silent
  bool reset_at_end = false;       ///< closes with a reset instead of an orderly end
  bool end_tls = true;             ///< sends TLS's closing message
  std::optional<Certificate> tls;  ///< speaks TLS with this
};

/// Listens on 127.0.0.1 (or ::1) on the test's own loop until it is destroyed.
class LocalEndpoint {
 public:
  LocalEndpoint(asio::io_context& loop, Play play, bool ipv6 = false);
  ~LocalEndpoint();

  uint16_t port() const;
  std::string url(const std::string& path = "/") const;
  const std::string& request() const;  ///< what came in last, as far as it was read
  bool peer_gone() const;              ///< the client closed while the endpoint hung

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sable::test
