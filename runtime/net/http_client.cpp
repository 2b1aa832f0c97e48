#include "runtime/net/http_client.h"

#include <algorithm>
#include <array>

#include <boost/asio/ssl/context.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>

#include "base/file.h"
#include "runtime/net/connection.h"
#include "runtime/net/http_response.h"
#include "runtime/net/url.h"

namespace sable::runtime {

namespace {

constexpr size_t kReadPiece = 16 << 10;

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

/// RFC 9110, section 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

Result<void> check_header(std::string_view name, std::string_view value) {
  constexpr std::array<std::string_view, 5> kOurs = {"host", "content-length", "transfer-encoding",
                                                     "connection", "accept-encoding"};
  if (!is_token(name))
    return fail(ErrorCode::invalid_input, "a request header has an invalid name");
  if (std::any_of(kOurs.begin(), kOurs.end(), [&](auto ours) { return same_name(ours, name); })) {
    return fail(ErrorCode::invalid_input, fmt::format("the header {} cannot be set", name));
  }
  const bool clean = std::all_of(value.begin(), value.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
  });
  if (!clean) {
    // The value may be a secret, so it is not repeated.
    return fail(ErrorCode::invalid_input,
                fmt::format("the value of the header {} holds a line break or control character; "
                            "check for a stray newline in the key",
                            name));
  }
  return {};
}

Result<std::string> request_head(const agent::HttpRequest& request, const Url& url) {
  if (!is_token(request.method) || request.method == "CONNECT") {
    return fail(ErrorCode::invalid_input, "the request's method is not valid");
  }
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, url.target, url.host_header());
  for (const auto& [name, value] : request.headers) {
    SABLE_TRY_VOID(check_header(name, value));
    head += fmt::format("{}: {}\r\n", name, value);
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    head += fmt::format("Content-Length: {}\r\n", request.body.size());
  }
  head += "Accept-Encoding: identity\r\nConnection: close\r\n\r\n";
  return head;
}

}  // namespace

struct HttpClient::State {
  HttpClientOptions options;
  asio::ssl::context tls{asio::ssl::context::tls_client};
};

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::~HttpClient() = default;

Result<std::unique_ptr<HttpClient>> HttpClient::create(HttpClientOptions options) {
  auto state = std::make_unique<State>();
  boost::system::error_code error;
  state->tls.set_default_verify_paths(error);
  if (error) {
    return fail(ErrorCode::io, fmt::format("cannot load the system's certificate authorities: {}; "
                                           "install the package ca-certificates",
                                           error.message()));
  }
  if (!options.extra_ca_file.empty()) {
    SABLE_TRY(const auto pem, read_file(options.extra_ca_file, size_t{16} << 20));
    state->tls.add_certificate_authority(asio::buffer(pem), error);
    if (error) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: no certificate in PEM form: {}", options.extra_ca_file.string(),
                              error.message()));
    }
  }
  state->tls.set_verify_mode(asio::ssl::verify_peer, error);
  if (error || ::SSL_CTX_set_min_proto_version(state->tls.native_handle(), TLS1_2_VERSION) != 1) {
    return fail(ErrorCode::io, "cannot set up TLS");
  }
  state->options = std::move(options);
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

asio::awaitable<Result<agent::HttpHead>> HttpClient::exchange(agent::HttpRequest request,
                                                              BodySink on_body) {
  SABLE_CO_TRY(const auto url, parse_url(request.url));
  SABLE_CO_TRY(const auto head, request_head(request, url));
  SABLE_CO_TRY(const auto connection,
               co_await Connection::open(url, state_->tls, request.connect_timeout));

  auto sent = co_await connection->write_all(head, request.idle_timeout);
  if (sent) sent = co_await connection->write_all(request.body, request.idle_timeout);
  if (!sent && sent.error().code != ErrorCode::io) co_return fail(sent.error());
  // An endpoint may refuse a request (413, 401) and close before it has read all of it: then what
  // counts is its answer, and the failed write only if there is none.

  HttpResponseParser response(std::move(on_body), state_->options.header_bytes_max,
                              request.method == "HEAD");
  std::array<char, kReadPiece> buffer;
  while (!response.done()) {
    const auto n = co_await connection->read_some(buffer, request.idle_timeout);
    if (!n) co_return fail(!sent && !response.has_head() ? sent.error() : n.error());
    if (*n == 0) {
      if (!sent && !response.has_head()) co_return fail(sent.error());
      SABLE_CO_TRY_VOID(response.feed_end());
      break;
    }
    SABLE_CO_TRY_VOID(response.feed(std::string_view(buffer.data(), *n)));
  }
  co_return response.head();
}

}  // namespace sable::runtime
