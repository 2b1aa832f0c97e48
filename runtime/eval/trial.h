// One task put to an agent, as `sable run` would put it.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "agent/agent.h"
#include "runtime/engine/models.h"
#include "runtime/program.h"

namespace sable::runtime {

struct Trial {
  std::filesystem::path repository;  ///< absolute
  std::string name;                  ///< the session's title
  std::string instruction;
};

/// What came of it.
struct TrialEnd {
  std::string session, agent, model;
  agent::TurnResult turn;
  int n_steps = 0, n_tool_calls = 0;
  int n_malformed_calls = 0;  ///< that could not be parsed or do not fit their schema
};

/// Configuration, trust, registry, policy, provider and session are those of `sable run`; calls are
/// approved, since nobody is there to ask. Errors: those of the configuration, the model and the
/// log; how the turn ended is data.
asio::awaitable<Result<TrialEnd>> run_trial(const Program& program, agent::Services services,
                                            Models& models, Trial trial);

}  // namespace sable::runtime
