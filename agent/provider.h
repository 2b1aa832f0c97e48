// Where tokens come from: one step's request goes in, typed deltas and a whole reply come out.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <boost/iterator/indirect_iterator.hpp>

#include "base/asio.h"
#include "base/json.h"
#include "base/result.h"

namespace sable::agent {

/// A call as the model wrote it: `arguments` is text that need not be valid JSON.
struct RequestedCall {
  std::string id;
  std::string name;
  std::string arguments;
  std::string problem;  ///< why it could not even be read, in words for the model; else empty

  friend bool operator==(const RequestedCall&, const RequestedCall&) = default;
};

enum class Role { system, user, assistant, tool };

std::string_view name_of(Role role);

/// One message of the conversation as the model sees it.
struct Message {
  Role role = Role::user;
  std::string text;
  std::string reasoning;                  ///< of an assistant; kept for the steps of the same turn
  std::vector<RequestedCall> tool_calls;  ///< of an assistant
  std::string tool_call_id;               ///< of a tool result
  Json replay;                            ///< of an assistant: what its provider needs to repeat it
};

/// Messages in order. They never change, so copies share them: each step of a session asks with all
/// that came before, and neither the time nor the memory for that is to grow with it.
class Transcript {
 public:
  using const_iterator =
      boost::indirect_iterator<std::vector<std::shared_ptr<const Message>>::const_iterator>;

  Transcript() = default;
  Transcript(std::initializer_list<Message> messages) { assign(messages.begin(), messages.end()); }
  Transcript(const std::vector<Message>& messages) { assign(messages.begin(), messages.end()); }

  template <class Iterator>
  void assign(Iterator first, Iterator last) {
    messages_.clear();
    for (; first != last; ++first) push_back(*first);
  }
  void push_back(Message message) {
    messages_.push_back(std::make_shared<const Message>(std::move(message)));
  }

  size_t size() const { return messages_.size(); }
  bool empty() const { return messages_.empty(); }
  const Message& operator[](size_t i) const { return *messages_[i]; }
  const Message& back() const { return *messages_.back(); }
  const_iterator begin() const { return const_iterator(messages_.begin()); }
  const_iterator end() const { return const_iterator(messages_.end()); }

 private:
  std::vector<std::shared_ptr<const Message>> messages_;
};

/// A tool as it is offered to the model.
struct OfferedTool {
  std::string name;
  std::string description;
  Json parameters;

  friend bool operator==(const OfferedTool&, const OfferedTool&) = default;
};

struct Sampling {
  std::optional<double> temperature, top_p;
  std::optional<uint64_t> seed;
  uint32_t output_tokens_max = 8192;
};

struct StepRequest {
  std::string session;  ///< whose step it is: a provider may keep what it computed under this name
  Transcript messages;
  std::vector<OfferedTool> tools;
  Sampling sampling;
};

struct TextDelta {
  std::string text;
};
struct ReasoningDelta {
  std::string text;
};
/// The first delta of a call carries its name; later ones pieces of its arguments.
struct CallDelta {
  size_t index = 0;
  std::string name;
  std::string arguments;
};
/// What was streamed so far is void: the request is made again.
struct RestartDelta {
  std::string reason;
};
using Delta = std::variant<TextDelta, ReasoningDelta, CallDelta, RestartDelta>;
using DeltaSink = std::function<void(const Delta&)>;

struct Usage {
  uint64_t input_tokens = 0;  ///< cached ones included
  uint64_t cached_tokens = 0;
  uint64_t output_tokens = 0;  ///< reasoning included
};

enum class FinishReason { stop, tool_calls, length, filtered };

std::string_view name_of(FinishReason reason);
std::optional<FinishReason> parse_finish_reason(std::string_view name);

/// One whole model reply.
struct Reply {
  std::string text;
  std::string reasoning;
  std::vector<RequestedCall> tool_calls;
  FinishReason finish = FinishReason::stop;
  Usage usage;
  Json replay;  ///< opaque; for the built-in engine the exact token ids
};

class Provider {
 public:
  virtual ~Provider() = default;
  virtual std::string name() const = 0;   ///< for people: "deepseek"
  virtual std::string model() const = 0;  ///< "deepseek-chat"

  /// Asks for one step. Deltas are previews in order; the reply repeats them whole. Cancelling the
  /// coroutine stops the request. Errors say what to do: denied (key refused), timed_out, exhausted
  /// (rate limit or budget, retries used up; context too long), corrupt (answer broken off or not
  /// understood), io (cannot connect), invalid_input (the endpoint refused the request).
  virtual asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink on_delta) = 0;
};

}  // namespace sable::agent
