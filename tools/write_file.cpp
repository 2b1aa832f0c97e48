// write_file: a new file, or the whole content of one that the session has read.
#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kFileBytesMax = 8 << 20;

/// Why a file that exists must not be replaced, or empty.
std::string objection(const WorkspaceFiles& files, const LoadedFile& existing) {
  const auto known = files.remembered(existing.place);
  const std::string name = shown_path(existing.place);
  if (!known) {
    return fmt::format(
        "{} exists ({} bytes) and was not read in this session; read it with read_file first, or "
        "change "
        "parts of it with edit_file",
        name, existing.content.size());
  }
  if (*known != existing.digest) {
    return fmt::format(
        "{} was changed by somebody else since it was read, so it was not overwritten; read it "
        "again "
        "with read_file, then repeat the change on its present content",
        name);
  }
  return {};
}

Outcome write_file_now(WorkspaceFiles& files, const Json& arguments) {
  const std::string path = text_argument(arguments, "path");
  const std::string content = text_argument(arguments, "content");
  if (content.size() > kFileBytesMax) {
    return failed(fmt::format("content of {} bytes is larger than the limit of {}", content.size(),
                              kFileBytesMax));
  }
  auto existing = files.load(path, kFileBytesMax);
  if (!existing && existing.error().code != ErrorCode::not_found) {
    return failed(existing.error().message);
  }
  WriteBase base;
  if (existing) {
    if (existing->content == content) {
      files.remember(existing->place, existing->digest);
      return Outcome{.text = shown_path(existing->place) + " already has exactly this content\n",
                     .details = {{"path", to_utf8(existing->place)}, {"changed", false}}};
    }
    if (std::string why = objection(files, *existing); !why.empty()) return failed(std::move(why));
    base.replaces = existing->digest;
  }
  const auto place = files.write(existing ? existing->place : path, content, base);
  if (!place) return failed(place.error().message);
  Outcome outcome;
  outcome.text =
      fmt::format("{} {}: {}, {} bytes\n", existing ? "Replaced" : "Created", shown_path(*place),
                  counted(split_lines(content).size(), "line"), content.size());
  if (existing && existing->content.find("\r\n") != std::string::npos &&
      content.find("\r\n") == std::string::npos) {
    outcome.text += "[lines ended in CR LF before and end in LF now]\n";
  }
  outcome.details = {{"path", to_utf8(*place)}, {"bytes", content.size()}, {"changed", true}};
  FileChange change{.path = *place, .after = content};
  if (existing) change.before = std::move(existing->content);
  outcome.changes.push_back(std::move(change));
  return outcome;
}

}  // namespace

Tool write_file_tool() {
  return make_builtin("write_file",
                      "Creates a file of the workspace with its folders, or replaces the whole "
                      "content of one that was "
                      "read before. To change parts of a file use edit_file.",
                      R"({
        "type": "object",
        "properties": {
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "the file, relative to the workspace's root"},
          "content": {"type": "string", "description": "the whole new content"}
        },
        "required": ["path", "content"],
        "additionalProperties": false
      })",
                      Effect::workspace, file_runner(write_file_now));
}

}  // namespace sable::tools
