#include "tools/shell_state.h"

#include <sys/random.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/digest.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

/// An argument of a program may have 128 KiB (execve(2)).
constexpr size_t kExportsBytesMax = 64 << 10;
constexpr size_t kStateBytesMax = 256 << 10;

/// One line, so that the shell counts the command's lines from 1. $1: the command, $2: exports of
/// the call before, $3: the mark. The file lies in the sandbox's own /tmp; the mark at its end says
/// that it could be written whole.
constexpr const char* kScript =
    R"(s=/tmp/.sable-shell-$3; ( trap "{ pwd -P && export -p && echo $3; } >$s 2>/dev/null" EXIT; )"
    R"(eval "$2"; eval "$1" ); r=$?; printf '\036%s\n' "$3"; )"
    R"(cat -- "$s" 2>/dev/null; rm -f -- "$s"; exit $r)";

}  // namespace

std::string fresh_mark() {
  uint8_t random[16];
  SABLE_CHECK(::getrandom(random, sizeof random, 0) == sizeof random);
  return to_hex(random);
}

std::vector<std::string> shell_command(const std::string& shell, const std::string& command,
                                       const ShellState& state, const std::string& mark) {
  return {shell, "-c", kScript, shell, command, state.exports, mark};
}

std::vector<std::string> background_command(const std::string& shell, const std::string& command,
                                            const ShellState& state) {
  return {shell, "-c", R"(eval "$2"; eval "$1")", shell, command, state.exports};
}

std::string shell_program() { return ::access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh"; }

std::string ShellOutput::take(std::string_view bytes) {
  const std::string line = "\036" + mark_ + "\n";
  std::string output;
  held_ += bytes;
  // A program can learn the mark and print it: only what follows the last one is not output.
  for (size_t at; (at = held_.find(line)) != std::string::npos;) {
    output += held_.substr(0, at);
    held_.erase(0, at + line.size());
    n_marks_ += line.size();
    has_state_ = true;
  }
  if (has_state_) {
    if (held_.size() <= kStateBytesMax) return output;
    output += held_;  // no state is so long: a program printed the mark
    held_.clear();
    has_state_ = false;
    return output;
  }
  size_t n_kept = std::min(held_.size(), line.size() - 1);
  while (n_kept > 0 && held_.compare(held_.size() - n_kept, n_kept, line, 0, n_kept) != 0) --n_kept;
  output += held_.substr(0, held_.size() - n_kept);
  held_.erase(0, held_.size() - n_kept);
  return output;
}

std::string ShellOutput::finish() {
  if (has_state_) return {};
  return std::exchange(held_, {});
}

KeptState kept_state(const ShellState& before, std::string_view text, std::string_view mark,
                     const std::filesystem::path& root, bool keep_folder) {
  KeptState kept{.state = before};
  const std::string seal = "\n" + std::string(mark) + "\n";
  if (!text.ends_with(seal)) {
    kept.note = fmt::format(
        "[the folder and the variables that this call left could not be saved (/tmp is full, or "
        "the "
        "command replaced or killed its shell); the next call begins in {}, with the variables of "
        "before]\n",
        shown_path(before.folder));
    return kept;
  }
  text.remove_suffix(seal.size() - 1);
  const size_t end = text.find('\n');
  const std::string folder(text.substr(0, end));
  const std::string_view exports = text.substr(end + 1);
  if (keep_folder) {
    const std::string top = root == "/" ? "/" : root.string() + "/";
    if (folder == root.string()) {
      kept.state.folder = ".";
    } else if (folder.starts_with(top)) {
      kept.state.folder = folder.substr(top.size());
    } else {
      kept.note =
          fmt::format("[{} is outside of the workspace: the next call begins in {} again]\n",
                      shown_path(folder), shown_path(before.folder));
    }
    if (kept.state.folder != before.folder) {
      kept.note = fmt::format("[the next call begins in {}]\n", shown_path(kept.state.folder));
    }
  }
  if (exports.size() <= kExportsBytesMax) {
    kept.state.exports = exports;
  } else {
    kept.note += fmt::format(
        "[the exported variables have {} bytes, too many to be kept for the next call]\n",
        exports.size());
  }
  return kept;
}

}  // namespace sable::tools
