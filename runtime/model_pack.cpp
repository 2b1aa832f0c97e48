#include "runtime/model_pack.h"

#include "base/digest.h"
#include "evaluation/evaluation.h"

namespace sable::runtime {

Result<std::string> pinned_prompt(const agent::AgentConfig& agent,
                                  const agent::PromptTexts& texts) {
  SABLE_TRY(const auto tools, agent::offered_tools(tools::Registry::with_builtins(), agent));
  agent::AgentConfig without_files = agent;
  without_files.read_instructions = false;
  const std::vector<agent::Message> messages = {
      {.role = agent::Role::system, .text = agent::system_message(without_files, "/repository")},
      {.role = agent::Role::user, .text = "Where is f?"},
      {.role = agent::Role::assistant,
       .tool_calls = {{.id = "a", .name = "search", .arguments = R"({"pattern": "f"})"},
                      {.id = "b",
                       .name = "read_file",
                       .arguments = R"({"path": "x", "end_line": 9})"}}},
      {.role = agent::Role::tool, .text = "x:1:f\n", .tool_call_id = "a"},
      {.role = agent::Role::tool, .text = "1\tf\n", .tool_call_id = "b"},
      {.role = agent::Role::assistant, .text = "In x:1."},
      {.role = agent::Role::user, .text = "Thanks."}};
  SABLE_TRY(const auto prompt, agent::render_prompt(agent::prompt_messages(messages, tools, ""),
                                                    texts, {.thinking = true}));
  return agent::text_of(prompt);
}

Result<std::string> prompt_digest(const agent::AgentConfig& agent,
                                  const agent::PromptTexts& texts) {
  SABLE_TRY(const std::string prompt, pinned_prompt(agent, texts));
  return to_hex(sha256(prompt));
}

Result<std::string> tool_results_digest(const std::filesystem::path& folder,
                                        std::unique_ptr<sandbox::Sandbox> sandbox) {
  SABLE_TRY(const auto bench, evaluation::Workbench::open(folder, std::move(sandbox)));
  SABLE_TRY(const std::string results, evaluation::golden_tool_results(*bench));
  return to_hex(sha256(results));
}

}  // namespace sable::runtime
