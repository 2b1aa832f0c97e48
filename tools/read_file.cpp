// read_file: a range of numbered lines of a file of any size.
#include <cerrno>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/builtins.h"
#include "tools/file_text.h"
#include "tools/line_window.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

/// Beyond this a file is read only as far as needed: its lines are not counted, its content is not
/// remembered.
constexpr uint64_t kScanBytesMax = uint64_t{256} << 20;

Outcome not_readable(const WorkspaceFiles& files, const std::string& path, const Error& error) {
  std::string text = error.message;
  if (error.code == ErrorCode::not_found) {
    const std::string similar = files.similar_to(path);
    text += similar.empty() ? "; list_files shows what is there"
                            : fmt::format("; did you mean {}?", shown_path(similar));
  }
  return failed(std::move(text));
}

Outcome shown_as_bytes(const OpenedFile& file, TextKind kind, std::string_view head) {
  const char* what = kind == TextKind::utf16 ? "UTF-16 text" : "a binary file";
  const char* next = kind == TextKind::utf16 ? "convert it with shell: iconv -f UTF-16 -t UTF-8"
                                             : "use shell with a program that reads this format";
  return Outcome{
      .text = fmt::format("{} is {} of {} bytes; {}. It begins:\n{}", shown_path(file.place), what,
                          file.bytes, next, hex_head(head, 256)),
      .details = {{"path", to_utf8(file.place)}, {"bytes", file.bytes}, {"binary", true}}};
}

std::string closing_note(const LineWindow& window, bool scanned, bool is_utf8_text) {
  std::vector<std::string> notes;
  const std::string total =
      scanned ? counted(window.n_lines(), "line") : "more than 256 MiB of lines";
  if (window.last_shown() == 0) {
    notes.push_back(fmt::format("nothing in this range: the file has {}", total));
  } else if (!scanned || window.last_shown() < window.n_lines()) {
    notes.push_back(fmt::format("lines {}-{} of {}; go on with start_line={}", window.first_shown(),
                                window.last_shown(), total, window.last_shown() + 1));
  } else if (window.first_shown() > 1) {
    notes.push_back(
        fmt::format("lines {}-{}, the end of the file", window.first_shown(), window.last_shown()));
  }
  if (scanned && !window.ends_with_newline()) notes.push_back("no newline at the end of the file");
  if (window.n_crlf() > 0) notes.push_back("lines end in CR LF, which edit_file keeps");
  if (!is_utf8_text) notes.push_back("not UTF-8: bytes that are not text appear as U+FFFD");
  std::string text;
  for (const auto& note : notes) text += (text.empty() ? "[" : "; ") + note;
  return text.empty() ? text : text + "]\n";
}

Outcome read_file_now(WorkspaceFiles& files, const Json& arguments) {
  const std::string path = text_argument(arguments, "path");
  WantedLines wanted;
  wanted.first =
      static_cast<size_t>(std::max<int64_t>(1, whole_argument(arguments, "start_line", 1)));
  wanted.last = static_cast<size_t>(std::max<int64_t>(0, whole_argument(arguments, "end_line", 0)));
  if (wanted.last != 0 && wanted.last < wanted.first) {
    return failed(fmt::format("end_line {} is before start_line {}", wanted.last, wanted.first));
  }
  const auto file = files.open_file(path);
  if (!file) return not_readable(files, path, file.error());

  LineWindow window(wanted);
  Sha256 hash;
  bool valid_utf8 = true, scanned = false;
  std::string partial;  // a code point cut by the end of a piece
  for (uint64_t n_read = 0;;) {
    char buffer[1 << 16];
    const ssize_t n = ::read(file->fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(shown_path(path) + ": cannot be read");
    const std::string_view piece(buffer, static_cast<size_t>(n));
    if (n_read == 0) {
      const TextKind kind = kind_of_text(piece);
      if (kind == TextKind::binary || kind == TextKind::utf16)
        return shown_as_bytes(*file, kind, piece);
    }
    if (n == 0) {
      valid_utf8 = valid_utf8 && partial.empty();
      scanned = true;
      break;
    }
    n_read += piece.size();
    if (valid_utf8) {
      partial += piece;
      const size_t whole = utf8_prefix(partial, partial.size() < 4 ? 0 : partial.size() - 3);
      valid_utf8 = is_utf8(std::string_view(partial).substr(0, whole));
      partial.erase(0, whole);
      if (is_utf8(partial)) partial.clear();
    }
    hash.update(piece);
    window.take(piece);
    if (file->bytes > kScanBytesMax && window.full()) break;
  }
  window.finish();
  if (scanned) files.remember(file->place, hash.finish());
  Outcome outcome;
  outcome.text = window.text() + closing_note(window, scanned, valid_utf8);
  if (scanned && window.n_lines() == 0) outcome.text = "[the file is empty]\n";
  outcome.details = {{"path", to_utf8(file->place)},
                     {"bytes", file->bytes},
                     {"first_line", window.first_shown()},
                     {"last_line", window.last_shown()}};
  if (scanned) outcome.details["lines"] = window.n_lines();
  return outcome;
}

}  // namespace

Tool read_file_tool() {
  return make_builtin("read_file",
                      "Reads a text file of the workspace. Each line comes with its number and a "
                      "tab before it; they are "
                      "not part of the file. At most 2000 lines or 64 KiB come at once: ask for "
                      "the next range as the "
                      "last line of the result says.",
                      R"({
        "type": "object",
        "properties": {
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "the file, relative to the workspace's root"},
          "start_line": {"type": "integer", "minimum": 1, "maximum": 1000000000,
                         "description": "first line to read, from 1"},
          "end_line": {"type": "integer", "minimum": 1, "maximum": 1000000000,
                       "description": "last line to read; default: as many as fit"}
        },
        "required": ["path"],
        "additionalProperties": false
      })",
                      Effect::none, file_runner(read_file_now));
}

}  // namespace sable::tools
