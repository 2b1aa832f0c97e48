#include "tools/line_window.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::tools {

namespace {

constexpr size_t kLinesMax = 2'000;
constexpr size_t kTextBytesMax = 64 << 10;
constexpr size_t kLineBytesMax = 2'000;

}  // namespace

void LineWindow::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    n_line_bytes_ += part.size();
    if (is_wanted(n_lines_ + 1) && line_.size() <= kLineBytesMax) {
      // A little more than is shown, so that the cut can be seen and counted.
      line_ += part.substr(0, kLineBytesMax + 4);
    }
    in_line_ = true;
    if (end == std::string_view::npos) return;
    end_line();
    bytes.remove_prefix(end + 1);
  }
}

void LineWindow::finish() {
  ends_with_newline_ = !in_line_;
  if (in_line_) end_line();
}

bool LineWindow::is_wanted(size_t number) const {
  return !full_ && number >= wanted_.first && (wanted_.last == 0 || number <= wanted_.last);
}

void LineWindow::end_line() {
  ++n_lines_;
  if (is_wanted(n_lines_)) {
    std::string_view line = line_;
    size_t n_bytes = n_line_bytes_;
    if (line.size() == n_bytes && line.ends_with('\r')) {
      ++n_crlf_;
      line.remove_suffix(1);
      --n_bytes;
    }
    const size_t kept = utf8_prefix(line, kLineBytesMax);
    std::string shown = fmt::format("{:>6}\t{}", n_lines_, escape_controls(line.substr(0, kept)));
    if (kept < n_bytes) shown += fmt::format(" [... {} more bytes in this line]", n_bytes - kept);
    shown += '\n';
    if (last_shown_ != 0 &&
        (text_.size() + shown.size() > kTextBytesMax || n_lines_ - wanted_.first >= kLinesMax)) {
      full_ = true;
    } else {
      text_ += shown;
      last_shown_ = n_lines_;
    }
  }
  line_.clear();
  n_line_bytes_ = 0;
  in_line_ = false;
}

}  // namespace sable::tools
