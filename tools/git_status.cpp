// git_status: what is staged, changed, in conflict and new, without running git.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/git_changes.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr size_t kShownPerPartMax = 200;
constexpr size_t kHeadSubjectBytesMax = 120;

std::string part(std::string_view title, const std::vector<std::string>& lines, bool cut = false) {
  if (lines.empty()) return {};
  std::string text = fmt::format("{}:\n", title);
  for (size_t i = 0; i < std::min(lines.size(), kShownPerPartMax); ++i) {
    text += fmt::format("  {}\n", lines[i]);
  }
  if (lines.size() > kShownPerPartMax) {
    text += fmt::format("  [and {} more]\n", lines.size() - kShownPerPartMax);
  }
  if (cut) text += "  [and more: the search was cut short]\n";
  return text;
}

Result<std::string> head_line(const GitRepository& repository, const GitRepository::Head& head) {
  std::string where = head.branch.empty() ? std::string("No branch (a detached commit)")
                                          : "On branch " + shown_path(head.branch);
  if (!head.commit) return where + ", no commits yet\n";
  const auto commit = repository.commit(*head.commit);
  if (!commit) return fail(ErrorCode::corrupt, "the newest commit cannot be read");
  const char* subject = git_commit_summary(commit->get());
  return fmt::format("{} at {} {}\n", where, short_id(*head.commit),
                     shown_line(subject != nullptr ? subject : "", kHeadSubjectBytesMax));
}

Result<Outcome> status_of(const WorkspaceFiles& files) {
  SABLE_TRY(const auto repository, GitRepository::open(files));
  SABLE_TRY(const auto head, repository.head());
  SABLE_TRY(std::string text, head_line(repository, head));
  SABLE_TRY(const auto index, repository.index());
  const auto staged = staged_files(index.get());
  GitFiles committed;
  if (head.commit) {
    const auto commit = repository.commit(*head.commit);
    SABLE_TRY(committed, repository.files_of(**commit));
  }
  const auto lines_of = [](const auto& changes, const std::vector<std::string>& conflicts) {
    std::vector<std::string> lines;
    for (const auto& change : changes) {
      if (std::binary_search(conflicts.begin(), conflicts.end(), change.path)) continue;
      lines.push_back(fmt::format("{} {}", letter_of(change.kind), shown_path(change.path)));
    }
    return lines;
  };
  std::vector<GitChange> changed;
  auto in_workspace = workspace_changes(files, index.get());
  for (auto& [path, change] : in_workspace.changes) changed.push_back(std::move(change));
  const auto untracked = untracked_files(files, staged.staged, repository.excludes());

  const auto to_commit = lines_of(changes_between(committed, staged.staged), staged.conflicts);
  const auto not_staged = lines_of(changed, {});
  std::vector<std::string> conflicts, fresh;
  for (const auto& path : staged.conflicts) conflicts.push_back(shown_path(path));
  for (const auto& path : untracked.paths) fresh.push_back(shown_path(path));
  text += part("In conflict", conflicts);
  text += part("Staged for the next commit", to_commit, committed.cut);
  text += part("Changed, not staged", not_staged);
  text += part("Not known to git", fresh, untracked.cut);
  if (conflicts.empty() && to_commit.empty() && not_staged.empty() && fresh.empty()) {
    text += "[nothing has changed since that commit]\n";
  }
  if (in_workspace.n_not_compared > 0) {
    text += fmt::format("[{} too large to be compared by content]\n",
                        counted(in_workspace.n_not_compared, "file"));
  }
  return Outcome{.text = std::move(text),
                 .details = {{"branch", to_utf8(head.branch)},
                             {"conflicts", conflicts.size()},
                             {"staged", to_commit.size()},
                             {"changed", not_staged.size()},
                             {"untracked", fresh.size()}}};
}

Outcome git_status_now(WorkspaceFiles& files, const Json&) {
  auto outcome = status_of(files);
  return outcome ? std::move(*outcome) : failed(outcome.error().message + "\n");
}

}  // namespace

Tool git_status_tool() {
  return make_builtin("git_status",
                      "Shows the repository's branch, what is staged, what has changed and which "
                      "files are new (A added, M modified, D deleted, T another type).",
                      R"({"type": "object", "properties": {}, "additionalProperties": false})",
                      Effect::none, file_runner(git_status_now));
}

}  // namespace sable::tools
