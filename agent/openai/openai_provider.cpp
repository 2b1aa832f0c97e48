// A remote endpoint as a Provider: one streamed request a step, tried again when that can help.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "agent/agent.h"
#include "agent/openai/chat_reply.h"
#include "agent/openai/chat_request.h"
#include "agent/openai/sse.h"
#include "base/task_group.h"

namespace sable::agent {

namespace {

constexpr size_t kErrorBodyMax = 64 << 10;
constexpr size_t kWholeBodyMax = size_t{64} << 20;
constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kLongestPause{30'000};

/// What one attempt came to: a reply, or an error and whether another attempt can help.
struct Attempt {
  Result<Reply> reply;
  bool again = false;
  bool deltas_shown = false;
  std::chrono::milliseconds pause{0};  ///< asked for by the endpoint
};

std::chrono::milliseconds retry_after(const HttpHead& head) {
  const auto text = head.header("Retry-After");
  int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::clamp(std::chrono::milliseconds(seconds * 1000LL), std::chrono::milliseconds(0),
                    kLongestPause);
}

class OpenAiProvider : public Provider {
 public:
  OpenAiProvider(OpenAiOptions options, HttpTransport& transport, Log log)
      : options_(std::move(options)), transport_(transport), log_(std::move(log)) {
    while (options_.base_url.ends_with('/')) options_.base_url.pop_back();
  }

  std::string name() const override { return options_.name; }
  std::string model() const override { return options_.model; }

  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink on_delta) override {
    const std::string body = dump_json(chat_request(request, options_.model));
    auto pause = kFirstPause;
    for (int n = 1;; ++n) {
      auto attempt = co_await attempt_once(body, on_delta);
      if (attempt.reply || !attempt.again || n >= options_.attempts_max) {
        if (attempt.reply || n == 1) co_return std::move(attempt.reply);
        co_return fail(attempt.reply.error().code,
                       fmt::format("{} (tried {} times); check the endpoint, then go on with sable "
                                   "run --resume",
                                   attempt.reply.error().message, n));
      }
      const auto& why = attempt.reply.error().message;
      log_.warning("the model's endpoint failed; trying again", {{"attempt", n}, {"error", why}});
      if (attempt.deltas_shown) on_delta(RestartDelta{why});
      co_await sleep_for(std::max(pause, attempt.pause));
      pause = std::min(pause * 2, kLongestPause);
    }
  }

 private:
  asio::awaitable<Attempt> attempt_once(const std::string& body, const DeltaSink& on_delta) {
    HttpRequest request{
        .url = options_.base_url + "/chat/completions",
        .headers = {{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}},
        .body = body,
        .idle_timeout = options_.idle_timeout};
    if (!options_.api_key.empty()) {
      request.headers.emplace_back("Authorization", "Bearer " + options_.api_key);
    }
    SseParser sse;
    ChatReplyBuilder builder;
    std::string unstreamed;  // an error's body, or an answer of an endpoint that does not stream
    const auto on_body = [&](const HttpHead& head, std::string_view piece) -> Result<void> {
      const bool ok = head.status == 200;
      if (ok && head.header("Content-Type").starts_with("text/event-stream")) {
        return sse.feed(piece, [&](std::string_view data) { return builder.take(data, on_delta); });
      }
      const size_t room = (ok ? kWholeBodyMax : kErrorBodyMax) - unstreamed.size();
      if (ok && piece.size() > room) {
        return fail(ErrorCode::exhausted, "the endpoint's answer is too large");
      }
      unstreamed.append(piece.substr(0, room));
      return {};
    };
    auto head = co_await transport_.exchange(std::move(request), on_body);
    if (!head) {
      auto error = std::move(head.error());
      // A broken connection or half a stream may well succeed next time; a bad certificate or a
      // name that does not resolve says so in its code or fails the same way quickly.
      const bool again = error.code == ErrorCode::io || error.code == ErrorCode::corrupt ||
                         error.code == ErrorCode::timed_out;
      co_return Attempt{fail_in(where(), std::move(error)), again, builder.started()};
    }
    if (head->status != 200) co_return refused(*head, unstreamed);
    if (!unstreamed.empty()) {
      if (auto taken = builder.take_whole(unstreamed, on_delta); !taken) {
        co_return Attempt{fail_in(where(), std::move(taken.error())), true, builder.started()};
      }
    }
    auto reply = builder.finish();
    if (!reply)
      co_return Attempt{fail_in(where(), std::move(reply.error())), true, builder.started()};
    co_return Attempt{std::move(reply)};
  }

  std::string where() const {
    return fmt::format("model {} at {}", options_.model, options_.base_url);
  }

  Attempt refused(const HttpHead& head, std::string_view body) const {
    auto why = error_message_in(body);
    const auto sentence = [&](std::string_view text) {
      return why.empty() ? fmt::format("{}: {} (HTTP {})", where(), text, head.status)
                         : fmt::format("{}: {} (HTTP {}: {})", where(), text, head.status, why);
    };
    switch (head.status) {
      case 401:
      case 403:
        return {fail(ErrorCode::denied,
                     sentence("the endpoint refused the key; check the environment variable that "
                              "the provider's api_key_env names"))};
      case 404:
        return {fail(ErrorCode::invalid_input,
                     sentence("no such model or path; check the provider's base_url and model"))};
      case 408:
      case 425:
      case 429:
        return {fail(ErrorCode::exhausted, sentence("the endpoint is busy; try again later")), true,
                false, retry_after(head)};
      case 413:
        return {
            fail(ErrorCode::exhausted, sentence("the conversation is too long for this model"))};
      default:
        if (head.status >= 500) {
          return {fail(ErrorCode::io, sentence("the endpoint failed")), true, false,
                  retry_after(head)};
        }
        if (why.find("context") != std::string::npos && why.find("length") != std::string::npos) {
          return {
              fail(ErrorCode::exhausted, sentence("the conversation is too long for this model"))};
        }
        return {fail(ErrorCode::invalid_input, sentence("the endpoint refused the request"))};
    }
  }

  OpenAiOptions options_;
  HttpTransport& transport_;
  Log log_;
};

}  // namespace

std::unique_ptr<Provider> make_openai_provider(OpenAiOptions options, HttpTransport& transport,
                                               Log log) {
  return std::make_unique<OpenAiProvider>(std::move(options), transport, std::move(log));
}

}  // namespace sable::agent
