// apply_patch: a patch over several files of the workspace, applied whole or not at all.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/file_text.h"
#include "tools/patch.h"
#include "tools/patch_fit.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kFileBytesMax = 8 << 20;
constexpr size_t kTotalBytesMax = size_t{64} << 20;  ///< of all files before and after
constexpr size_t kProblemsShownMax = 8;
constexpr size_t kDiffBytesMax = 12 << 10;

/// One file as the patch leaves it.
struct PatchedFile {
  std::string path;                   ///< its place, or as written when it is new
  std::optional<std::string> before;  ///< nullopt: it is new
  std::optional<Digest> digest;       ///< of before
  std::optional<std::string> after;   ///< nullopt: it is removed
  unsigned mode = 0644;
};

/// The text that the added lines of a new file make.
std::string content_of(const FilePatch& patch) {
  std::string content;
  if (patch.hunks.empty()) return content;
  for (const auto& line : patch.hunks.front().lines) content += line.text + "\n";
  if (!content.empty() && patch.hunks.front().lines.back().without_newline) content.pop_back();
  return content;
}

class PatchPlan {
 public:
  explicit PatchPlan(WorkspaceFiles& files) : files_(files) {}

  void add(const FilePatch& patch) {
    switch (patch.kind) {
      case FilePatch::Kind::create:
        return create(patch.path, content_of(patch), patch.executable ? 0755 : 0644);
      case FilePatch::Kind::remove:
        return remove(patch);
      case FilePatch::Kind::change:
        return change(patch);
    }
  }

  const std::vector<std::string>& problems() const { return problems_; }
  const std::vector<std::string>& notes() const { return notes_; }
  std::vector<PatchedFile>& patched() { return patched_; }

  /// Of everything that the plan was made from.
  void hash_into(Sha256& hash) const {
    for (const auto& file : patched_) {
      hash.update(file.path);
      if (file.digest) hash.update(std::span<const uint8_t>(*file.digest));
    }
  }

 private:
  void problem(std::string_view path, std::string_view why) {
    problems_.push_back(fmt::format("{}: {}", shown_path(path), why));
  }

  PatchedFile* find(std::string_view path) {
    const auto it = std::find_if(patched_.begin(), patched_.end(),
                                 [&](const PatchedFile& file) { return file.path == path; });
    return it == patched_.end() ? nullptr : &*it;
  }

  bool has_room(std::string_view path, size_t n_bytes) {
    n_bytes_ += n_bytes;
    if (n_bytes <= kFileBytesMax && n_bytes_ <= kTotalBytesMax) return true;
    problem(path, "the files of this patch are larger than can be changed at once");
    return false;
  }

  /// The text file that a patch changes or removes, as the patch so far leaves it.
  PatchedFile* text_file(const std::string& path) {
    if (PatchedFile* known = find(path); known != nullptr && !known->before) {
      if (known->after) return known;
      problem(path, "was removed by this patch before");
      return nullptr;
    }
    auto loaded = files_.load(path, kFileBytesMax);
    if (!loaded) {
      std::string why = loaded.error().message;
      if (loaded.error().code == ErrorCode::not_found) {
        const std::string similar = files_.similar_to(path);
        if (!similar.empty()) why += fmt::format("; did you mean {}?", shown_path(similar));
      }
      problems_.push_back(std::move(why));
      return nullptr;
    }
    if (PatchedFile* known = find(loaded->place)) {
      if (known->after) return known;
      problem(path, "was removed by this patch before");
      return nullptr;
    }
    const TextKind kind = kind_of_text(loaded->content);
    if (kind == TextKind::binary || kind == TextKind::utf16) {
      problem(path, kind == TextKind::utf16 ? "UTF-16 text; convert it to UTF-8 first"
                                            : "a binary file; patches change text only");
      return nullptr;
    }
    if (!has_room(path, loaded->content.size())) return nullptr;
    const auto opened = files_.open_file(path);
    patched_.push_back({.path = loaded->place,
                        .before = loaded->content,
                        .digest = loaded->digest,
                        .after = std::move(loaded->content),
                        .mode = opened ? opened->mode & 0777u : 0644u});
    return &patched_.back();
  }

