#include "runtime/net/connection.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/task_group.h"
#include "runtime/net/name_lookup.h"

namespace sable::runtime {

namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kWritePiece = 64 << 10;

std::string endpoint_name(const Url& url) {
  return fmt::format("{}:{}", url.ipv6_literal ? "[" + url.host + "]" : url.host, url.port);
}

asio::awaitable<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

tl::unexpected<Error> stopped(const std::string& name) {
  return fail(ErrorCode::cancelled, fmt::format("{}: the request was stopped", name));
}

asio::awaitable<Result<Endpoints>> resolve(Url url, std::chrono::milliseconds limit) {
  error_code not_an_address;
  const auto address = asio::ip::make_address(url.host, not_an_address);
  if (!not_an_address) co_return Endpoints{tcp::endpoint(address, url.port)};
  co_return co_await look_up(url.host, url.port, limit);
}

asio::awaitable<Result<void>> connect(tcp::socket& socket, std::string name,
                                      std::vector<tcp::endpoint> endpoints) {
  error_code error;
  co_await asio::async_connect(socket, endpoints, asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    co_return fail(ErrorCode::io, fmt::format("cannot connect to {}: {}; check that the server is "
                                              "running and the address is right",
                                              name, error.message()));
  }
  socket.set_option(tcp::no_delay(true), error);
  co_return Result<void>();
}

tl::unexpected<Error> broken(const std::string& name, const error_code& error) {
  if (error == asio::ssl::error::stream_truncated) {
    return fail(ErrorCode::corrupt,
                fmt::format("{} closed the TLS connection without ending it", name));
  }
  return fail(ErrorCode::io, fmt::format("the connection to {} broke: {}", name, error.message()));
}

/// Over a tcp::socket or an ssl::stream of one.
template <class Stream>
class StreamConnection final : public Connection {
 public:
  template <class... Arguments>
  explicit StreamConnection(std::string name, Arguments&&... arguments)
      : name_(std::move(name)), stream_(std::forward<Arguments>(arguments)...) {}

  Stream& stream() { return stream_; }

  asio::awaitable<Result<size_t>> read_some(std::span<char> into,
                                            std::chrono::milliseconds idle) override {
    auto result = co_await with_deadline(read_once(into), idle, name_);
    const bool cancelled = co_await is_cancelled();
    if (cancelled) co_return stopped(name_);
    co_return result;
  }

  asio::awaitable<Result<void>> write_all(std::string_view bytes,
                                          std::chrono::milliseconds idle) override {
    while (!bytes.empty()) {
      const auto written =
          co_await with_deadline(write_once(bytes.substr(0, kWritePiece)), idle, name_);
      const bool cancelled = co_await is_cancelled();
      if (cancelled) co_return stopped(name_);
      if (!written) co_return fail(written.error());
      bytes.remove_prefix(*written);
    }
    co_return Result<void>();
  }

 private:
  asio::awaitable<Result<size_t>> read_once(std::span<char> into) {
    error_code error;
    const size_t n = co_await stream_.async_read_some(
        asio::buffer(into.data(), into.size()), asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) co_return size_t{0};
    if (error) co_return broken(name_, error);
    co_return n;
  }

  asio::awaitable<Result<size_t>> write_once(std::string_view bytes) {
    error_code error;
    const size_t n = co_await stream_.async_write_some(
        asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return broken(name_, error);
    co_return n;
  }

  std::string name_;
  Stream stream_;
};

using PlainConnection = StreamConnection<tcp::socket>;
using TlsConnection = StreamConnection<asio::ssl::stream<tcp::socket>>;

/// Why the handshake failed, in terms of what the user can do about it.
tl::unexpected<Error> handshake_failed(const Url& url, SSL* ssl, const error_code& error) {
  const long verdict = ::SSL_get_verify_result(ssl);
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    return fail(ErrorCode::denied,
                fmt::format("the certificate that {} shows is for another host; check the address",
                            endpoint_name(url)));
  }
  if (verdict != X509_V_OK) {
    return fail(
        ErrorCode::denied,
        fmt::format("the certificate of {} is not trusted: {}; for a private endpoint, name "
                    "the file of its certificate authority in the configuration",
                    endpoint_name(url), ::X509_verify_cert_error_string(verdict)));
  }
  return fail(ErrorCode::io, fmt::format("no TLS connection to {}: {}; check that it speaks https",
                                         endpoint_name(url), error.message()));
}

asio::awaitable<Result<void>> shake_hands(asio::ssl::stream<tcp::socket>& stream, Url url) {
  SSL* const ssl = stream.native_handle();
  error_code no_address;
  asio::ip::make_address(url.host, no_address);
  // OpenSSL checks the name while it verifies the chain, so a mismatch has its own verdict.
  X509_VERIFY_PARAM* const rules = ::SSL_get0_param(ssl);
  ::X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool is_name = static_cast<bool>(no_address);
  std::string name = url.host;
  if (name.back() == '.') name.pop_back();  // certificates name hosts without the root's dot
  const int set = is_name ? ::X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size())
                          : ::X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str());
  const long sent_name = is_name ? ::SSL_set_tlsext_host_name(ssl, name.c_str()) : 1;
  if (set != 1 || sent_name != 1) {
    co_return fail(ErrorCode::io, fmt::format("cannot prepare TLS for {}", endpoint_name(url)));
  }
  error_code error;
  co_await stream.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return handshake_failed(url, ssl, error);
  co_return Result<void>();
}

asio::awaitable<Result<std::unique_ptr<Connection>>> open_within(Url url, asio::ssl::context& tls,
                                                                 std::chrono::milliseconds limit) {
  SABLE_CO_TRY(const auto endpoints, co_await resolve(url, limit));
  const auto executor = co_await asio::this_coro::executor;
  const auto name = endpoint_name(url);
  if (!url.tls) {
    auto plain = std::make_unique<PlainConnection>(name, executor);
    SABLE_CO_TRY_VOID(co_await connect(plain->stream(), name, endpoints));
    co_return std::unique_ptr<Connection>(std::move(plain));
  }
  auto secured = std::make_unique<TlsConnection>(name, executor, tls);
  SABLE_CO_TRY_VOID(co_await connect(secured->stream().next_layer(), name, endpoints));
  SABLE_CO_TRY_VOID(co_await shake_hands(secured->stream(), url));
  co_return std::unique_ptr<Connection>(std::move(secured));
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<Connection>>> Connection::open(
    Url url, asio::ssl::context& tls, std::chrono::milliseconds limit) {
  const auto name = endpoint_name(url);
  auto opened = co_await with_deadline(open_within(std::move(url), tls, limit), limit,
                                       "connecting to " + name);
  const bool cancelled = co_await is_cancelled();
  if (cancelled) co_return stopped(name);
  co_return opened;
}

}  // namespace sable::runtime
