#include "runtime/server/session_updates.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::runtime {

namespace {

constexpr size_t kTitleBytesMax = 200;
constexpr size_t kOutputTailBytes = 4 << 10;  ///< of a running command, shown while it runs

Json text_block(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

Json chunk(const char* kind, std::string text, const std::string& message_id) {
  return {
      {"sessionUpdate", kind}, {"content", text_block(std::move(text))}, {"messageId", message_id}};
}

Json content_of(std::string text) {
  return Json::array({{{"type", "content"}, {"content", text_block(std::move(text))}}});
}

Json tool_call(const std::string& id, const std::string& name, const std::string& status,
               const Json& arguments, const std::filesystem::path& root) {
  Json call{
      {"sessionUpdate", "tool_call"}, {"toolCallId", id}, {"title", tool_title(name, arguments)},
      {"kind", tool_kind(name)},      {"status", status}, {"rawInput", arguments}};
  if (const auto path = string_or(arguments, "path", ""); !path.empty()) {
    call["locations"] = Json::array({{{"path", (root / path).lexically_normal().string()}}});
  }
  return call;
}

Json tool_call_update(const std::string& id, const char* status) {
  return {{"sessionUpdate", "tool_call_update"}, {"toolCallId", id}, {"status", status}};
}

/// What the program itself has to say to people. The protocol has no kind for it that every client
/// knows, so it is a message of its own.
Json notice(const char* about, std::string text, const std::string& message_id) {
  Json update = chunk("agent_message_chunk", std::move(text), message_id);
  update["_meta"] = {{"sable", {{"notice", about}}}};
  return update;
}

/// The protocol knows three: what is blocked is still to be done.
const char* plan_status(memory::TodoStatus status) {
  if (status == memory::TodoStatus::active) return "in_progress";
  return status == memory::TodoStatus::done ? "completed" : "pending";
}

}  // namespace

std::string_view tool_kind(std::string_view tool) {
  if (tool == "read_file" || tool == "list_files") return "read";
  if (tool == "search") return "search";
  if (tool == "edit_file" || tool == "write_file") return "edit";
  if (tool == "shell") return "execute";
  return "other";
}

std::string tool_title(std::string_view tool, const Json& arguments) {
  std::string title(tool);
  for (const char* key : {"command", "path", "pattern", "query"}) {
    if (const auto value = string_or(arguments, key, ""); !value.empty()) {
      title = tool == "shell" ? value : fmt::format("{} {}", tool, value);
      break;
    }
  }
  title = title.substr(0, title.find('\n'));
  title.resize(utf8_prefix(title, kTitleBytesMax));
  return escape_controls(title);
}

Json diff_content(std::string_view diff) {
  return {{"type", "content"}, {"content", text_block(fmt::format("```diff\n{}\n```", diff))}};
}

SessionUpdates::SessionUpdates(std::string session, std::filesystem::path root)
    : session_(std::move(session)), root_(std::move(root)) {}

std::string SessionUpdates::message_id() const {
  return fmt::format("{}.{}.{}", turn_, step_, attempt_);
}

void SessionUpdates::begin_step(int step) {
  step_ = step;
  attempt_ = 0;
  in_step_ = true;
  text_ = reasoning_ = {};
}

std::vector<Json> SessionUpdates::on_event(const memory::Event& event, bool echo_prompt) {
  std::vector<Json> updates;
  const Json& data = event.data;
  // Changes of the task come in one step with the outcome of the call that made them.
  if (event.type.starts_with("task.") || event.type == memory::kRewound) plan_is_stale_ = true;
  if (const auto sentences = agent::opt_outs_from(event)) {
    auto told = opt_outs_told(*sentences, fmt::format("notice.{}", event.seq));
    if (told) updates.push_back(std::move(*told));
  } else if (event.type == "tools.changed") {
    auto text = string_or(data, "notice", "");
    if (!text.empty()) {
      updates.push_back(notice("tools", std::move(text), fmt::format("notice.{}", event.seq)));
    }
  } else if (event.type == "turn.started") {
    turn_ = int_or(data, "turn", turn_ + 1);
    announced_calls_.clear();
    if (echo_prompt) {
      updates.push_back(chunk("user_message_chunk", string_or(data, "prompt", ""),
                              fmt::format("{}.prompt", turn_)));
    }
  } else if (event.type == "turn.continued") {
    turn_ = int_or(data, "turn", turn_);
  } else if (event.type == "model.requested") {
    begin_step(int_or(data, "step", step_ + 1));
  } else if (event.type == "model.finished") {
    on_model_finished(updates, data);
  } else if (event.type == "tool.started") {
    updates.push_back(tool_call_update(string_or(data, "call_id", ""), "in_progress"));
  } else if (event.type == "tool.outcome") {
    on_tool_outcome(updates, data);
  }
  return updates;
}

std::optional<Json> SessionUpdates::opt_outs(const std::vector<std::string>& sentences) {
  return opt_outs_told(sentences, "notice.now");
}

std::optional<Json> SessionUpdates::opt_outs_told(const std::vector<std::string>& sentences,
                                                  const std::string& message_id) {
  if (sentences == opt_outs_) return {};
  opt_outs_ = sentences;
  std::string text;
  for (const auto& sentence : sentences) text += sentence + "\n";
  if (text.empty()) text = "Commands are confined by the sandbox again, and so is their network.\n";
  Json update = notice("opt_outs", std::move(text), message_id);
  update["_meta"]["sable"]["opt_outs"] = sentences;
  return update;
}

std::optional<Json> SessionUpdates::plan(const memory::TaskState& tasks) {
  plan_is_stale_ = false;
  Json entries = Json::array();
  for (const auto& todo : tasks.todos) {
    if (todo.status == memory::TodoStatus::dropped) continue;
    const bool blocked = todo.status == memory::TodoStatus::blocked;
    entries.push_back({{"content", blocked ? todo.text + " (blocked)" : todo.text},
                       {"priority", "medium"},
                       {"status", plan_status(todo.status)},
                       {"_meta",
                        {{"sable",
                          {{"id", todo.id},
                           {"parent", todo.parent},
                           {"status", memory::name_of(todo.status)},
                           {"evidence", todo.evidence}}}}}});
  }
  // The goal alone is what the person has just said.
  Json whole = memory::to_json(tasks);
  const bool told = !plan_.is_null();
  if (!told && entries.empty() && tasks.decisions.empty() && tasks.notes.empty()) return {};
  Json plan{{"sessionUpdate", "plan"},
            {"entries", std::move(entries)},
            {"_meta",
             {{"sable",
               {{"goal", std::move(whole["goal"])},
                {"decisions", std::move(whole["decisions"])},
                {"notes", std::move(whole["notes"])}}}}}};
  if (plan == plan_) return {};
  plan_ = plan;
  return plan;
}

void SessionUpdates::complete(std::vector<Json>& updates, const char* kind,
                              const Streamed& streamed, const std::string& whole) {
  // What was streamed is a beginning of the whole, unless the provider's previews were no such
  // thing: then all of it is sent again, as another message.
  const bool continues = whole.starts_with(streamed.text);
  if (!continues) ++attempt_;
  auto rest = continues ? whole.substr(streamed.text.size()) : whole;
  if (!rest.empty()) updates.push_back(chunk(kind, std::move(rest), message_id()));
}

void SessionUpdates::on_model_finished(std::vector<Json>& updates, const Json& data) {
  step_ = int_or(data, "step", step_);
  complete(updates, "agent_thought_chunk", reasoning_, string_or(data, "reasoning", ""));
  complete(updates, "agent_message_chunk", text_, string_or(data, "text", ""));
  in_step_ = false;
  text_ = reasoning_ = {};
  if (!data.contains("tool_calls") || !data["tool_calls"].is_array()) return;
  for (const auto& call : data["tool_calls"]) {
    const auto id = string_or(call, "id", "");
    const auto text = string_or(call, "arguments", "");
    const auto parsed = parse_json(text);
    updates.push_back(tool_call(id, string_or(call, "name", ""), "pending",
                                parsed ? *parsed : Json(text), root_));
    announced_calls_.insert(id);
  }
}

void SessionUpdates::on_tool_outcome(std::vector<Json>& updates, const Json& data) {
  const auto id = string_or(data, "call_id", "");
  const auto outcome = string_or(data, "status", "");
  const char* const status = outcome == "ok" ? "completed" : "failed";
  if (announced_calls_.insert(id).second) {  // a log that begins after the call
    updates.push_back(tool_call(id, string_or(data, "name", ""), status, Json::object(), root_));
  }
  Json update = tool_call_update(id, status);
  update["content"] = content_of(string_or(data, "text", ""));
  Json locations = Json::array();
  if (data.contains("changes") && data["changes"].is_array()) {
    for (const auto& change : data["changes"]) {
      const auto path = string_or(change, "path", "");
      locations.push_back({{"path", (root_ / path).lexically_normal().string()}});
      update["content"].push_back(diff_content(string_or(change, "diff", "")));
    }
  }
  if (!locations.empty()) update["locations"] = std::move(locations);
  update["rawOutput"] = {{"status", outcome}};
  if (data.contains("details")) update["rawOutput"]["details"] = data["details"];
  updates.push_back(std::move(update));
  if (output_call_ == id) {
    output_call_.clear();
    output_tail_.clear();
  }
}

std::optional<Outbox::Preview> SessionUpdates::on_preview(const agent::Preview& preview) {
  using Kind = agent::Preview::Kind;
  Json update;
  const char* slot = "/params/update/content/text";
  std::string key;
  std::string text = preview.text;
  bool replaces = false;
  switch (preview.kind) {
    case Kind::text:
    case Kind::reasoning: {
      const bool is_text = preview.kind == Kind::text;
      auto& streamed = is_text ? text_ : reasoning_;
      if (!in_step_ || preview.step != step_ || streamed.stopped || text.empty()) return {};
      streamed.text += text;
      update = chunk(is_text ? "agent_message_chunk" : "agent_thought_chunk", "", message_id());
      key = fmt::format("{}|{}|{}", session_, is_text ? "text" : "thought", message_id());
      break;
    }
    case Kind::tool_output:
      if (preview.call_id.empty()) return {};
      if (output_call_ != preview.call_id) output_tail_.clear();
      output_call_ = preview.call_id;
      output_tail_ += preview.text;
      if (output_tail_.size() > kOutputTailBytes) {
        // From a line's beginning, so that no code point is cut.
        const auto line = output_tail_.find('\n', output_tail_.size() - kOutputTailBytes);
        output_tail_.erase(
            0, line == std::string::npos ? output_tail_.size() - kOutputTailBytes : line + 1);
      }
      text = to_utf8(output_tail_);
      update = tool_call_update(preview.call_id, "in_progress");
      update["content"] = content_of("");
      slot = "/params/update/content/0/content/text";
      key = fmt::format("{}|output|{}", session_, preview.call_id);
      replaces = true;  // the protocol's arrays replace what was there
      break;
    case Kind::restarted:
      ++attempt_;
      text_ = reasoning_ = {};
      return {};
    case Kind::call:  // told whole by the event
      return {};
  }
  Json message{{"jsonrpc", "2.0"},
               {"method", "session/update"},
               {"params", {{"sessionId", session_}, {"update", std::move(update)}}}};
  return Outbox::Preview{.key = std::move(key),
                         .message = std::move(message),
                         .slot = Json::json_pointer(slot),
                         .text = std::move(text),
                         .replaces = replaces};
}

void SessionUpdates::preview_dropped(const agent::Preview& preview) {
  if (preview.kind != agent::Preview::Kind::text &&
      preview.kind != agent::Preview::Kind::reasoning) {
    return;
  }
  auto& streamed = preview.kind == agent::Preview::Kind::text ? text_ : reasoning_;
  streamed.stopped = true;
  streamed.text.resize(streamed.text.size() - std::min(preview.text.size(), streamed.text.size()));
}

void SessionUpdates::previews_missed() { text_.stopped = reasoning_.stopped = true; }

}  // namespace sable::runtime
