#include "tools/terminal_screen.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace sable::tools {

namespace {

constexpr size_t kScrolledBytesMax = 256 << 10;
constexpr size_t kTabColumns = 8;
/// The characters from '`' to '~' of the set that draws lines (DEC Special Graphics).
constexpr char32_t kLineDrawing[] = U"◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";
static_assert(sizeof kLineDrawing / sizeof kLineDrawing[0] == '~' - '`' + 2);

void append_utf8(std::string& text, char32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xc0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xe0 | c >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
}

bool is_blank(char32_t c) { return c == 0 || c == U' '; }

/// Without the blanks at its end, and with a newline.
void append_line(std::string& text, const std::vector<char32_t>& line) {
  size_t end = line.size();
  while (end > 0 && is_blank(line[end - 1])) --end;
  for (size_t i = 0; i < end; ++i) append_utf8(text, line[i] == 0 ? U' ' : line[i]);
  text += '\n';
}

size_t within(int value, size_t last) {
  return static_cast<size_t>(std::clamp(value, 0, static_cast<int>(last)));
}

}  // namespace

TerminalScreen::TerminalScreen(size_t columns, size_t rows) : n_columns_(columns), n_rows_(rows) {
  SABLE_CHECK(columns >= 1 && columns <= kSizeMax && rows >= 1 && rows <= kSizeMax);
  reset();
}

void TerminalScreen::reset() {
  for (auto* lines : {&lines_, &other_lines_}) {
    lines->resize(n_rows_);
    for (Line& line : *lines) line.assign(n_columns_, 0);
  }
  cursor_ = saved_ = main_cursor_ = {};
  top_ = 0, bottom_ = n_rows_ - 1;
  is_alternate_ = inserts_ = false;
  wraps_ = true;
  last_printed_ = 0;
}

// ---- reading

std::string TerminalScreen::text() const {
  std::string text;
  size_t end = 0;
  for (const Line& line : lines_) {
    append_line(text, line);
    if (!text.ends_with("\n\n") && text != "\n") end = text.size();
  }
  text.resize(end);
  return text;
}

ScreenReading TerminalScreen::read() {
  ScreenReading reading{.is_laid_out = is_laid_out(),
                        .scrolled = std::move(scrolled_),
                        .n_scrolled_lost = n_scrolled_lost_,
                        .text = text(),
                        .row = cursor_.row + 1,
                        .column = cursor_.column + 1};
  scrolled_.clear();
  n_scrolled_lost_ = 0;
  is_laid_out_ = false;
  return reading;
}

void TerminalScreen::push_scrolled(const Line& line) {
  append_line(scrolled_, line);
  // A little beyond the limit is let be, so that not every line moves all others.
  if (scrolled_.size() <= kScrolledBytesMax + kScrolledBytesMax / 2) return;
  const size_t end = scrolled_.find('\n', scrolled_.size() - kScrolledBytesMax) + 1;
  n_scrolled_lost_ += static_cast<size_t>(
      std::count(scrolled_.begin(), scrolled_.begin() + static_cast<ptrdiff_t>(end), '\n'));
  scrolled_.erase(0, end);
}

// ---- characters and controls

void TerminalScreen::print(char32_t character) {
  if (cursor_.draws_lines[cursor_.shift] && character >= U'`' && character <= U'~') {
    character = kLineDrawing[character - U'`'];
  }
  last_printed_ = character;
  if (cursor_.wraps) {
    cursor_.column = 0;
    line_feed();
  }
  if (inserts_) shift_line(1);
  char32_t& cell = lines_[cursor_.row][cursor_.column];
  if (!is_blank(cell)) is_laid_out_ = true;
  cell = character;
  if (cursor_.column + 1 < n_columns_) {
    ++cursor_.column;
  } else {
    cursor_.wraps = wraps_;
  }
}

void TerminalScreen::control(char c) {
  switch (c) {
    case '\b':
      return move_by(0, -1);
    case '\t':
      return move_to(cursor_.row, (cursor_.column / kTabColumns + 1) * kTabColumns);
    case '\n':
    case '\v':
    case '\f':
      return line_feed();
    case '\r':
      cursor_.column = 0;
      cursor_.wraps = false;
      return;
    case '\x0e':
      cursor_.shift = 1;
      return;
    case '\x0f':
      cursor_.shift = 0;
      return;
    default:
      return;
  }
}

void TerminalScreen::escape(char intermediate, char final) {
  if (intermediate == '(' || intermediate == ')') {
    cursor_.draws_lines[intermediate == ')' ? 1 : 0] = final == '0';
    return;
  }
  if (intermediate == '#' && final == '8') {
    for (Line& line : lines_) line.assign(n_columns_, U'E');
    is_laid_out_ = true;
  }
  if (intermediate != 0) return;
  switch (final) {
    case '7':
      saved_ = cursor_;
      return;
    case '8':
      if (saved_.row != cursor_.row) is_laid_out_ = true;
      cursor_ = saved_;
      return;
    case 'D':
      return line_feed();
    case 'E':
      cursor_.column = 0;
      return line_feed();
    case 'M':
      return reverse_line_feed();
    case 'c':
      is_laid_out_ = true;
      return reset();
    default:
      return;
  }
}

