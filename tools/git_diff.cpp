// git_diff: the changes between commits, the index and the workspace's files, without running git.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/command_output.h"
#include "tools/diff.h"
#include "tools/file_text.h"
#include "tools/git_changes.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr size_t kDiffBytesMax = size_t{4} << 20;
constexpr size_t kFileBytesMax = 2 << 20;
constexpr size_t kNamesMax = 2'000;

struct Request {
  std::string path, from, to;
  bool staged = false, only_names = false;
  size_t context = 3;
};

/// One side of a change, read.
struct Side {
  std::optional<std::string> text;
  std::string note;  ///< why there is no text
};

class DiffWork {
 public:
  DiffWork(const WorkspaceFiles& files, const GitRepository& repository, Request request)
      : files_(files), repository_(repository), request_(std::move(request)) {}

  Result<Outcome> run() {
    SABLE_TRY(auto changes, changes_asked_for());
    std::erase_if(changes, [&](const GitChange& change) { return !wanted(change.path); });
    std::string text;
    size_t n_shown = 0, n_added = 0, n_removed = 0;
    for (const auto& change : changes) {
      if (text.size() > kDiffBytesMax || n_shown == kNamesMax) break;
      ++n_shown;
      text += request_.only_names ? name_line(change) : diff_of(change, n_added, n_removed);
    }
    if (n_shown < changes.size()) {
      text += fmt::format("[and {} more; name a path]\n",
                          counted(changes.size() - n_shown, "changed file"));
    }
    if (cut_) text += "[not all files of the commit were compared: there are too many]\n";
    if (changes.empty()) text = nothing_text();
    ShownOutput shown = shown_output(text, kShownBytesMax);
    Outcome outcome{.text = std::move(shown.text), .details = {{"files", changes.size()}}};
    if (!request_.only_names) {
      outcome.details["lines_added"] = n_added;
      outcome.details["lines_removed"] = n_removed;
    }
    if (shown.cut) outcome.full_output = std::move(text);
    return outcome;
  }

 private:
  bool wanted(std::string_view path) const {
    const std::string_view only = request_.path;
    return only.empty() || only == "." || path == only ||
           (path.starts_with(only) && path.size() > only.size() && path[only.size()] == '/');
  }

  std::string nothing_text() const {
    if (!request_.path.empty()) return "[no changes there]\n";
    if (request_.staged || !request_.to.empty()) return "[no changes]\n";
    return "[no changes; files that git does not know are not shown here, git_status names them]\n";
  }

  Result<std::vector<GitChange>> changes_asked_for() {
    GitFiles before;
    if (!request_.from.empty()) {
      SABLE_TRY(const auto commit, repository_.commit(request_.from));
      SABLE_TRY(before, repository_.files_of(*commit));
    } else {
      SABLE_TRY(const auto head, repository_.head());
      if (head.commit) {  // else everything is new
        const auto commit = repository_.commit(*head.commit);
        if (!commit) return fail(ErrorCode::corrupt, "the newest commit cannot be read");
        SABLE_TRY(before, repository_.files_of(**commit));
      }
    }
    cut_ = before.cut;
    if (!request_.to.empty()) {
      SABLE_TRY(const auto commit, repository_.commit(request_.to));
      SABLE_TRY(const auto after, repository_.files_of(*commit));
      cut_ = cut_ || after.cut;
      return changes_between(before, after);
    }
    SABLE_TRY(const auto index, repository_.index());
    const auto staged = staged_files(index.get());
    auto changes = changes_between(before, staged.staged);
    if (!request_.staged) add_workspace(changes, before, workspace_changes(files_, index.get()));
    return changes;
  }

  /// Puts the files of the workspace in the place of the index where they differ from it.
  static void add_workspace(std::vector<GitChange>& changes, const GitFiles& before,
                            WorkspaceChanges in_workspace) {
    for (auto& change : changes) {
      const auto it = in_workspace.changes.find(change.path);
      if (it == in_workspace.changes.end()) continue;
      change.after.reset();
      change.after_is_file = it->second.after_is_file;
      if (!change.after_is_file) change.kind = GitChange::Kind::removed;
      in_workspace.changes.erase(it);
    }
    std::erase_if(changes, [](const GitChange& change) {  // added, and gone again
      return !change.before && !change.after && !change.after_is_file;
    });
    for (auto& [path, change] : in_workspace.changes) {
      if (const auto it = before.files.find(path); it != before.files.end()) {
        change.before = it->second;
      }
      changes.push_back(std::move(change));
    }
    std::sort(changes.begin(), changes.end(),
              [](const GitChange& a, const GitChange& b) { return a.path < b.path; });
  }

