#include "agent/call_door.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::agent {

namespace {

constexpr std::string_view kLocatorPrefix = "blob:sha256:";
constexpr size_t kIdDigits = 12;
constexpr size_t kDiffBytesMax = 256 << 10;  ///< that a person is shown
constexpr std::string_view kApply = "apply", kDrop = "drop";

/// A locator's hash: what follows the prefix that a sound one has. Logs may come from elsewhere.
std::string_view digits_of(std::string_view locator) {
  if (locator.starts_with(kLocatorPrefix)) locator.remove_prefix(kLocatorPrefix.size());
  return locator;
}

/// An update under way: step by step, so that a new item may lie below one that is new as well.
struct Updating {
  memory::TaskState tasks;
  std::vector<memory::NewEvent> events = {};

  Result<void> take(Result<memory::NewEvent> event) {
    if (!event) return fail(std::move(event.error()));
    memory::apply_task_event(tasks, {.type = event->type, .data = event->data});
    events.push_back(std::move(*event));
    return {};
  }

  Result<void> take_item(const tools::TaskUpdate::Item& item) {
    memory::TodoChange change{
        .id = item.id, .parent = item.parent, .text = item.text, .evidence = item.evidence};
    if (item.status) {
      SABLE_TRY(change.status, memory::parse_todo_status(*item.status));
    }
    return take(memory::change_todo(tasks, std::move(change)));
  }

  Result<void> take_all(const tools::TaskUpdate& update) {
    if (update.goal) {
      SABLE_TRY_VOID(take(memory::set_goal(*update.goal)));
    }
    for (const auto& item : update.items) {
      SABLE_TRY_VOID(take_item(item));
    }
    if (update.decision) {
      SABLE_TRY_VOID(take(memory::record_decision(update.decision->text, update.decision->reason)));
    }
    if (update.note) {
      SABLE_TRY_VOID(take(memory::add_task_note(*update.note)));
    }
    return {};
  }
};

}  // namespace

std::string output_id(std::string_view locator) {
  return std::string(digits_of(locator).substr(0, kIdDigits));
}

bool CallDoor::nobody_to_ask() const {
  return mode_ == ApprovalMode::none || mode_ == ApprovalMode::unattended || observers_.empty();
}

asio::awaitable<std::optional<std::string>> CallDoor::answer_to(tools::Question question) {
  const UserQuestion asked{
      .session = session_, .call_id = call_id_, .question = std::move(question)};
  for (Observer* observer : std::vector<Observer*>(observers_)) {
    auto answer = co_await observer->on_question(asked);
    if (answer) co_return to_utf8(*answer);
  }
  co_return std::nullopt;
}

asio::awaitable<Result<std::string>> CallDoor::ask(tools::Question question) {
  if (nobody_to_ask()) {
    co_return fail(ErrorCode::denied,
                   "nobody can be asked here; decide it yourself and say so in your answer");
  }
  auto answer = co_await answer_to(std::move(question));
  if (answer) co_return std::move(*answer);
  co_return fail(ErrorCode::denied,
                 "nobody answered; decide it yourself if you can, and say so in your answer");
}

asio::awaitable<tools::Review> CallDoor::review(const tools::ProposedChanges& changes) {
  if (mode_ == ApprovalMode::all) co_return tools::Review{.apply = true, .reason = "--approve all"};
  if (nobody_to_ask()) co_return tools::Review{.reason = "nobody can be asked here"};
  tools::Question question{
      .text =
          fmt::format("Apply what {} changed? {} in all{}", changes.about, changes.changes.size(),
                      changes.has_protected() ? ", protected names among them" : ""),
      .choices = {std::string(kApply), std::string(kDrop)},
      .diff = changes.text(kDiffBytesMax)};
  const auto answer = co_await answer_to(std::move(question));
  if (!answer) co_return tools::Review{.reason = "nobody answered"};
  if (*answer == kApply || *answer == "yes" || *answer == "y") {
    co_return tools::Review{
        .apply = true, .accepts_protected = true, .reason = "the user applied them"};
  }
  if (*answer == kDrop || *answer == "no" || *answer == "n")
    co_return tools::Review{.reason = "the user dropped them"};
  co_return tools::Review{.reason = "the user says: " + *answer};
}

Result<std::string> CallDoor::change_tasks(const tools::TaskUpdate& update) {
  Updating updating{.tasks = tasks_};
  SABLE_TRY_VOID(updating.take_all(update));
  tasks_ = std::move(updating.tasks);
  std::move(updating.events.begin(), updating.events.end(), std::back_inserter(events_));
  return memory::render_tasks(tasks_);
}

asio::awaitable<Result<std::string>> CallDoor::kept_output(std::string id) {
  const std::string_view digits = digits_of(id);
  std::string known;
  for (const auto& locator : history_.kept_outputs()) {
    if (digits_of(locator).starts_with(digits)) {
      co_return co_await store_.get_blob(locator);
    }
    known += (known.empty() ? "" : ", ") + output_id(locator);
  }
  co_return fail(ErrorCode::not_found,
                 fmt::format("no output \"{}\" was kept in this session; {}", escape_controls(id),
                             known.empty() ? "none was" : "there are: " + known));
}

}  // namespace sable::agent