  bool changed_since_read(const PatchedFile& file) const {
    const auto known = files_.remembered(file.path);
    return known && file.digest && *known != *file.digest;
  }

  void create(const std::string& path, std::string content, unsigned mode) {
    if (const PatchedFile* known = find(path); known != nullptr && known->after) {
      return problem(path, "exists, so it cannot be added");
    }
    if (auto existing = files_.place_of(path); existing) {
      const PatchedFile* known = find(*existing);
      if (known == nullptr || known->after) {
        return problem(path, "exists, so it cannot be added; change it with \"*** Update File\"");
      }
    } else if (existing.error().code != ErrorCode::not_found) {
      problems_.push_back(existing.error().message);
      return;
    }
    if (!has_room(path, content.size())) return;
    if (PatchedFile* removed = find(path)) {  // removed and made anew: its content is replaced
      removed->after = std::move(content);
      return;
    }
    patched_.push_back({.path = path, .after = std::move(content), .mode = mode});
  }

  void remove(const FilePatch& patch) {
    PatchedFile* file = text_file(patch.path);
    if (file == nullptr) return;
    if (changed_since_read(*file)) {
      return problem(
          patch.path,
          "was changed by somebody else since it was read, so it is not removed; read it "
          "again with read_file");
    }
    if (patch.whole_content_given) {
      std::string expected;
      for (const auto& hunk : patch.hunks) {
        for (const auto& line : hunk.lines) {
          expected += line.text;
          if (!line.without_newline) expected += '\n';
        }
      }
      const EditableText text(*file->after);
      if (text.text() != expected) {
        return problem(patch.path,
                       "does not have the content that the patch removes; read it again");
      }
    }
    file->after.reset();
  }

  void change(const FilePatch& patch) {
    PatchedFile* file = text_file(patch.path);
    if (file == nullptr) return;
    const EditableText text(*file->after);
    PatchFit fit = fit_hunks(text, patch.hunks);
    for (auto& why : fit.problems) problem(patch.path, why);
    if (!fit.problems.empty()) return;
    if (!fit.tolerated.empty() && changed_since_read(*file)) {
      return problem(patch.path,
                     "was changed by somebody else since it was read, and the patch fits its "
                     "present content only roughly; read it again with read_file");
    }
    for (auto& what : fit.tolerated) {
      notes_.push_back(fmt::format("{}: {}, which was allowed for", shown_path(patch.path), what));
    }
    if (changed_since_read(*file)) {
      notes_.push_back(fmt::format(
          "{} had changed since it was last read; the patch was made on its present content",
          shown_path(patch.path)));
    }
    std::string after =
        apply_edit(*file->after, text,
                   {.kind = EditPlan::Kind::found, .replacements = std::move(fit.replacements)});
    if (!has_room(patch.path, after.size())) return;
    if (patch.new_path.empty() || patch.new_path == patch.path) {
      file->after = std::move(after);
      return;
    }
    const unsigned mode = file->mode;
    file->after.reset();
    create(patch.new_path, std::move(after), mode);
  }

  WorkspaceFiles& files_;
  std::vector<PatchedFile> patched_;
  std::vector<std::string> problems_, notes_;
  size_t n_bytes_ = 0;
};

Outcome refused(WorkspaceFiles& files, const PatchPlan& plan, std::string_view patch) {
  Sha256 hash;
  hash.update(patch);
  plan.hash_into(hash);
  const int n = files.count_failure(hash.finish());
  std::string text;
  if (n > 1) {
    text = fmt::format(
        "This very patch failed before ({} times now) and the files are still the same, so sending "
        "it again cannot work. Read them with read_file and copy the lines to change.\n",
        n);
  }
  const auto& problems = plan.problems();
  text += fmt::format("The patch was not applied; no file was changed. {}:\n",
                      problems.size() == 1 ? "What is wrong" : "What is wrong with it");
  for (size_t i = 0; i < std::min(problems.size(), kProblemsShownMax); ++i) {
    text += fmt::format("- {}\n", problems[i]);
  }
  if (problems.size() > kProblemsShownMax) {
    text += fmt::format("- and {} more\n", problems.size() - kProblemsShownMax);
  }
  Outcome outcome = failed(std::move(text));
  outcome.details = {{"problems", problems.size()}, {"same_failure", n}};
  return outcome;
}