void TerminalScreen::control_sequence(const ControlSequence& s) {
  if (s.intermediate != 0) {
    if (s.intermediate == '!' && s.final == 'p') {  // soft reset
      top_ = 0, bottom_ = n_rows_ - 1;
      inserts_ = false;
      wraps_ = true;
      saved_ = {};
    }
    return;
  }
  if (s.prefix == '?' && (s.final == 'h' || s.final == 'l')) return set_modes(s, s.final == 'h');
  if (s.prefix == '?' && s.final == 'J') return erase_display(s.at(0, 0));
  if (s.prefix == '?' && s.final == 'K') return erase_line(s.at(0, 0));
  if (s.prefix != 0) return;
  move_sequence(s);
  edit_sequence(s);
}

void TerminalScreen::move_sequence(const ControlSequence& s) {
  const int n = s.at(0, 1);
  switch (s.final) {
    case 'A':
      return move_by(-n, 0);
    case 'B':
      return move_by(n, 0);
    case 'e':  // regardless of the region
      return move_to(cursor_.row + static_cast<size_t>(n), cursor_.column);
    case 'C':
    case 'a':
      is_laid_out_ = true;
      return move_by(0, n);
    case 'D':
      return move_by(0, -n);
    case 'E':
      cursor_.column = 0;
      return move_by(n, 0);
    case 'F':
      cursor_.column = 0;
      return move_by(-n, 0);
    case 'G':
    case '`':
      if (n > 1) is_laid_out_ = true;
      return move_to(cursor_.row, static_cast<size_t>(n) - 1);
    case 'I':
      return move_to(cursor_.row,
                     (cursor_.column / kTabColumns + static_cast<size_t>(n)) * kTabColumns);
    case 'Z': {
      const size_t stop = (cursor_.column + kTabColumns - 1) / kTabColumns;
      const size_t back = std::min(stop, static_cast<size_t>(n));
      return move_to(cursor_.row, (stop - back) * kTabColumns);
    }
    case 'd':
    case 'H':
    case 'f': {
      const size_t offset = cursor_.origin ? top_ : 0;
      const size_t column = s.final == 'd' ? cursor_.column : static_cast<size_t>(s.at(1, 1)) - 1;
      return move_to(offset + static_cast<size_t>(n) - 1, column);
    }
    case 's':
      saved_ = cursor_;
      return;
    case 'u':
      return escape(0, '8');
    default:
      return;
  }
}

void TerminalScreen::edit_sequence(const ControlSequence& s) {
  const int n = s.at(0, 1);
  const auto count = static_cast<size_t>(n);
  const bool in_region = cursor_.row >= top_ && cursor_.row <= bottom_;
  switch (s.final) {
    case 'J':
      return erase_display(s.at(0, 0));
    case 'K':
      return erase_line(s.at(0, 0));
    case 'X':
      return erase(cursor_.row, cursor_.column, std::min(cursor_.column + count, n_columns_));
    case '@':
      return shift_line(n);
    case 'P':
      return shift_line(-n);
    case 'L':
      if (in_region) scroll_down(cursor_.row, count);
      return;
    case 'M':
      is_laid_out_ = true;
      if (in_region) scroll_up(cursor_.row, count);
      return;
    case 'S':
      is_laid_out_ = true;
      return scroll_off(count);
    case 'T':
      if (s.n_parameters < 5) scroll_down(top_, count);  // with five it tracks the mouse
      return;
    case 'b':
      if (last_printed_ == 0) return;
      for (size_t i = 0; i < std::min(count, n_columns_); ++i) {
        const bool drew = std::exchange(cursor_.draws_lines[cursor_.shift], false);
        print(last_printed_);
        cursor_.draws_lines[cursor_.shift] = drew;
      }
      return;
    case 'r':
      return set_region(s);
    case 'h':
    case 'l':
      for (size_t i = 0; i < s.n_parameters; ++i) {
        if (s.parameters[i] == 4) inserts_ = s.final == 'h';
      }
      return;
    default:
      return;
  }
}

// ---- modes

void TerminalScreen::set_modes(const ControlSequence& s, bool on) {
  for (size_t i = 0; i < s.n_parameters; ++i) set_private_mode(s.parameters[i], on);
}

void TerminalScreen::set_private_mode(int mode, bool on) {
  switch (mode) {
    case 6:
      cursor_.origin = on;
      return move_to(on ? top_ : 0, 0);
    case 7:
      wraps_ = on;
      cursor_.wraps = cursor_.wraps && on;
      return;
    case 47:
    case 1047:
    case 1049:
      return use_alternate(on);
    case 1048:
      return escape(0, on ? '7' : '8');
    default:
      return;
  }
}

void TerminalScreen::use_alternate(bool on) {
  if (on == is_alternate_) return;
  is_laid_out_ = true;
  is_alternate_ = on;
  std::swap(lines_, other_lines_);
  if (on) {
    main_cursor_ = cursor_;
    for (Line& line : lines_) line.assign(n_columns_, 0);
  } else {
    cursor_ = main_cursor_;
  }
}

