// How remote providers reach their endpoint. Declared here, where no socket is known; runtime
// implements it.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/asio.h"
#include "base/result.h"

namespace sable::agent {

struct HttpRequest {
  std::string method = "POST";
  std::string url;  ///< http:// or https://
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds idle_timeout{120'000};  ///< between any two pieces of the answer
};

struct HttpHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;

  /// The first header of that name (case-insensitive), or empty.
  std::string_view header(std::string_view name) const;
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;

  /// Receives the answer's body piece by piece, decoded from its transfer encoding; an error ends
  /// the exchange with that error.
  using BodySink = std::function<Result<void>(const HttpHead&, std::string_view piece)>;

  /// One exchange, to the end of the answer. Certificates and host names are verified. Redirects
  /// are not followed. A body that ends before its length or its last chunk is corrupt. Errors: io
  /// (resolve, connect, TLS), timed_out, corrupt. Cancellation closes the connection.
  virtual asio::awaitable<Result<HttpHead>> exchange(HttpRequest request, BodySink on_body) = 0;
};

}  // namespace sable::agent
