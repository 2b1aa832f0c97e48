// list_files: the tree below a folder, sorted and bounded.
#include <algorithm>
#include <deque>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/beneath.h"
#include "tools/builtins.h"
#include "tools/ignore_rules.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kShownMax = 500;
constexpr size_t kVisitedMax = 50'000;
constexpr int64_t kDepthDefault = 3;

struct Request {
  std::string path;
  int64_t depth = kDepthDefault;
  std::optional<Glob> pattern;
  bool pattern_is_name = false;  ///< a pattern without a slash is matched against names
  bool all = false;              ///< ignored files as well
};

struct Shown {
  std::string path;
  std::string line;
};

/// Walks breadth first, so that a cut list still shows every upper level.
class TreeLister {
 public:
  TreeLister(const WorkspaceFiles& files, const Request& request)
      : files_(files), request_(request) {}

  Result<void> walk() {
    SABLE_TRY(Folder top, files_.list(request_.path));
    std::deque<Pending> pending;
    auto rules = request_.all ? nullptr : rules_above(top.place);
    pending.push_back({std::move(top), 1, std::move(rules)});
    while (!pending.empty()) {
      Pending here = std::move(pending.front());
      pending.pop_front();
      n_visited_ += here.folder.entries.size();
      cut_ = cut_ || here.folder.cut;
      visit(here, pending);
    }
    return {};
  }

  Outcome outcome() {
    std::sort(shown_.begin(), shown_.end(),
              [](const Shown& a, const Shown& b) { return a.path < b.path; });
    Outcome outcome;
    for (const auto& shown : shown_) outcome.text += shown.line + "\n";
    if (shown_.empty())
      outcome.text = request_.pattern ? "[nothing matches]\n" : "[an empty folder]\n";
    if (cut_ || n_left_out_ > 0) {
      outcome.text += fmt::format(
          "[cut: the first {} entries, upper levels first; narrow it with path, pattern or "
          "depth]\n",
          shown_.size());
    }
    if (n_ignored_ > 0) {
      outcome.text +=
          fmt::format("[{} that .gitignore names left out; include_ignored shows them]\n",
                      counted(n_ignored_, "path"));
    }
    outcome.details = {
        {"entries", shown_.size()}, {"ignored", n_ignored_}, {"cut", cut_ || n_left_out_ > 0}};
    return outcome;
  }

 private:
  using Rules = std::shared_ptr<const IgnoreRules>;

  struct Pending {
    Folder folder;
    int64_t depth;
    Rules rules;  ///< of the folders above
  };

  Rules with_rules_of(const std::string& folder, Rules above) const {
    const auto file = files_.load(joined(folder, ".gitignore"), 1 << 20);
    if (!file) return above;
    return std::make_shared<IgnoreRules>(std::move(above), folder, file->content);
  }

  Rules rules_above(const std::string& place) const {
    if (place == ".") return nullptr;
    Rules rules = with_rules_of(".", nullptr);
    for (size_t at = place.find('/'); at != std::string::npos; at = place.find('/', at + 1)) {
      rules = with_rules_of(place.substr(0, at), std::move(rules));
    }
    return rules;
  }

  void visit(Pending& here, std::deque<Pending>& pending) {
    const Rules rules =
        request_.all ? nullptr : with_rules_of(here.folder.place, std::move(here.rules));
    for (const auto& entry : here.folder.entries) {
      const std::string path = joined(here.folder.place, entry.name);
      const bool is_folder = entry.kind == FolderEntry::Kind::folder;
      if (is_folder && entry.name == ".git" && !request_.all) continue;
      if (rules && rules->ignores(path, is_folder)) {
        ++n_ignored_;
        continue;
      }
      const bool descends = is_folder && here.depth < request_.depth;
      if (matches(path, entry.name)) show(path, entry, is_folder && !descends);
      if (!descends) continue;
      if (n_visited_ >= kVisitedMax || pending.size() >= kVisitedMax) {
        cut_ = true;
        continue;
      }
      if (auto below = files_.list(path)) {
        pending.push_back({std::move(*below), here.depth + 1, rules});
      }
    }
  }

  bool matches(const std::string& path, const std::string& name) const {
    return !request_.pattern || request_.pattern->matches(request_.pattern_is_name ? name : path);
  }

  void show(const std::string& path, const FolderEntry& entry, bool closed) {
    if (shown_.size() >= kShownMax) {
      ++n_left_out_;
      return;
    }
    std::string line = shown_path(path);
    switch (entry.kind) {
      case FolderEntry::Kind::folder:
        line += closed ? "/ ..." : "/";
        break;
      case FolderEntry::Kind::link:
        line += " -> " + shown_path(entry.target);
        break;
      case FolderEntry::Kind::other:
        line += " (not a regular file)";
        break;
      case FolderEntry::Kind::file:
        break;
    }
    shown_.push_back({path, std::move(line)});
  }

  const WorkspaceFiles& files_;
  const Request& request_;
  std::vector<Shown> shown_;
  size_t n_visited_ = 0, n_ignored_ = 0, n_left_out_ = 0;
  bool cut_ = false;
};

Outcome list_files_now(WorkspaceFiles& files, const Json& arguments) {
  Request request;
  request.path = text_argument(arguments, "path", ".");
  request.depth = whole_argument(arguments, "depth", kDepthDefault);
  request.all = flag_argument(arguments, "include_ignored");
  const std::string pattern = text_argument(arguments, "pattern");
  if (!pattern.empty()) {
    request.pattern.emplace(pattern);
    request.pattern_is_name = pattern.find('/') == std::string::npos;
    if (!arguments.contains("depth")) request.depth = 64;
  }
  TreeLister lister(files, request);
  if (const auto walked = lister.walk(); !walked) {
    std::string text = walked.error().message;
    if (walked.error().code == ErrorCode::not_found) {
      const std::string similar = files.similar_to(request.path);
      if (!similar.empty()) text += fmt::format("; did you mean {}?", shown_path(similar));
    }
    return failed(std::move(text));
  }
  return lister.outcome();
}

}  // namespace

Tool list_files_tool() {
  return make_builtin("list_files",
                      "Lists files and folders below a folder of the workspace, sorted, one path a "
                      "line; folders end in "
                      "\"/\", and \"/ ...\" marks one that was not entered. Leaves out .git and "
                      "what .gitignore names. "
                      "Symbolic links are shown with their target and not followed.",
                      R"({
        "type": "object",
        "properties": {
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "the folder, relative to the workspace's root; default: the root"},
          "depth": {"type": "integer", "minimum": 1, "maximum": 64,
                    "description": "levels to go down; default 3, with a pattern all"},
          "pattern": {"type": "string", "minLength": 1, "maxLength": 512,
                      "description": "show only paths that match, e.g. *.cpp or src/**/test_*.py"},
          "include_ignored": {"type": "boolean",
                              "description": "also what .gitignore names, and .git; default false"}
        },
        "additionalProperties": false
      })",
                      Effect::none, file_runner(list_files_now));
}

}  // namespace sable::tools
