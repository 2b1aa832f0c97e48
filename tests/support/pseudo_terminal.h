// A program on a terminal of its own, as a person at a shell would have it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <termios.h>
#include <vector>

#include "base/unique_fd.h"

namespace sable::test {

/// One program with a pseudo-terminal as its controlling terminal and standard descriptors, all of
/// which share one open file with this end, as they do with a shell. The destructor kills it.
class TerminalProgram {
 public:
  struct Options {
    std::vector<std::string> argv;         ///< argv[0] is a path
    std::vector<std::string> environment;  ///< exactly this and nothing else
    std::string working_directory;
  };

  explicit TerminalProgram(const Options& options);
  ~TerminalProgram();
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;

  /// Keys; "\x03" is Ctrl-C.
  void type(std::string_view keys) const;

  /// Reads until the screen shows `text` after what was last waited for; false when it ends or the
  /// time is over before.
  bool shows(std::string_view text, std::chrono::milliseconds limit = std::chrono::seconds(60));

  /// Reads to the end; the exit status, or nothing when it was killed or runs on.
  std::optional<int> finish(std::chrono::milliseconds limit = std::chrono::seconds(60));

  /// All that came so far, with "\r\n" as "\n".
  std::string screen() const;

  /// Whether the open file and the terminal's own settings are as they were before it started.
  bool terminal_as_before() const;

 private:
  bool read_some(std::chrono::steady_clock::time_point end);

  UniqueFd master_, slave_;
  int flags_before_ = 0;
  termios settings_before_{};
  pid_t pid_ = -1;
  std::string read_;
  size_t seen_ = 0;
};

}  // namespace sable::test
