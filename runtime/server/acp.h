// One client's conversation in the Agent Client Protocol, whatever carries its messages.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/task_group.h"
#include "runtime/server/acp_messages.h"
#include "runtime/server/live_sessions.h"
#include "runtime/server/outbox.h"
#include "runtime/server/session_updates.h"
#include "runtime/server/subscription.h"

namespace sable::runtime {

struct AcpOptions {
  std::string program_version;
  size_t requests_max = 64;  ///< in flight, beyond which a request is refused
};

/// The protocol's state machine (docs/protocol.md): takes one message after the other, puts answers
/// and notifications into the outbox, and never blocks. The transport calls receive() for each
/// message and close() when the client has gone. Turns that it began go on without it.
class AcpConnection final : public SessionWatcher {
 public:
  /// `sessions` and `outbox` outlive it.
  AcpConnection(LiveSessions& sessions, Outbox& outbox, asio::any_io_executor executor,
                AcpOptions options, Log log);
  ~AcpConnection() override;

  /// One JSON-RPC message, as text.
  void receive(std::string_view text);

  /// The client has gone: open questions are refused, work that was for it alone ends. Must
  /// complete before destruction.
  asio::awaitable<void> close();

  void on_event(const memory::Event& event) override;
  void on_preview(const std::string& session, const agent::Preview& preview) override;
  void on_turn_end(const std::string& session, const Result<agent::TurnResult>& result) override;
  void ask(uint64_t question, const agent::PermissionRequest& request) override;
  void ask(uint64_t question, const agent::UserQuestion& asked) override;
  void withdraw(uint64_t question) override;

 private:
  /// A session that this client is attached to.
  struct Attachment {
    std::shared_ptr<Subscription> updates;  ///< as session/update, through `renderer`
    std::unique_ptr<SessionUpdates> renderer;
    bool standing_due = false;             ///< what holds already is shown right behind the answer
    std::shared_ptr<Subscription> events;  ///< as _sable/event
    bool lag_told = false;
    Json prompt_id;                ///< of the session/prompt to be answered; null if none
    memory::Seq prompt_after = 0;  ///< newest event when it came
    std::optional<Result<agent::TurnResult>> ended;  ///< its answer waits for the last updates
  };
  struct Question {
    std::string session;
    uint64_t number;
  };
  using Handler = asio::awaitable<RpcResult> (AcpConnection::*)(Json params);

  void dispatch(RpcMessage message);
  void on_answer(const RpcMessage& message);
  void initialize(const RpcMessage& message);
  void prompt(const RpcMessage& message);
  /// Answers `message` at the turn's end; without a text the newest turn goes on.
  void start_turn(const RpcMessage& message, std::optional<std::string> text);
  void subscribe(const RpcMessage& message);
  void cancel(const Json& params);
  void refuse(const Json& id, RpcCode code, std::string text);
  size_t in_flight() const;

  asio::awaitable<void> respond(Json id, asio::awaitable<RpcResult> work);
  asio::awaitable<RpcResult> new_session(Json params);
  asio::awaitable<RpcResult> load_session(Json params);
  asio::awaitable<RpcResult> resume_session(Json params);
  asio::awaitable<RpcResult> list_sessions(Json params);
  asio::awaitable<RpcResult> unsubscribe(Json params);
  asio::awaitable<RpcResult> ping(Json params);
  asio::awaitable<void> begin_subscription(Json id, Json params);
  asio::awaitable<RpcResult> take_over(Json params, bool replay);

  Attachment& attach_updates(const std::string& session, memory::Seq after, bool behind);
  void follow(const std::string& session, const std::shared_ptr<Subscription>& subscription,
              const memory::Event& event);
  asio::awaitable<void> catch_up(std::string session, std::shared_ptr<Subscription> subscription);
  void caught_up(const std::string& session);
  void show_update(const std::string& session, const memory::Event& event);
  void show_standing(const std::string& session, Attachment& attachment);
  void push_update(const std::string& session, Json update);
  void tell_lag(const std::string& session, Attachment& attachment);
  void answer_prompt(Attachment& attachment, const Result<agent::TurnResult>& result);

  LiveSessions& sessions_;
  Outbox& outbox_;
  AcpOptions options_;
  Log log_;
  bool initialized_ = false;
  std::map<std::string, Attachment> attachments_;
  std::map<uint64_t, Question> questions_;  ///< by the id of our request
  uint64_t next_request_ = 1;
  TaskGroup tasks_;
};

}  // namespace sable::runtime
