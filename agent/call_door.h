// The session as a tool call sees it: people to ask, also about what the call changed, the task
// list, outputs of earlier calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/history.h"
#include "memory/memory.h"
#include "tools/tools.h"

namespace sable::agent {

/// Lives for one call; everything it refers to outlives it. What the call changes is kept here
/// until it is logged together with the call's outcome.
class CallDoor final : public tools::SessionDoor, public tools::ChangeReviewer {
 public:
  CallDoor(memory::Store& store, const History& history, const std::vector<Observer*>& observers,
           ApprovalMode mode, std::string session, std::string call_id)
      : store_(store),
        history_(history),
        observers_(observers),
        mode_(mode),
        session_(std::move(session)),
        call_id_(std::move(call_id)),
        tasks_(history.tasks()) {}

  asio::awaitable<Result<std::string>> ask(tools::Question question) override;
  Result<std::string> change_tasks(const tools::TaskUpdate& update) override;
  asio::awaitable<Result<std::string>> kept_output(std::string id) override;

  /// Mode `all` applies them, but no protected names; else a person is asked.
  asio::awaitable<tools::Review> review(const tools::ProposedChanges& changes) override;

  /// What the call changed, in order.
  std::vector<memory::NewEvent> take_events() { return std::move(events_); }

 private:
  bool nobody_to_ask() const;
  asio::awaitable<std::optional<std::string>> answer_to(tools::Question question);

  memory::Store& store_;
  const History& history_;
  const std::vector<Observer*>& observers_;
  const ApprovalMode mode_;
  const std::string session_, call_id_;
  memory::TaskState tasks_;
  std::vector<memory::NewEvent> events_;
};

/// How a model names a kept output: the first digits of its locator's hash.
std::string output_id(std::string_view locator);

}  // namespace sable::agent
