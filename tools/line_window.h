// A range of numbered lines out of a text that comes in pieces: what read_file and read_output
// show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sable::tools {

struct WantedLines {
  size_t first = 1, last = 0;  ///< lines, from 1; last 0: as many as fit
};

/// Takes a text piece by piece and keeps only the wanted lines: at most 2000, 64 KiB, and 2000
/// bytes of each.
class LineWindow {
 public:
  explicit LineWindow(WantedLines wanted) : wanted_(wanted) {}

  void take(std::string_view bytes);
  void finish();

  /// Nothing that comes is shown any more.
  bool full() const { return full_ || (wanted_.last != 0 && n_lines_ >= wanted_.last); }
  size_t n_lines() const { return n_lines_; }  ///< so far
  size_t first_shown() const { return wanted_.first; }
  size_t last_shown() const { return last_shown_; }  ///< 0: none
  bool ends_with_newline() const { return ends_with_newline_; }
  size_t n_crlf() const { return n_crlf_; }  ///< of the shown lines
  const std::string& text() const { return text_; }

 private:
  bool is_wanted(size_t number) const;
  void end_line();

  WantedLines wanted_;
  std::string line_, text_;
  size_t n_line_bytes_ = 0, n_lines_ = 0, last_shown_ = 0, n_crlf_ = 0;
  bool in_line_ = false, full_ = false, ends_with_newline_ = true;
};

}  // namespace sable::tools
