// HTTP/1.1 exchanges over plain and TLS connections: how remote providers reach their endpoint.
#pragma once

#include <filesystem>
#include <memory>

#include "agent/agent.h"
#include "base/result.h"

namespace sable::runtime {

struct HttpClientOptions {
  /// More certificate authorities to trust, in PEM form, beside the system's: for private
  /// endpoints.
  std::filesystem::path extra_ca_file;
  size_t header_bytes_max = size_t{64} << 10;
};

/// One connection an exchange. Used on one loop's thread; outlives its exchanges. Certificates and
/// host names are always verified; there is no way to turn that off. Names are looked up by the
/// system's resolver, which cannot be interrupted: after a timeout or a cancellation a lookup may
/// go on in the background, and the loop's destructor waits for it.
class HttpClient final : public agent::HttpTransport {
 public:
  /// Errors: not_found, invalid_input (the extra CA file), io (the system's CA store).
  static Result<std::unique_ptr<HttpClient>> create(HttpClientOptions options = {});
  ~HttpClient() override;

  /// See agent::HttpTransport. Beside its errors: invalid_input (URL, method or headers), denied
  /// (the certificate is not accepted), cancelled. The headers Host, Content-Length,
  /// Transfer-Encoding, Connection and Accept-Encoding are the client's own.
  asio::awaitable<Result<agent::HttpHead>> exchange(agent::HttpRequest request,
                                                    BodySink on_body) override;

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sable::runtime
