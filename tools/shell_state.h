// What one shell call leaves for the next: its working directory and its exported variables. Both
// are read and written inside the sandbox; outside they are text that is never interpreted.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sable::tools {

struct ShellState {
  std::string folder = ".";  ///< below the workspace's root
  std::string exports;       ///< as the shell's `export -p` wrote them; empty: nothing yet
};

/// A shell's command line that restores `state`, runs `command` in a subshell and prints, behind a
/// mark that nobody guesses, what the subshell leaves. Line numbers and names in the shell's
/// messages are those of the command alone.
std::vector<std::string> shell_command(const std::string& shell, const std::string& command,
                                       const ShellState& state, const std::string& mark);

/// The same for a program in the background, which leaves nothing.
std::vector<std::string> background_command(const std::string& shell, const std::string& command,
                                            const ShellState& state);

/// bash, or sh where there is none. The sandbox shows the system's own programs: what is here is
/// there.
std::string shell_program();

/// 32 digits from the kernel, in a line of its own behind a record separator.
std::string fresh_mark();

/// Parts what comes from a shell into its output and the state behind the last mark.
class ShellOutput {
 public:
  explicit ShellOutput(std::string mark) : mark_(std::move(mark)) {}

  /// The output in `bytes`, and in those held back before. What may be the start of a mark is held
  /// back until more comes.
  std::string take(std::string_view bytes);
  /// At the end: what was held back although no mark came.
  std::string finish();

  /// Whether a mark came; then state() is what stood behind the last.
  bool has_state() const { return has_state_; }
  const std::string& state() const { return held_; }
  /// Bytes that are not output: marks, and the state.
  size_t n_hidden() const { return n_marks_ + (has_state_ ? held_.size() : 0); }

 private:
  std::string mark_;
  std::string held_;    ///< behind the last mark, or what may be the start of one
  size_t n_marks_ = 0;  ///< in bytes
  bool has_state_ = false;
};

/// What was kept of a call's state, and what people and the model are told about it.
struct KeptState {
  ShellState state;
  std::string note;  ///< a line, or empty when there is nothing new
};

/// `text` is ShellOutput::state(), whole only if it ends with the mark. A folder outside of `root`
/// and exports beyond a bound are not kept. `keep_folder` is false for a call that named its own
/// folder.
KeptState kept_state(const ShellState& before, std::string_view text, std::string_view mark,
                     const std::filesystem::path& root, bool keep_folder);

}  // namespace sable::tools