void TerminalScreen::set_region(const ControlSequence& s) {
  const size_t top = static_cast<size_t>(s.at(0, 1)) - 1;
  const size_t bottom =
      std::min(static_cast<size_t>(s.at(1, static_cast<int>(n_rows_))), n_rows_) - 1;
  if (top >= bottom) return;
  top_ = top, bottom_ = bottom;
  move_to(cursor_.origin ? top_ : 0, 0);
}

// ---- the cursor

void TerminalScreen::move_to(size_t row, size_t column) {
  const size_t last = cursor_.origin ? bottom_ : n_rows_ - 1;
  row = std::min(row, last);
  if (row != cursor_.row) is_laid_out_ = true;
  cursor_.row = row;
  cursor_.column = std::min(column, n_columns_ - 1);
  cursor_.wraps = false;
}

/// Stops at the region's edge if it begins inside.
void TerminalScreen::move_by(int rows, int columns) {
  const int row = static_cast<int>(cursor_.row) + rows;
  size_t first = 0, last = n_rows_ - 1;
  if (rows < 0 && cursor_.row >= top_) first = top_;
  if (rows > 0 && cursor_.row <= bottom_) last = bottom_;
  if (rows != 0) is_laid_out_ = true;
  cursor_.row = std::max(first, within(row, last));
  cursor_.column = within(static_cast<int>(cursor_.column) + columns, n_columns_ - 1);
  cursor_.wraps = false;
}

void TerminalScreen::line_feed() {
  cursor_.wraps = false;
  if (cursor_.row == bottom_) {
    // The normal way of a program that only prints; anything else has a layout in mind.
    if (top_ != 0 || bottom_ != n_rows_ - 1) is_laid_out_ = true;
    scroll_off(1);
  } else if (cursor_.row + 1 < n_rows_) {
    ++cursor_.row;
  }
}

void TerminalScreen::reverse_line_feed() {
  is_laid_out_ = true;
  cursor_.wraps = false;
  if (cursor_.row == top_) {
    scroll_down(top_, 1);
  } else if (cursor_.row > 0) {
    --cursor_.row;
  }
}

// ---- the picture

/// What leaves the top of the main screen can still be read.
void TerminalScreen::scroll_off(size_t n) {
  n = std::min(n, bottom_ - top_ + 1);
  for (size_t i = 0; i < n && top_ == 0 && !is_alternate_; ++i) push_scrolled(lines_[i]);
  scroll_up(top_, n);
}

void TerminalScreen::scroll_up(size_t top, size_t n) {
  n = std::min(n, bottom_ - top + 1);
  const auto first = lines_.begin() + static_cast<ptrdiff_t>(top);
  const auto end = lines_.begin() + static_cast<ptrdiff_t>(bottom_ + 1);
  std::rotate(first, first + static_cast<ptrdiff_t>(n), end);
  for (auto line = end - static_cast<ptrdiff_t>(n); line != end; ++line)
    line->assign(n_columns_, 0);
}

void TerminalScreen::scroll_down(size_t top, size_t n) {
  is_laid_out_ = true;
  n = std::min(n, bottom_ - top + 1);
  const auto first = lines_.begin() + static_cast<ptrdiff_t>(top);
  const auto end = lines_.begin() + static_cast<ptrdiff_t>(bottom_ + 1);
  std::rotate(first, end - static_cast<ptrdiff_t>(n), end);
  for (auto line = first; line != first + static_cast<ptrdiff_t>(n); ++line) {
    line->assign(n_columns_, 0);
  }
}

void TerminalScreen::erase(size_t row, size_t from, size_t to) {
  Line& line = lines_[row];
  for (size_t i = from; i < to; ++i) {
    if (!is_blank(line[i])) is_laid_out_ = true;
    line[i] = 0;
  }
}

void TerminalScreen::erase_display(int what) {
  if (what > 2) return;  // 3: what has scrolled off
  if (what != 2) erase_line(what);
  const size_t from = what == 0 ? cursor_.row + 1 : 0;
  const size_t to = what == 1 ? cursor_.row : n_rows_;
  for (size_t row = from; row < to; ++row) erase(row, 0, n_columns_);
}

void TerminalScreen::erase_line(int what) {
  if (what > 2) return;
  const size_t from = what == 0 ? cursor_.column : 0;
  const size_t to = what == 1 ? cursor_.column + 1 : n_columns_;
  erase(cursor_.row, from, to);
}

/// Opens room for `by` characters at the cursor, or closes it.
void TerminalScreen::shift_line(int by) {
  is_laid_out_ = true;
  Line& line = lines_[cursor_.row];
  const auto here = line.begin() + static_cast<ptrdiff_t>(cursor_.column);
  const auto n = std::min<ptrdiff_t>(by < 0 ? -by : by, line.end() - here);
  if (by > 0) {
    std::move_backward(here, line.end() - n, line.end());
    std::fill(here, here + n, 0);
  } else {
    std::move(here + n, line.end(), here);
    std::fill(line.end() - n, line.end(), 0);
  }
  cursor_.wraps = false;
}

}  // namespace sable::tools
