#include "runtime/net/http_response.h"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <fmt/format.h>

namespace sable::runtime {

namespace {

namespace http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

constexpr int kInterimMax = 16;
/// What Beast may hold unparsed besides the header: a chunk's size line or a trailer.
constexpr size_t kUnparsedBytesMax = 64 << 10;

/// Beast's parser with our head and our sink at its events.
class Parser final : public http::basic_parser<false> {
 public:
  explicit Parser(agent::HttpTransport::BodySink& sink) : sink_(sink) {}

  agent::HttpHead head;
  bool head_complete = false;
  std::optional<Error> sink_error;

 private:
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int, error_code&) override { head.status = code; }
  void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
    // Fields after the body (trailers) are not part of the head.
    if (!head_complete) head.headers.emplace_back(std::string(name), std::string(value));
  }
  void on_header_impl(error_code&) override { head_complete = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view body, error_code& error) override {
    return hand_out(body, error);
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code& error) override {
    return hand_out(body, error);
  }
  void on_finish_impl(error_code&) override {}

  std::size_t hand_out(string_view body, error_code& error) {
    if (body.empty()) return 0;
    auto taken = sink_(head, std::string_view(body.data(), body.size()));
    if (!taken) {
      sink_error = std::move(taken.error());
      error = http::error::end_of_stream;
    }
    return body.size();
  }

  agent::HttpTransport::BodySink& sink_;
};

}  // namespace

struct HttpResponseParser::State {
  agent::HttpTransport::BodySink sink;
  size_t header_bytes_max;
  bool answers_head;
  std::unique_ptr<Parser> parser;
  std::string unparsed;
  int n_interim = 0;

  void start() {
    parser = std::make_unique<Parser>(sink);
    parser->header_limit(static_cast<std::uint32_t>(header_bytes_max));
    parser->body_limit(boost::none);
    parser->eager(true);
    parser->skip(answers_head);
  }

  /// The body is held back until it is known that the head is not an interim one.
  bool is_interim() const {
    return parser->head_complete && parser->head.status >= 100 && parser->head.status < 200;
  }

  tl::unexpected<Error> failure(const error_code& error) const {
    if (parser->sink_error) return fail(*parser->sink_error);
    if (error == http::error::header_limit) {
      return fail(ErrorCode::corrupt,
                  fmt::format("the answer's headers are larger than {} bytes", header_bytes_max));
    }
    if (error == http::error::partial_message || error == http::error::end_of_stream) {
      return fail(ErrorCode::corrupt, "the answer ended before it was complete");
    }
    return fail(ErrorCode::corrupt,
                fmt::format("the answer is not valid HTTP: {}", error.message()));
  }
};

HttpResponseParser::HttpResponseParser(agent::HttpTransport::BodySink sink, size_t header_bytes_max,
                                       bool answers_head)
    : state_(std::make_unique<State>(State{.sink = std::move(sink),
                                           .header_bytes_max = header_bytes_max,
                                           .answers_head = answers_head})) {
  state_->start();
}

HttpResponseParser::~HttpResponseParser() = default;

bool HttpResponseParser::has_head() const {
  return state_->parser->head_complete && !state_->is_interim();
}
bool HttpResponseParser::done() const { return has_head() && state_->parser->is_done(); }
const agent::HttpHead& HttpResponseParser::head() const { return state_->parser->head; }

Result<void> HttpResponseParser::feed(std::string_view bytes) {
  auto& state = *state_;
  state.unparsed.append(bytes);
  while (!state.unparsed.empty() && !done()) {
    error_code error;
    const size_t n = state.parser->put(asio::buffer(state.unparsed), error);
    state.unparsed.erase(0, n);
    if (error == http::error::need_more) {
      if (state.unparsed.size() > state.header_bytes_max + kUnparsedBytesMax) {
        return fail(ErrorCode::corrupt, "the answer has an endless line");
      }
      return {};
    }
    if (error) return state.failure(error);
    if (state.is_interim()) {
      if (state.parser->head.status == 101 || ++state.n_interim > kInterimMax) {
        return fail(ErrorCode::corrupt, "the answer switches protocols, which was not asked for");
      }
      state.start();
    }
  }
  return {};
}

Result<void> HttpResponseParser::feed_end() {
  if (done()) return {};
  auto& state = *state_;
  error_code error;
  if (!state.parser->got_some()) {
    return fail(ErrorCode::corrupt, "the connection was closed before an answer came");
  }
  state.parser->put_eof(error);
  if (error) return state.failure(error);
  return {};
}

}  // namespace sable::runtime
