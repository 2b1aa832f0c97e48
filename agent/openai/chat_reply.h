// A streamed Chat Completions answer, put together chunk by chunk.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "agent/provider.h"

namespace sable::agent {

/// Collects chunks into one Reply and hands out deltas on the way. What an endpoint sends is
/// foreign: every field is checked, sizes are bounded.
class ChatReplyBuilder {
 public:
  /// Takes the data of one event. Errors: corrupt (not JSON, not a chunk), exhausted (too long), io
  /// (the endpoint reports a failure in the stream).
  Result<void> take(std::string_view data, const DeltaSink& on_delta);

  /// Takes a whole, unstreamed answer: some endpoints ignore `stream`.
  Result<void> take_whole(std::string_view body, const DeltaSink& on_delta);

  /// The reply, once the stream has ended. Corrupt when it ended before the model had finished.
  Result<Reply> finish();

  bool started() const { return started_; }  ///< whether any delta was handed out

 private:
  struct PartialCall {
    std::string id, name, arguments;
  };

  Result<void> take_choice(const Json& choice, const char* part, const DeltaSink& on_delta);
  Result<void> take_calls(const Json& calls, const DeltaSink& on_delta);
  void take_usage(const Json& chunk);

  Reply reply_;
  std::map<size_t, PartialCall> calls_;
  size_t bytes_ = 0;
  bool started_ = false;
  bool finished_ = false;
  bool done_ = false;
};

/// The sentence in an error body of either common shape, cut to size; empty if there is none.
std::string error_message_in(std::string_view body);

}  // namespace sable::agent
