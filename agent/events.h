// The shapes of the events that the agent writes: one constructor each, so that docs/events.md,
// docs/events.schema.json and the log cannot drift apart.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "agent/provider.h"
#include "memory/memory.h"
#include "tools/tools.h"

namespace sable::agent::events {

memory::NewEvent context_built(std::string_view system, const std::vector<OfferedTool>& tools,
                               const Json& instructions);
/// `opt_outs`: what protection the user does without from here on, one sentence each.
memory::NewEvent opt_outs_changed(const std::vector<std::string>& opt_outs);
/// `notice`: what people should know of the tools, or empty.
memory::NewEvent tools_changed(const std::vector<OfferedTool>& tools, std::string_view notice);
memory::NewEvent turn_started(int turn, std::string_view prompt);
memory::NewEvent turn_continued(int turn);
memory::NewEvent model_requested(int turn, int step, const Provider& provider, size_t n_messages,
                                 const Sampling& sampling);
memory::NewEvent model_finished(int turn, int step, const Reply& reply,
                                std::chrono::milliseconds wall);
memory::NewEvent model_failed(int turn, int step, const Error& error);
memory::NewEvent tool_intent(int turn, int step, const tools::Call& call, std::string_view effect,
                             std::string_view policy_digest);

/// `by`: "tool" (its class), "mode" (--approve), "person", or "session" (a person, for the rest of
/// it).
memory::NewEvent approval_decided(std::string_view call_id, std::string_view tool, bool allowed,
                                  std::string_view by, std::string_view reason);
memory::NewEvent tool_started(std::string_view call_id, std::string_view name);

/// `status`: "ok", "failed", "invalid", "refused", "cancelled" or "unknown".
memory::NewEvent tool_outcome(std::string_view call_id, std::string_view name,
                              std::string_view status, std::string_view text,
                              const std::vector<tools::FileChange>& changes, Json details);
/// The files before a call, or why they could not be kept.
memory::NewEvent files_checkpointed(std::string_view call_id,
                                    const Result<memory::FileCheckpoint>& taken);
/// `files`: the checkpoint that is restored, `files_before`: the one that undoes it; both empty
/// when the files stay. `turn`: how many turns there have been.
memory::NewEvent session_rewound(memory::Seq to, int turn, std::string_view files,
                                 std::string_view files_before);
/// What came of a rewind's files, or why they stay as they are.
memory::NewEvent files_restored(std::string_view checkpoint,
                                const Result<memory::RestoreReport>& restored);
memory::NewEvent turn_ended(int turn, std::string_view status, std::string_view reason,
                            const Usage& usage, std::chrono::milliseconds wall, int n_steps,
                            int n_tool_calls, const std::vector<std::string>& files_changed);

}  // namespace sable::agent::events