  static std::string name_line(const GitChange& change) {
    return fmt::format("{} {}\n", letter_of(change.kind), shown_path(change.path));
  }

  Side side(const std::optional<GitFile>& file) const {
    if (!file) return {};
    if (file->mode == kGitSubmodule) return {.note = "a submodule"};
    auto content = repository_.blob(file->id, kFileBytesMax);
    if (!content) return {.note = content.error().message};
    return text_or_note(std::move(*content));
  }

  Side side_in_workspace(const std::string& path) const {
    const auto state = files_.state_of(path);
    if (!state) return {.note = state.error().message};
    if (!state->target.empty()) return {.text = state->target};
    auto loaded = files_.load(path, kFileBytesMax);
    if (!loaded) return {.note = loaded.error().message};
    return text_or_note(std::move(loaded->content));
  }

  static Side text_or_note(std::string content) {
    const TextKind kind = kind_of_text(content);
    if (kind == TextKind::binary || kind == TextKind::utf16) {
      return {.note = fmt::format("not text, {} bytes", content.size())};
    }
    return {.text = std::move(content)};
  }

  std::string diff_of(const GitChange& change, size_t& n_added, size_t& n_removed) const {
    const Side before = side(change.before);
    const Side after = change.after_is_file ? side_in_workspace(change.path) : side(change.after);
    std::string text;
    for (const Side* side : {&before, &after}) {
      if (!side->note.empty()) {
        text +=
            fmt::format("{} {}: {}\n", letter_of(change.kind), shown_path(change.path), side->note);
        return text;
      }
    }
    text = unified_diff({.path = change.path, .before = before.text, .after = after.text},
                        request_.context);
    if (text.empty()) {  // empty files, and files whose mode alone has changed
      text = fmt::format("{} {} (the content is the same)\n", letter_of(change.kind),
                         shown_path(change.path));
    }
    for (const std::string_view line : split_lines(text)) {
      n_added += line.starts_with('+') && !line.starts_with("+++ ") ? 1 : 0;
      n_removed += line.starts_with('-') && !line.starts_with("--- ") ? 1 : 0;
    }
    return text;
  }

  const WorkspaceFiles& files_;
  const GitRepository& repository_;
  Request request_;
  bool cut_ = false;
};

Result<Outcome> diff_now(const WorkspaceFiles& files, const Json& arguments) {
  Request request{.path = text_argument(arguments, "path"),
                  .from = text_argument(arguments, "from"),
                  .to = text_argument(arguments, "to"),
                  .staged = flag_argument(arguments, "staged"),
                  .only_names = flag_argument(arguments, "only_names"),
                  .context = static_cast<size_t>(whole_argument(arguments, "context_lines", 3))};
  while (request.path.size() > 1 && request.path.ends_with('/')) request.path.pop_back();
  if (request.path.starts_with("./")) request.path.erase(0, 2);
  if (request.staged && !request.to.empty()) {
    return fail(ErrorCode::invalid_input,
                "\"staged\" compares with what is staged, \"to\" with a commit: give one of them");
  }
  SABLE_TRY(const auto repository, GitRepository::open(files));
  return DiffWork(files, repository, std::move(request)).run();
}

Outcome git_diff_now(WorkspaceFiles& files, const Json& arguments) {
  auto outcome = diff_now(files, arguments);
  return outcome ? std::move(*outcome) : failed(outcome.error().message + "\n");
}

}  // namespace

Tool git_diff_tool() {
  return make_builtin(
      "git_diff",
      "Shows changes as a unified diff: of the workspace's files against the last commit, or with "
      "staged of what is staged, or with from and to between commits. Files that git does not know "
      "are not in it.",
      R"({
        "type": "object",
        "properties": {
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "only this file or folder"},
          "from": {"type": "string", "minLength": 1, "maxLength": 200,
                   "description": "the older commit, for example HEAD~1; default: HEAD"},
          "to": {"type": "string", "minLength": 1, "maxLength": 200,
                 "description": "the newer commit; default: the workspace's files"},
          "staged": {"type": "boolean", "description": "compare what is staged instead of files"},
          "only_names": {"type": "boolean", "description": "names of changed files only"},
          "context_lines": {"type": "integer", "minimum": 0, "maximum": 100,
                            "description": "unchanged lines around changes; default 3"}
        },
        "additionalProperties": false
      })",
      Effect::none, file_runner(git_diff_now));
}

}  // namespace sable::tools
