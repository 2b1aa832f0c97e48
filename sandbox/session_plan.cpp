#include "sandbox/session_plan.h"

#include <algorithm>

#include "base/text.h"

namespace sable::sandbox {

namespace {

bool is_of_one_call(const ViewEntry& entry) {
  return entry.kind == ViewKind::process_folder || entry.kind == ViewKind::terminal_folder ||
         entry.target.compare(0, 6, "/proc/") == 0;
}

}  // namespace

Plan keeper_plan(const Plan& whole) {
  Plan keeper = whole;
  keeper.role = Role::keeper;
  std::erase_if(keeper.view, is_of_one_call);
  keeper.filters.clear();
  return keeper;
}

Result<Plan> worker_plan(const Plan& shared, Plan now, const ProtectedPaths& held) {
  const auto view = std::move(now.view);
  now.view.clear();
  now.role = Role::worker;
  // Most entries stand in the order they stood in.
  auto expected = shared.view.begin();
  const auto is_shared = [&](const ViewEntry& entry) {
    const auto at = std::find(expected, shared.view.end(), entry);
    if (at != shared.view.end()) {
      expected = at + 1;
      return true;
    }
    return std::find(shared.view.begin(), expected, entry) != expected;
  };
  for (const auto& entry : view) {
    if (is_of_one_call(entry)) {
      now.view.push_back(entry);
      continue;
    }
    if ((entry.kind != ViewKind::bind && entry.kind != ViewKind::overlay) || is_shared(entry)) {
      continue;
    }
    if (held.count(entry.target) != 0) {
      now.view.push_back(entry);
    } else if (entry.access == Access::write) {
      return fail(ErrorCode::invalid_input, "the writable path \"" + escape_controls(entry.target) +
                                                "\" was replaced since the session was opened: "
                                                "open a new one");
    }
  }
  return now;
}

}  // namespace sable::sandbox
