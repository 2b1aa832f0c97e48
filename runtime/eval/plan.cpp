#include "runtime/eval/plan.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::runtime {

Result<std::vector<PlannedTask>> plan_tasks(const std::vector<std::string>& tasks, size_t count,
                                            bool real_code) {
  const auto known = evaluation::families();
  std::vector<std::string> wanted;
  std::vector<PlannedTask> plan, from_folders;
  for (const std::string& task : tasks) {
    if (std::find(known.begin(), known.end(), task) != known.end()) {
      if (real_code && !evaluation::takes_real_code(task)) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("tasks of the family {} make their own code; --code takes find, "
                                "rename, set, add and report",
                                task));
      }
      if (std::find(wanted.begin(), wanted.end(), task) == wanted.end()) wanted.push_back(task);
      continue;
    }
    std::error_code error;
    if (task.find('/') == std::string::npos && !std::filesystem::exists(task, error)) {
      const std::vector<std::string> names(known.begin(), known.end());
      const auto near = nearest(task, names);
      return fail(ErrorCode::not_found,
                  fmt::format("no folder and no family of tasks \"{}\"; {}", escape_controls(task),
                              near.empty() ? fmt::format("families: {}", fmt::join(names, ", "))
                                           : fmt::format("did you mean {}?", near)));
    }
    SABLE_TRY(auto folders, evaluation::read_task_folders(task));
    const std::string family = folders.front().folder.parent_path().filename().string();
    for (auto& folder : folders) {
      from_folders.push_back({.family = family, .folder = std::move(folder)});
    }
  }
  if (tasks.empty()) {
    for (const auto family : known) {
      if (!real_code || evaluation::takes_real_code(family)) wanted.emplace_back(family);
    }
  }
  for (size_t number = 0; number < count; ++number) {
    for (const std::string& family : wanted) plan.push_back({.family = family, .number = number});
  }
  std::move(from_folders.begin(), from_folders.end(), std::back_inserter(plan));
  return plan;
}

}  // namespace sable::runtime
