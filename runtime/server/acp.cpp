#include "runtime/server/acp.h"

#include <array>

#include <fmt/format.h>

namespace sable::runtime {

namespace {

constexpr size_t kSessionsListed = 1000;

std::string_view name_of(agent::Preview::Kind kind) {
  switch (kind) {
    case agent::Preview::Kind::text:
      return "text";
    case agent::Preview::Kind::reasoning:
      return "reasoning";
    case agent::Preview::Kind::call:
      return "call";
    case agent::Preview::Kind::tool_output:
      return "tool_output";
    case agent::Preview::Kind::restarted:
      return "restarted";
  }
  return "text";
}

/// A preview as _sable/preview, its text left out.
Outbox::Preview plain_preview(const std::string& session, const agent::Preview& preview) {
  Json params{{"session", session}, {"kind", name_of(preview.kind)}, {"step", preview.step}};
  if (!preview.call_id.empty()) params["call_id"] = preview.call_id;
  if (!preview.name.empty()) params["name"] = preview.name;
  // The first piece of a call carries its name and begins anew: it is not merged into the one
  // before.
  const bool begins = preview.kind == agent::Preview::Kind::call && !preview.name.empty();
  const bool alone = begins || preview.kind == agent::Preview::Kind::restarted;
  return {
      .key = alone ? ""
                   : fmt::format("{}|{}|{}|{}|plain", session, name_of(preview.kind), preview.step,
                                 preview.call_id),
      .message = {{"jsonrpc", "2.0"}, {"method", "_sable/preview"}, {"params", std::move(params)}},
      .slot = Json::json_pointer("/params/text"),
      .text = preview.text};
}

}  // namespace

AcpConnection::AcpConnection(LiveSessions& sessions, Outbox& outbox, asio::any_io_executor executor,
                             AcpOptions options, Log log)
    : sessions_(sessions),
      outbox_(outbox),
      options_(std::move(options)),
      log_(std::move(log)),
      tasks_(executor) {}

AcpConnection::~AcpConnection() { sessions_.unwatch_all(*this); }

asio::awaitable<void> AcpConnection::close() {
  sessions_.unwatch_all(*this);
  for (auto& [session, attachment] : attachments_) {
    if (attachment.updates) attachment.updates->end();
    if (attachment.events) attachment.events->end();
  }
  questions_.clear();
  tasks_.cancel();
  co_await tasks_.join();
}

// ---- messages in

void AcpConnection::receive(std::string_view text) {
  auto message = parse_rpc(text);
  if (!message) {
    outbox_.push(rpc_error(message.error().id, message.error().error));
    return;
  }
  dispatch(std::move(*message));
}

void AcpConnection::refuse(const Json& id, RpcCode code, std::string text) {
  outbox_.push(rpc_error(id, {code, std::move(text), nullptr}));
}

size_t AcpConnection::in_flight() const {
  size_t n = tasks_.size();
  for (const auto& [session, attachment] : attachments_)
    n += attachment.prompt_id.is_null() ? 0 : 1;
  return n;
}

void AcpConnection::dispatch(RpcMessage message) {
  using Kind = RpcMessage::Kind;
  if (message.kind == Kind::result || message.kind == Kind::error) return on_answer(message);
  if (message.kind == Kind::notification) {
    // Unknown notifications are ignored, as JSON-RPC has it.
    if (initialized_ && message.method == "session/cancel") cancel(message.params);
    return;
  }
  if (message.method == "initialize") return initialize(message);
  if (!initialized_) {
    return refuse(message.id, RpcCode::invalid_request, "the first request must be \"initialize\"");
  }
  if (in_flight() >= options_.requests_max) {
    return refuse(message.id, RpcCode::overloaded, "too many requests in flight; wait for answers");
  }
  // At once, so that a session/cancel right behind it finds the turn.
  if (message.method == "session/prompt") return prompt(message);
  if (message.method == "_sable/continue") return start_turn(message, std::nullopt);
  if (message.method == "_sable/subscribe") return subscribe(message);

  static constexpr std::array<std::pair<std::string_view, Handler>, 6> kHandlers{{
      {"session/new", &AcpConnection::new_session},
      {"session/load", &AcpConnection::load_session},
      {"session/resume", &AcpConnection::resume_session},
      {"session/list", &AcpConnection::list_sessions},
      {"_sable/unsubscribe", &AcpConnection::unsubscribe},
      {"_sable/ping", &AcpConnection::ping},
  }};
  for (const auto& [method, handler] : kHandlers) {
    if (method != message.method) continue;
    tasks_.spawn(respond(std::move(message.id), (this->*handler)(std::move(message.params))));
    return;
  }
  refuse(message.id, RpcCode::method_not_found,
         fmt::format("no such method: {}", message.method.substr(0, 100)));
}

asio::awaitable<void> AcpConnection::respond(Json id, asio::awaitable<RpcResult> work) {
  auto result = co_await std::move(work);
  outbox_.push(result ? rpc_result(id, std::move(*result)) : rpc_error(id, result.error()));
  for (auto& [session, attachment] : attachments_) {
    if (std::exchange(attachment.standing_due, false)) show_standing(session, attachment);
  }
}

void AcpConnection::initialize(const RpcMessage& message) {
  if (initialized_) {
    return refuse(message.id, RpcCode::invalid_request, "\"initialize\" was already answered");
  }
  const auto version = message.params.find("protocolVersion");
  if (version == message.params.end() || !version->is_number_integer()) {
    return refuse(message.id, RpcCode::invalid_params, "\"protocolVersion\" must be an integer");
  }
  // Whatever version the client names: version 1 is what we speak, and the client decides.
  initialized_ = true;
  outbox_.push(rpc_result(message.id, initialize_result(options_.program_version)));
}

asio::awaitable<RpcResult> AcpConnection::ping(Json) { co_return Json::object(); }

// ---- sessions

asio::awaitable<RpcResult> AcpConnection::new_session(Json params) {
  const auto cwd = cwd_from(params);
  if (!cwd) co_return tl::unexpected<RpcError>(cwd.error());
  const auto created = co_await sessions_.create(*cwd);
  if (!created) co_return tl::unexpected<RpcError>(rpc_error_from(created.error()));
  attach_updates(*created, sessions_.facts(*created)->last_seq, false).standing_due = true;
  Json result{{"sessionId", *created}};
  add_opt_outs(result, sessions_.host().opt_outs(*created));
  if (params.contains("mcpServers") && params["mcpServers"] != Json::array()) {
    result["_meta"]["sable"]["ignored"] = Json::array({"mcpServers"});
  }
  co_return result;
}

asio::awaitable<RpcResult> AcpConnection::load_session(Json params) {
  return take_over(std::move(params), true);
}

asio::awaitable<RpcResult> AcpConnection::resume_session(Json params) {
  return take_over(std::move(params), false);
}

asio::awaitable<RpcResult> AcpConnection::take_over(Json params, bool replay) {
  const auto session = session_id_from(params);
  if (!session) co_return tl::unexpected<RpcError>(session.error());
  const auto cwd = cwd_from(params);
  if (!cwd) co_return tl::unexpected<RpcError>(cwd.error());
  const auto found = co_await sessions_.host().find(*session);
  if (!found) co_return tl::unexpected<RpcError>(rpc_error_from(found.error()));
  if (found->working_directory.lexically_normal() != *cwd) {
    co_return rpc_fail(RpcCode::invalid_params,
                       fmt::format("session {} belongs to {}, not to {}", *session,
                                   found->working_directory.string(), cwd->string()));
  }
  const auto opened = co_await sessions_.open(*session);
  if (!opened) co_return tl::unexpected<RpcError>(rpc_error_from(opened.error()));
  const auto last = sessions_.facts(*session)->last_seq;
  auto& attachment = attach_updates(*session, replay ? 0 : last, replay);
  if (replay) {
    // The whole history is in the outbox before the answer is.
    const auto updates = attachment.updates;
    const auto replayed = co_await updates->catch_up();
    if (!replayed) co_return tl::unexpected<RpcError>(rpc_error_from(replayed.error()));
    caught_up(*session);
  }
  attachments_[*session].standing_due = true;
  Json result = Json::object();
  add_opt_outs(result, sessions_.host().opt_outs(*session));
  co_return result;
}

asio::awaitable<RpcResult> AcpConnection::list_sessions(Json params) {
  const auto cwd = string_or(params, "cwd", "");
  const auto listed = co_await sessions_.host().list(kSessionsListed);
  if (!listed) co_return tl::unexpected<RpcError>(rpc_error_from(listed.error()));
  Json rows = Json::array();
  for (const auto& info : *listed) {
    if (cwd.empty() || info.working_directory == cwd) rows.push_back(session_row(info));
  }
  co_return Json{{"sessions", std::move(rows)}};
}

AcpConnection::Attachment& AcpConnection::attach_updates(const std::string& session,
                                                         memory::Seq after, bool behind) {
  Attachment& attachment = attachments_[session];
  if (attachment.updates) attachment.updates->end();
  attachment.renderer =
      std::make_unique<SessionUpdates>(session, sessions_.facts(session)->info.working_directory);
  attachment.updates = std::make_shared<Subscription>(
      sessions_.host(), outbox_, session, after, behind,
      [this, session](const memory::Event& event) { show_update(session, event); });
  sessions_.watch(session, *this);
  return attachment;
}

// ---- turns

void AcpConnection::prompt(const RpcMessage& message) {
  auto text = prompt_text(message.params);
  if (!text) return outbox_.push(rpc_error(message.id, text.error()));
  start_turn(message, std::move(*text));
}

void AcpConnection::start_turn(const RpcMessage& message, std::optional<std::string> text) {
  const auto session = session_id_from(message.params);
  if (!session) return outbox_.push(rpc_error(message.id, session.error()));
  const auto* facts = sessions_.facts(*session);
  if (facts == nullptr) {
    return refuse(message.id, RpcCode::not_found,
                  fmt::format("session {} is not open here; send session/load first", *session));
  }
  const auto last = facts->last_seq;
  const auto it = attachments_.find(*session);
  const bool attached = it != attachments_.end() && it->second.updates;
  Attachment& attachment = attached ? it->second : attach_updates(*session, last, false);
  if (!attached) show_standing(*session, attachment);
  // Set before the turn starts: its first events may come before start_turn() returns.
  const Json earlier_id = std::exchange(attachment.prompt_id, message.id);
  const auto earlier_after = std::exchange(attachment.prompt_after, last);
  const auto started = sessions_.start_turn(*session, std::move(text));
  if (!started) {
    attachment.prompt_id = earlier_id;
    attachment.prompt_after = earlier_after;
    outbox_.push(rpc_error(message.id, {RpcCode::invalid_request,
                                        started.error().message,
                                        {{"code", sable::name_of(started.error().code)}}}));
  }
}

void AcpConnection::cancel(const Json& params) {
  const auto session = session_id_from(params);
  if (session) sessions_.interrupt(*session, "cancelled by the client");
}

void AcpConnection::on_turn_end(const std::string& session,
                                const Result<agent::TurnResult>& result) {
  const auto it = attachments_.find(session);
  if (it == attachments_.end() || it->second.prompt_id.is_null()) return;
  if (it->second.updates && it->second.updates->behind()) {
    it->second.ended = result;
  } else {
    answer_prompt(it->second, result);
  }
}

void AcpConnection::answer_prompt(Attachment& attachment, const Result<agent::TurnResult>& result) {
  auto answer = prompt_result(result);
  const Json id = std::exchange(attachment.prompt_id, Json());
  outbox_.push(answer ? rpc_result(id, std::move(*answer)) : rpc_error(id, answer.error()));
}

// ---- permission

void AcpConnection::ask(uint64_t question, const agent::PermissionRequest& request) {
  const auto it = attachments_.find(request.session);
  if (it == attachments_.end() || !it->second.updates) {  // only watches events: not asked
    return sessions_.answer(request.session, question, *this, std::nullopt);
  }
  const uint64_t id = next_request_++;
  questions_[id] = {request.session, question};
  Json params = permission_params(request);
  add_opt_outs(params, sessions_.host().opt_outs(request.session));
  outbox_.push(rpc_request(id, "session/request_permission", std::move(params)));
}

void AcpConnection::ask(uint64_t question, const agent::UserQuestion& asked) {
  const auto it = attachments_.find(asked.session);
  // The protocol offers options to choose from, and no way to type an answer.
  if (it == attachments_.end() || !it->second.updates || asked.question.choices.empty()) {
    return sessions_.answer(asked.session, question, *this, std::nullopt);
  }
  const uint64_t id = next_request_++;
  questions_[id] = {asked.session, question};
  outbox_.push(rpc_request(id, "session/request_permission", question_params(asked)));
}

void AcpConnection::on_answer(const RpcMessage& message) {
  if (!message.id.is_number_unsigned()) return;
  const auto it = questions_.find(message.id.get<uint64_t>());
  if (it == questions_.end()) return;
  const Question question = it->second;
  questions_.erase(it);
  const auto answer =
      message.kind == RpcMessage::Kind::result ? permission_answer(message.result) : std::nullopt;
  sessions_.answer(question.session, question.number, *this, answer);
}

void AcpConnection::withdraw(uint64_t question) {
  for (auto it = questions_.begin(); it != questions_.end(); ++it) {
    if (it->second.number != question) continue;
    outbox_.push(rpc_notification("$/cancel_request", {{"requestId", it->first}}));
    questions_.erase(it);
    return;
  }
}

// ---- events

void AcpConnection::subscribe(const RpcMessage& message) {
  tasks_.spawn(begin_subscription(message.id, message.params));
}

asio::awaitable<void> AcpConnection::begin_subscription(Json id, Json params) {
  const auto session = session_id_from(params);
  if (!session) co_return outbox_.push(rpc_error(id, session.error()));
  if (params.contains("after") && !params["after"].is_number_unsigned()) {
    co_return refuse(id, RpcCode::invalid_params, "\"after\" must be an event's number, or 0");
  }
  const auto after = params.value("after", memory::Seq{0});
  const auto found = co_await sessions_.host().find(*session);
  if (!found) co_return outbox_.push(rpc_error(id, rpc_error_from(found.error())));
  const auto* facts = sessions_.facts(*session);
  const bool live = facts != nullptr;
  const auto last = live ? std::max(facts->last_seq, found->n_events) : found->n_events;
  if (after > last) {
    co_return refuse(id, RpcCode::invalid_params,
                     fmt::format("\"after\" is {}, but the session has {} events", after, last));
  }
  Json answer{{"sessionId", *session}, {"after", after}, {"last", last}, {"live", live}};
  add_opt_outs(answer, sessions_.host().opt_outs(*session));
  outbox_.push(rpc_result(id, std::move(answer)));
  Attachment& attachment = attachments_[*session];
  if (attachment.events) attachment.events->end();
  attachment.events = std::make_shared<Subscription>(
      sessions_.host(), outbox_, *session, after, true, [this](const memory::Event& event) {
        outbox_.push(rpc_notification("_sable/event", memory::to_json(event)));
      });
  if (live) sessions_.watch(*session, *this);
  const auto events = attachment.events;
  co_await catch_up(*session, events);
}

asio::awaitable<RpcResult> AcpConnection::unsubscribe(Json params) {
  const auto session = session_id_from(params);
  if (!session) co_return tl::unexpected<RpcError>(session.error());
  if (const auto it = attachments_.find(*session); it != attachments_.end() && it->second.events) {
    it->second.events->end();
    it->second.events.reset();
    if (!it->second.updates) sessions_.unwatch(*session, *this);
  }
  co_return Json::object();
}

void AcpConnection::on_event(const memory::Event& event) {
  const auto it = attachments_.find(event.session);
  if (it == attachments_.end()) return;
  if (it->second.updates) follow(event.session, it->second.updates, event);
  if (it->second.events) {
    follow(event.session, it->second.events, event);
    if (!it->second.events->behind() && outbox_.has_room()) it->second.lag_told = false;
  }
}

void AcpConnection::follow(const std::string& session,
                           const std::shared_ptr<Subscription>& subscription,
                           const memory::Event& event) {
  if (!subscription->follow(event)) return;
  tell_lag(session, attachments_[session]);
  tasks_.spawn(catch_up(session, subscription));
}

asio::awaitable<void> AcpConnection::catch_up(std::string session,
                                              std::shared_ptr<Subscription> subscription) {
  const auto done = co_await subscription->catch_up();
  if (!done) {
    log_.error("cannot replay a session", {{"session", session}, {"error", done.error().message}});
    outbox_.request_close({1011, "the session's log cannot be read"});
    co_return;
  }
  const auto it = attachments_.find(session);
  if (it != attachments_.end() && it->second.updates == subscription) caught_up(session);
}

void AcpConnection::caught_up(const std::string& session) {
  const auto it = attachments_.find(session);
  if (it == attachments_.end()) return;
  if (it->second.renderer) it->second.renderer->previews_missed();
  if (it->second.ended) {
    answer_prompt(it->second, *it->second.ended);
    it->second.ended.reset();
  }
}

void AcpConnection::show_update(const std::string& session, const memory::Event& event) {
  Attachment& attachment = attachments_[session];
  const bool own_prompt = !attachment.prompt_id.is_null() && event.seq > attachment.prompt_after;
  auto& renderer = *attachment.renderer;
  for (Json& update : renderer.on_event(event, !own_prompt)) {
    push_update(session, std::move(update));
  }
  // Once for all changes of a call: its outcome comes behind them.
  if (renderer.plan_is_stale() && !event.type.starts_with("task.")) {
    if (auto plan = renderer.plan(sessions_.host().tasks(session))) {
      push_update(session, std::move(*plan));
    }
  }
}

/// What a client that comes to a session has to know of it before anything happens.
void AcpConnection::show_standing(const std::string& session, Attachment& attachment) {
  auto opt_outs = attachment.renderer->opt_outs(sessions_.host().opt_outs(session));
  if (opt_outs) push_update(session, std::move(*opt_outs));
  auto plan = attachment.renderer->plan(sessions_.host().tasks(session));
  if (plan) push_update(session, std::move(*plan));
}

void AcpConnection::push_update(const std::string& session, Json update) {
  outbox_.push(
      rpc_notification("session/update", {{"sessionId", session}, {"update", std::move(update)}}));
}

void AcpConnection::on_preview(const std::string& session, const agent::Preview& preview) {
  const auto it = attachments_.find(session);
  if (it == attachments_.end()) return;
  Attachment& attachment = it->second;
  if (attachment.updates && !attachment.updates->behind()) {
    auto shown = attachment.renderer->on_preview(preview);
    if (shown && !outbox_.push_preview(std::move(*shown))) {
      attachment.renderer->preview_dropped(preview);
    }
  }
  if (attachment.events) {
    const bool shown =
        !attachment.events->behind() && outbox_.push_preview(plain_preview(session, preview));
    if (!shown) tell_lag(session, attachment);
  }
}

void AcpConnection::tell_lag(const std::string& session, Attachment& attachment) {
  if (!attachment.events || std::exchange(attachment.lag_told, true)) return;
  outbox_.push(rpc_notification(
      "_sable/lagged", {{"session", session}, {"seq", attachment.events->last_delivered()}}));
}

}  // namespace sable::runtime