std::string_view verb_of(const FileChange& change) {
  return !change.before ? "created" : !change.after ? "removed" : "changed";
}

Outcome applied(const PatchPlan& plan, std::vector<FileChange> changes) {
  Outcome outcome;
  outcome.text = fmt::format("Applied the patch to {}:\n", counted(changes.size(), "file"));
  Json list = Json::array();
  std::string diffs;
  for (const auto& change : changes) {
    outcome.text += fmt::format("{} {}\n", verb_of(change), shown_path(change.path));
    list.push_back({{"path", to_utf8(change.path)}, {"change", verb_of(change)}});
    if (diffs.size() < kDiffBytesMax && change.after) diffs += unified_diff(change);
  }
  for (const auto& note : plan.notes()) outcome.text += fmt::format("[{}]\n", note);
  if (diffs.size() > kDiffBytesMax) {
    diffs.resize(diffs.rfind('\n', kDiffBytesMax) + 1);
    diffs += "[... the rest of the changes is not shown here]\n";
  }
  outcome.text += diffs;
  outcome.details = {{"files", std::move(list)}};
  outcome.changes = std::move(changes);
  return outcome;
}

Outcome apply_patch_now(WorkspaceFiles& files, const Json& arguments) {
  const std::string text = text_argument(arguments, "patch");
  const auto patches = parse_patch(text);
  if (!patches) {
    return failed(patches.error().message + "; no file was changed\n");
  }
  PatchPlan plan(files);
  for (const auto& patch : *patches) plan.add(patch);
  if (!plan.problems().empty()) return refused(files, plan, text);
  std::vector<FileWrite> writes;
  std::vector<FileChange> changes;
  for (auto& file : plan.patched()) {
    if (file.before == file.after) continue;
    writes.push_back({.path = file.path,
                      .content = file.after,
                      .base = {.replaces = file.digest},
                      .new_mode = file.mode});
    changes.push_back(
        {.path = file.path, .before = std::move(file.before), .after = std::move(file.after)});
  }
  if (writes.empty()) {
    return failed("The patch changes nothing: the files already are as it leaves them\n");
  }
  const auto places = files.write_together(std::move(writes));
  if (!places) {
    return failed(fmt::format("The patch was not applied: {}\n", places.error().message));
  }
  for (size_t i = 0; i < changes.size(); ++i) changes[i].path = (*places)[i];
  return applied(plan, std::move(changes));
}

}  // namespace

Tool apply_patch_tool() {
  return make_builtin(
      "apply_patch",
      "Changes, adds, moves or removes several text files at once: all of them or none. Takes a "
      "unified diff (--- a/FILE, +++ b/FILE, @@ -A,B +C,D @@), or\n"
      "*** Begin Patch\n*** Update File: PATH\n@@ the function or class that it is in\n unchanged "
      "line\n-old line\n+new line\n*** Add File: PATH\n+line\n*** Delete File: PATH\n*** End "
      "Patch\n"
      "Give about three unchanged lines before and after each change, copied from the file: a hunk "
      "must fit in exactly one place. \"*** Move to: PATH\" after \"*** Update File\" moves a "
      "file.",
      R"({
        "type": "object",
        "properties": {
          "patch": {"type": "string", "minLength": 1,
                    "description": "the patch; paths are relative to the workspace's root"}
        },
        "required": ["patch"],
        "additionalProperties": false
      })",
      Effect::workspace, file_runner(apply_patch_now));
}

}  // namespace sable::tools
