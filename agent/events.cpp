#include "agent/events.h"

#include "base/digest.h"
#include "base/text.h"

namespace sable::agent::events {

namespace {

constexpr size_t kDiffBytesMax = 64 << 10;

Json to_json(const Usage& usage) {
  return {{"input_tokens", usage.input_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"output_tokens", usage.output_tokens}};
}

Json to_json(const Sampling& sampling) {
  Json json{{"output_tokens_max", sampling.output_tokens_max}};
  if (sampling.temperature) json["temperature"] = *sampling.temperature;
  if (sampling.top_p) json["top_p"] = *sampling.top_p;
  if (sampling.seed) json["seed"] = *sampling.seed;
  return json;
}

Json to_json(const tools::FileChange& change) {
  // Tools make it on a worker; others, who have small files, may leave it to us.
  std::string diff = change.diff.empty() ? tools::unified_diff(change) : change.diff;
  const bool cut = diff.size() > kDiffBytesMax;
  diff.resize(utf8_prefix(diff, kDiffBytesMax));
  Json json{{"path", to_utf8(change.path)},
            {"kind", !change.before  ? "created"
                     : !change.after ? "deleted"
                                     : "modified"},
            {"diff", to_utf8(diff)}};
  if (cut) json["diff_cut"] = true;
  if (change.before) json["before_sha256"] = to_hex(sha256(*change.before));
  if (change.after) json["after_sha256"] = to_hex(sha256(*change.after));
  return json;
}

Json to_json(const std::vector<OfferedTool>& tools) {
  Json offered = Json::array();
  for (const auto& tool : tools) {
    offered.push_back(
        {{"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}});
  }
  return offered;
}

}  // namespace

memory::NewEvent context_built(std::string_view system, const std::vector<OfferedTool>& tools,
                               const Json& instructions) {
  return {"context.built",
          {{"system", system}, {"tools", to_json(tools)}, {"instructions", instructions}}};
}

memory::NewEvent opt_outs_changed(const std::vector<std::string>& opt_outs) {
  return {"opt_outs.changed", {{"opt_outs", opt_outs}}};
}

memory::NewEvent tools_changed(const std::vector<OfferedTool>& tools, std::string_view notice) {
  return {"tools.changed", {{"tools", to_json(tools)}, {"notice", to_utf8(notice)}}};
}

memory::NewEvent turn_started(int turn, std::string_view prompt) {
  return {"turn.started", {{"turn", turn}, {"prompt", to_utf8(prompt)}}};
}

memory::NewEvent turn_continued(int turn) { return {"turn.continued", {{"turn", turn}}}; }

memory::NewEvent model_requested(int turn, int step, const Provider& provider, size_t n_messages,
                                 const Sampling& sampling) {
  return {"model.requested",
          {{"turn", turn},
           {"step", step},
           {"provider", provider.name()},
           {"model", provider.model()},
           {"n_messages", n_messages},
           {"sampling", to_json(sampling)}}};
}

memory::NewEvent model_finished(int turn, int step, const Reply& reply,
                                std::chrono::milliseconds wall) {
  Json calls = Json::array();
  for (const auto& call : reply.tool_calls) {
    calls.push_back({{"id", to_utf8(call.id)},
                     {"name", to_utf8(call.name)},
                     {"arguments", to_utf8(call.arguments)}});
  }
  Json data{{"turn", turn},
            {"step", step},
            {"text", to_utf8(reply.text)},
            {"reasoning", to_utf8(reply.reasoning)},
            {"tool_calls", std::move(calls)},
            {"finish_reason", name_of(reply.finish)},
            {"usage", to_json(reply.usage)},
            {"wall_ms", wall.count()}};
  if (!reply.replay.is_null()) data["replay"] = reply.replay;
  return {"model.finished", std::move(data)};
}

memory::NewEvent model_failed(int turn, int step, const Error& error) {
  return {"model.failed",
          {{"turn", turn},
           {"step", step},
           {"code", name_of(error.code)},
           {"message", to_utf8(error.message)}}};
}

memory::NewEvent tool_intent(int turn, int step, const tools::Call& call, std::string_view effect,
                             std::string_view policy_digest) {
  return {"tool.intent",
          {{"turn", turn},
           {"step", step},
           {"call_id", call.id},
           {"name", call.name},
           {"arguments", call.arguments},
           {"effect", effect},
           {"policy_sha256", policy_digest}}};
}

memory::NewEvent approval_decided(std::string_view call_id, std::string_view tool, bool allowed,
                                  std::string_view by, std::string_view reason) {
  return {"approval.decided",
          {{"call_id", call_id},
           {"tool", tool},
           {"decision", allowed ? "allowed" : "refused"},
           {"by", by},
           {"reason", reason}}};
}

memory::NewEvent tool_started(std::string_view call_id, std::string_view name) {
  return {"tool.started", {{"call_id", call_id}, {"name", name}}};
}

memory::NewEvent tool_outcome(std::string_view call_id, std::string_view name,
                              std::string_view status, std::string_view text,
                              const std::vector<tools::FileChange>& changes, Json details) {
  Json changed = Json::array();
  for (const auto& change : changes) changed.push_back(to_json(change));
  return {"tool.outcome",
          {{"call_id", call_id},
           {"name", to_utf8(name)},
           {"status", status},
           {"text", to_utf8(text)},
           {"changes", std::move(changed)},
           {"details", std::move(details)}}};
}

memory::NewEvent turn_ended(int turn, std::string_view status, std::string_view reason,
                            const Usage& usage, std::chrono::milliseconds wall, int n_steps,
                            int n_tool_calls, const std::vector<std::string>& files_changed) {
  Json files = Json::array();
  for (const auto& file : files_changed) files.push_back(to_utf8(file));
  return {"turn.ended",
          {{"turn", turn},
           {"status", status},
           {"reason", to_utf8(reason)},
           {"usage", to_json(usage)},
           {"wall_ms", wall.count()},
           {"n_steps", n_steps},
           {"n_tool_calls", n_tool_calls},
           {"files_changed", std::move(files)}}};
}

namespace {

/// At most a few; the checkpoint itself has them all.
Json some_of(const std::vector<memory::LeftOut>& paths) {
  constexpr size_t kShown = 20;
  Json list = Json::array();
  for (size_t i = 0; i < std::min(paths.size(), kShown); ++i) {
    list.push_back({{"path", to_utf8(paths[i].path)}, {"reason", paths[i].reason}});
  }
  return list;
}

}  // namespace

memory::NewEvent files_checkpointed(std::string_view call_id,
                                    const Result<memory::FileCheckpoint>& taken) {
  Json data{{"call_id", call_id}};
  if (taken) {
    data["checkpoint"] = taken->id;
    data["n_files"] = taken->n_files;
    data["n_left_out"] = taken->left_out.size();
    data["left_out"] = some_of(taken->left_out);
  } else {
    data["checkpoint"] = "";
    data["reason"] = taken.error().message;
  }
  return {"files.checkpointed", std::move(data)};
}

memory::NewEvent session_rewound(memory::Seq to, int turn, std::string_view files,
                                 std::string_view files_before) {
  return {memory::kRewound,
          Json{{"to", to}, {"turn", turn}, {"files", files}, {"files_before", files_before}}};
}

memory::NewEvent files_restored(std::string_view checkpoint,
                                const Result<memory::RestoreReport>& restored) {
  const memory::RestoreReport report = restored.value_or(memory::RestoreReport());
  Json data{{"checkpoint", restored ? checkpoint : ""},
            {"n_written", report.n_written},
            {"n_removed", report.n_removed},
            {"n_kept", report.kept.size()},
            {"kept", some_of(report.kept)}};
  if (!restored) data["reason"] = to_utf8(restored.error().message);
  return {"files.restored", std::move(data)};
}

}  // namespace sable::agent::events
