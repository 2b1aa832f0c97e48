// git_log: commits, newest first, without running git.
#include <algorithm>
#include <ctime>
#include <queue>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/command_output.h"
#include "tools/git_repository.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr size_t kCommitsMax = 50'000;
constexpr size_t kSubjectBytesMax = 200;
constexpr size_t kMessageBytesMax = 4'000;

/// "2026-01-31", where the author was.
std::string date_of(const git_signature& author) {
  const time_t local = static_cast<time_t>(author.when.time) + time_t{author.when.offset} * 60;
  struct tm parts {};
  if (::gmtime_r(&local, &parts) == nullptr) return "?";
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

struct ById {
  bool operator()(const git_oid& a, const git_oid& b) const { return git_oid_cmp(&a, &b) < 0; }
};

/// Commits that can be reached, newest first by the committer's clock.
class History {
 public:
  explicit History(const GitRepository& repository) : repository_(repository) {}

  void add(GitCommit commit) {
    if (!seen_.insert(*git_commit_id(commit.get())).second) return;
    const auto time = git_commit_time(commit.get());
    const size_t order = n_added_++;
    pending_.push(Pending{time, order, std::move(commit)});
  }

  /// nullptr at the end. Parents that are not there (a shallow clone) are left out.
  GitCommit next() {
    if (pending_.empty()) return nullptr;
    GitCommit commit = std::move(const_cast<Pending&>(pending_.top()).commit);
    pending_.pop();
    for (unsigned i = 0; i < git_commit_parentcount(commit.get()); ++i) {
      if (seen_.size() > kCommitsMax) break;
      if (auto parent = repository_.commit(*git_commit_parent_id(commit.get(), i))) {
        add(std::move(*parent));
      }
    }
    return commit;
  }

  bool cut() const { return seen_.size() > kCommitsMax; }

 private:
  struct Pending {
    git_time_t time;
    size_t order;
    GitCommit commit;
    bool operator<(const Pending& other) const {
      return time != other.time ? time < other.time : order > other.order;
    }
  };

  const GitRepository& repository_;
  std::priority_queue<Pending> pending_;
  std::set<git_oid, ById> seen_;
  size_t n_added_ = 0;
};

/// Whether a commit changed what is at `path`: it differs from every parent's.
bool touches(const GitRepository& repository, const git_commit& commit, const std::string& path) {
  const auto here = repository.entry_at(commit, path);
  const unsigned n_parents = git_commit_parentcount(&commit);
  if (n_parents == 0) return here.has_value();
  for (unsigned i = 0; i < n_parents; ++i) {
    const auto parent = repository.commit(*git_commit_parent_id(&commit, i));
    const auto there = parent ? repository.entry_at(**parent, path) : std::nullopt;
    if (here.has_value() == there.has_value() && (!here || git_oid_equal(&*here, &*there) != 0)) {
      return false;
    }
  }
  return true;
}

std::string line_of(const git_commit& commit, bool whole_messages) {
  const git_signature* author = git_commit_author(&commit);
  // libgit2 keeps the first line inside of the commit, so it takes it as one that it may change.
  const char* subject = git_commit_summary(const_cast<git_commit*>(&commit));
  std::string line = fmt::format("{} {} {}: {}\n", short_id(*git_commit_id(&commit)),
                                 date_of(*author), shown_line(author->name, 100),
                                 shown_line(subject != nullptr ? subject : "", kSubjectBytesMax));
  if (!whole_messages) return line;
  const char* body = git_commit_body(const_cast<git_commit*>(&commit));
  if (body == nullptr) return line + "\n";
  std::string_view rest(body);
  const bool cut = rest.size() > kMessageBytesMax;
  rest = rest.substr(0, utf8_prefix(rest, kMessageBytesMax));
  for (const std::string_view text : split_lines(rest)) {
    line += fmt::format("    {}\n", shown_line(text, 1'000));
  }
  if (cut) line += "    [... the rest of the message is left out]\n";
  return line + "\n";
}

Result<Outcome> log_now(const WorkspaceFiles& files, const Json& arguments) {
  SABLE_TRY(const auto repository, GitRepository::open(files));
  const auto n_wanted = static_cast<size_t>(whole_argument(arguments, "count", 20));
  const bool whole_messages = flag_argument(arguments, "whole_messages");
  std::string path = text_argument(arguments, "path");
  while (path.ends_with('/')) path.pop_back();
  while (path.starts_with("./")) path.erase(0, 2);
  if (path == ".") path.clear();
  const std::string revision = text_argument(arguments, "revision", "HEAD");
  History history(repository);
  if (revision == "HEAD") {
    SABLE_TRY(const auto head, repository.head());
    if (!head.commit) return Outcome{.text = "[no commits yet]\n", .details = {{"commits", 0}}};
  }
  SABLE_TRY(auto first, repository.commit(revision));
  history.add(std::move(first));
  std::string text;
  size_t n_shown = 0;
  bool more = false;
  while (const GitCommit commit = history.next()) {
    if (!path.empty() && !touches(repository, *commit, path)) continue;
    if (n_shown == n_wanted) {
      more = true;
      break;
    }
    ++n_shown;
    text += line_of(*commit, whole_messages);
  }
  if (n_shown == 0) text = "[no commit changed this path]\n";
  if (more) text += fmt::format("[the newest {} commits; count asks for more]\n", n_shown);
  if (history.cut()) text += "[older commits were not looked at: the history is long]\n";
  ShownOutput shown = shown_output(text, kShownBytesMax);
  Outcome outcome{.text = std::move(shown.text), .details = {{"commits", n_shown}}};
  if (shown.cut) outcome.full_output = std::move(text);
  return outcome;
}

Outcome git_log_now(WorkspaceFiles& files, const Json& arguments) {
  auto outcome = log_now(files, arguments);
  return outcome ? std::move(*outcome) : failed(outcome.error().message + "\n");
}

}  // namespace

Tool git_log_tool() {
  return make_builtin(
      "git_log",
      "Shows commits, newest first, one a line: id, date, author, first line of the message. "
      "git_diff with from and to shows what one of them changed.",
      R"({
        "type": "object",
        "properties": {
          "count": {"type": "integer", "minimum": 1, "maximum": 500,
                    "description": "how many; default 20"},
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "only commits that changed this file or folder"},
          "revision": {"type": "string", "minLength": 1, "maxLength": 200,
                       "description": "the commit or branch to begin at; default HEAD"},
          "whole_messages": {"type": "boolean", "description": "with whole messages"}
        },
        "additionalProperties": false
      })",
      Effect::none, file_runner(git_log_now));
}

}  // namespace sable::tools
