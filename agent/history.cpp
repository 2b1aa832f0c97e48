#include "agent/history.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/agent.h"

namespace sable::agent {

namespace {

Result<std::string> text_of(const Json& data, const char* key) {
  if (data.is_object()) {
    if (const auto it = data.find(key); it != data.end() && it->is_string()) {
      return it->get<std::string>();
    }
  }
  return fail(ErrorCode::corrupt, fmt::format("field \"{}\" is missing or not a string", key));
}

Result<void> take_tools(const Json& data, std::vector<OfferedTool>& tools) {
  const auto list = data.find("tools");
  if (list == data.end() || !list->is_array()) {
    return fail(ErrorCode::corrupt, "field \"tools\" is missing or not a list");
  }
  tools.clear();
  for (const auto& entry : *list) {
    SABLE_TRY(auto name, text_of(entry, "name"));
    SABLE_TRY(auto description, text_of(entry, "description"));
    tools.push_back({std::move(name), std::move(description),
                     entry.contains("parameters") ? entry["parameters"] : Json::object()});
  }
  return {};
}

Result<void> take_context(const Json& data, Transcript& messages, std::vector<OfferedTool>& tools) {
  SABLE_TRY(auto system, text_of(data, "system"));
  messages.push_back({.role = Role::system, .text = std::move(system)});
  return take_tools(data, tools);
}

uint64_t count_in(const Json& usage, const char* key) {
  if (!usage.is_object()) return 0;
  const auto it = usage.find(key);
  return it != usage.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

void add_reply(TurnSoFar& turn, const Json& data) {
  turn.n_steps = int_or(data, "step", turn.n_steps + 1);
  if (const auto text = string_or(data, "text", ""); !text.empty()) turn.text = text;
  turn.finish =
      parse_finish_reason(string_or(data, "finish_reason", "")).value_or(FinishReason::stop);
  if (const auto usage = data.find("usage"); usage != data.end()) {
    turn.usage.input_tokens += count_in(*usage, "input_tokens");
    turn.usage.cached_tokens += count_in(*usage, "cached_tokens");
    turn.usage.output_tokens += count_in(*usage, "output_tokens");
  }
}

void add_outcome(TurnSoFar& turn, const Json& data) {
  if (string_or(data, "status", "") != "cancelled") ++turn.n_tool_calls;
  const auto changes = data.find("changes");
  if (changes == data.end() || !changes->is_array()) return;
  auto& files = turn.files_changed;
  for (const auto& change : *changes) {
    auto path = string_or(change, "path", "");
    if (!path.empty() && std::find(files.begin(), files.end(), path) == files.end()) {
      files.push_back(std::move(path));
    }
  }
}

}  // namespace

/// One that starts has a prompt; one that goes on has what the log tells of it.
Result<void> History::take_turn(const Json& data, std::string_view type) {
  if (type == "turn.started") {
    SABLE_TRY(auto prompt, text_of(data, "prompt"));
    messages_.push_back({.role = Role::user, .text = std::move(prompt)});
    turn_ = {};
    ++n_turns_;
  } else {
    n_turns_ = std::max(n_turns_, int_or(data, "turn", 0));
  }
  turn_open_ = true;
  rewound_ = false;
  return {};
}

Result<void> History::take_reply(const Json& data) {
  Message message{.role = Role::assistant};
  SABLE_TRY(message.text, text_of(data, "text"));
  message.reasoning = string_or(data, "reasoning", "");
  if (const auto calls = data.find("tool_calls"); calls != data.end() && calls->is_array()) {
    message.tool_calls.reserve(calls->size());
    for (const auto& call : *calls) {
      SABLE_TRY(auto id, text_of(call, "id"));
      SABLE_TRY(auto name, text_of(call, "name"));
      SABLE_TRY(auto arguments, text_of(call, "arguments"));
      call_ids_.insert(id);
      message.tool_calls.push_back({std::move(id), std::move(name), std::move(arguments)});
    }
  }
  if (data.contains("replay")) message.replay = data["replay"];
  reply_calls_ = message.tool_calls;
  add_reply(turn_, data);
  cut_ = false;
  started_.clear();
  answered_.clear();
  messages_.push_back(std::move(message));
  return {};
}

Result<void> History::take_outcome(const Json& data) {
  SABLE_TRY(auto id, text_of(data, "call_id"));
  SABLE_TRY(auto text, text_of(data, "text"));
  answered_.insert(id);
  if (const auto details = data.find("details"); details != data.end() && details->is_object()) {
    auto locator = string_or(*details, "output", "");
    if (!locator.empty()) kept_outputs_.push_back(std::move(locator));
  }
  add_outcome(turn_, data);
  messages_.push_back({.role = Role::tool, .text = std::move(text), .tool_call_id = std::move(id)});
  return {};
}

/// What was taken back is not taken at all (history_of); here only what the rewind itself changes:
/// turns are counted on, so that calls of later ones never get an old one's id.
void History::take_rewind(const Json& data) {
  turn_open_ = false;
  rewound_ = true;
  n_turns_ = std::max(n_turns_, int_or(data, "turn", 0));
}

Result<void> History::take(const memory::Event& event) {
  SABLE_TRY_VOID(memory::check_understood(event));
  const auto take_known = [&]() -> Result<void> {
    if (event.type == "context.built") return take_context(event.data, messages_, tools_);
    if (event.type == "tools.changed") {
      tools_notice_ = string_or(event.data, "notice", "");
      return take_tools(event.data, tools_);
    }
    if (auto opt_outs = opt_outs_from(event)) {
      opt_outs_ = std::move(*opt_outs);
      return {};
    }
    if (event.type == "turn.started" || event.type == "turn.continued") {
      return take_turn(event.data, event.type);
    }
    if (event.type == "model.finished") return take_reply(event.data);
    if (event.type == "tool.outcome") return take_outcome(event.data);
    if (event.type == "tool.started") started_.insert(string_or(event.data, "call_id", ""));
    if (event.type == "session.forked" || event.type == "session.recovered") cut_ = true;
    if (event.type == "turn.ended") turn_open_ = false;
    if (event.type == memory::kRewound) take_rewind(event.data);
    memory::apply_task_event(tasks_, event);
    if (event.type == "approval.decided" && string_or(event.data, "by", "") == "session") {
      allowed_for_session_.insert(string_or(event.data, "tool", ""));
    }
    return {};
  };
  if (auto taken = take_known(); !taken) {
    return fail_in(fmt::format("session {}, event {} ({})", event.session, event.seq, event.type),
                   std::move(taken.error()));
  }
  return {};
}

std::optional<std::vector<std::string>> opt_outs_from(const memory::Event& event) {
  const bool first = event.type == "session.started";
  if (!first && event.type != "opt_outs.changed") return {};
  const auto nothing = Json::object();
  const Json& data = event.data.is_object() ? event.data : nothing;
  const Json& place = first ? data.value("details", nothing) : data;
  std::vector<std::string> opt_outs;
  if (place.is_object() && place.contains("opt_outs") && place["opt_outs"].is_array()) {
    for (const auto& entry : place["opt_outs"]) {
      if (entry.is_string()) opt_outs.push_back(entry.get<std::string>());
    }
  }
  return opt_outs;
}

bool History::can_continue() const {
  if (n_turns_ == 0 || messages_.empty()) return false;
  return messages_.back().role != Role::assistant || !open_calls().empty();
}

std::vector<RequestedCall> History::open_calls() const {
  std::vector<RequestedCall> open;
  for (const auto& call : reply_calls_) {
    if (!answered_.contains(call.id)) open.push_back(call);
  }
  return open;
}

Result<std::vector<Message>> messages_from(const std::vector<memory::Event>& events) {
  std::vector<memory::Rewind> rewinds;
  for (const auto& event : events) {
    if (const auto rewind = memory::rewind_from(event); rewind.at > 0) rewinds.push_back(rewind);
  }
  History history;
  for (const auto& range : memory::events_in_force(rewinds, events.size())) {
    for (memory::Seq seq = range.first; seq <= range.last; ++seq) {
      SABLE_TRY_VOID(history.take(events[seq - 1]));
    }
  }
  return std::vector<Message>(history.messages().begin(), history.messages().end());
}

}  // namespace sable::agent
