// An HTTP/1.1 response taken apart as its bytes arrive (RFC 9112).
#pragma once

#include <memory>
#include <string_view>

#include "agent/agent.h"
#include "base/result.h"

namespace sable::runtime {

/// Feeds the body to a sink piece by piece, decoded from its transfer encoding. Interim responses
/// (1xx) are passed over. What is malformed or over a limit is corrupt.
class HttpResponseParser {
 public:
  /// `answers_head`: the request was a HEAD, so that no body follows whatever the headers say.
  HttpResponseParser(agent::HttpTransport::BodySink sink, size_t header_bytes_max,
                     bool answers_head);
  ~HttpResponseParser();
  HttpResponseParser(const HttpResponseParser&) = delete;
  HttpResponseParser& operator=(const HttpResponseParser&) = delete;

  /// Takes the next bytes, cut anywhere; an error of the sink is passed on.
  Result<void> feed(std::string_view bytes);
  /// The stream has ended: fine when that ends the body, corrupt when something is missing.
  Result<void> feed_end();

  bool has_head() const;
  bool done() const;
  const agent::HttpHead& head() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sable::runtime
