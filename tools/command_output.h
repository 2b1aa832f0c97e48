// A command's output on its way to the model and to people: kept whole, cut to size, made safe to
// show.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/sandbox.h"
#include "tools/tools.h"

namespace sable::tools {

/// Makes text inert for models and terminals: colours and cursor movements (ECMA-48 control
/// sequences) vanish, CR LF becomes a newline, other controls and ill-formed UTF-8 become visible.
std::string plain_text(std::string_view bytes);

/// Collects both streams in the order in which they came.
class CommandOutput {
 public:
  explicit CommandOutput(OutputPreview preview) : preview_(std::move(preview)) {}

  void take(std::string_view bytes);
  /// Shows what was held back for the end of a code point.
  void finish();

  /// Everything that came; once, at the end.
  std::string take_whole() { return std::move(whole_); }

 private:
  OutputPreview preview_;
  std::string whole_;
  size_t shown_ = 0;  ///< of whole_, in bytes, already given to the preview
};

/// Of each of a text's two ends.
constexpr size_t kShownBytesMax = 16 << 10;

/// Output as the model reads it.
struct ShownOutput {
  std::string text;
  bool cut = false;
  bool binary = false;
};

/// The first and last lines that fit into `bytes_max` each; binary output as a hexadecimal head.
ShownOutput shown_output(const std::string& whole, size_t bytes_max);

/// The policy for a command that only reads: what was writable is readable.
sandbox::Policy read_only(sandbox::Policy policy);

/// How the command ended, in words: "exit code 2", "ended by signal 11 (SIGSEGV), ...".
std::string ending_in_words(const sandbox::RunResult& result);

/// A line for each path or address that the policy denied the command, or nothing.
std::string denials_note(const sandbox::RunResult& result);

/// A line about new or replaced files that programs outside the sandbox trust, or nothing.
std::string protected_changes_note(const sandbox::RunResult& result);

/// Exit code, signal, byte counts and time: Outcome::details.
Json ending_details(const sandbox::RunResult& result);

}  // namespace sable::tools
