// A model that plays a script: a real HTTP server on loopback that speaks OpenAI Chat Completions
// with streaming, in all the ways that real endpoints do, the broken ones included.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sable::test {

/// One answer of the script, given to one request; requests take them in order.
///
/// As JSON (every key is optional; an unknown one is an error):
///   text, reasoning    strings, streamed in deltas
///   tool_calls         [{name, arguments, id}]: `arguments` is an object, or a string that is sent
///   as it
///                      is, valid or not; `id` defaults to "call_REPLY_CALL", null leaves it out
///   finish_reason      default "tool_calls" with calls, else "stop"
///   usage              {prompt_tokens, completion_tokens, cached_tokens}; false leaves it out
///   delta_chars        code points in a delta, default 16; 0 puts all in one
///   piece_bytes        bytes in one write to the socket, default 0 (one event a write); small
///   values
///                      cut lines and UTF-8 sequences in the middle
///   delay_ms           wait before each write; first_delay_ms: before the first byte
///   wait_for           path of a file: the answer waits until it exists
///   fault              one of
///     status           answers `status` (default 500), with `retry_after` (string) and `message`
///     refuse           closes the connection without a byte
///     hang             answers nothing and keeps the connection open
///     hang_half        streams the first half, then falls silent
///     half_stream      streams the first half, then ends the answer as if it were complete
///     disconnect       streams the first half, then cuts the connection
///     invalid_json     the second half of the events is not JSON
///     no_done          everything but the final "data: [DONE]"
///     no_finish        everything but the chunk with finish_reason, and no [DONE]
///     error_event      the first half, then an event {"error": {"message": message}}
///     not_sse          status 200 with an HTML page
///   stream             false: one whole JSON answer, as some endpoints give in spite of "stream":
///   true expect             what the request must look like (below); a mismatch is answered with
///   400 and
///                      makes the run fail
///
/// expect: {n_messages, last_role, last_contains: [text], contains: [text], lacks: [text],
///          tools: [name], authorization, model}. `contains` and `lacks` search the whole request
///          body, `last_contains` the last message's content; `tools` must all be offered.
struct ScriptedReply {
  Json json;
};

struct Script {
  std::vector<ScriptedReply> replies;
  bool repeat_last = false;  ///< answers further requests with the last reply

  /// {"replies": [...], "repeat_last": bool}. Errors name the reply and the key.
  static Result<Script> parse(std::string_view text);
};

/// Serves on 127.0.0.1, on a thread of its own, until it is destroyed. All functions may be called
/// from any thread.
class ScriptedModelServer {
 public:
  struct Options {
    uint16_t port = 0;             ///< 0: any
    std::filesystem::path record;  ///< one line of JSON a request is appended here, when given
  };

  static Result<std::unique_ptr<ScriptedModelServer>> start(Script script, Options options);
  static Result<std::unique_ptr<ScriptedModelServer>> start(Script script);
  ~ScriptedModelServer();

  uint16_t port() const;
  std::string base_url() const;  ///< "http://127.0.0.1:PORT/v1"

  /// Every request so far: {path, method, authorization, body} (body parsed; text if it is not
  /// JSON).
  std::vector<Json> requests() const;
  /// Mismatches with `expect`, requests after the end, wrong paths: what should fail a test.
  std::vector<std::string> complaints() const;
  bool over() const;  ///< every reply has been given, to its last byte
  bool wait_until_over(std::chrono::milliseconds limit) const;

 private:
  struct State;
  explicit ScriptedModelServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sable::test
