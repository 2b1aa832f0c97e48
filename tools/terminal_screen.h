// The screen of a terminal as a person sees it: what programs draw by moving the cursor.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/terminal_parser.h"

namespace sable::tools {

/// What is to be read of a screen.
struct ScreenReading {
  /// Whether the program has laid its output out since the last reading (moved up, written over,
  /// erased), or is on the alternate screen: then what it sent reads well only as a screen.
  bool is_laid_out = false;
  std::string scrolled;        ///< lines that left the top since the last reading
  size_t n_scrolled_lost = 0;  ///< lines before these that were not kept
  std::string text;            ///< the screen, without blanks at the ends of lines and of it all
  size_t row = 1, column = 1;  ///< of the cursor, from 1
};

/// Takes what a program sends and keeps the picture: the part of xterm that full-screen programs
/// use (cursor motion, erasing, inserting and deleting, scroll regions, the alternate screen, line
/// drawing). Colours and modes of the keyboard are skipped, each character is one column wide,
/// questions to the terminal are not answered. Memory is bounded whatever comes.
class TerminalScreen final : private TerminalParser::Handler {
 public:
  static constexpr size_t kSizeMax = 1000;

  /// Each from 1 to kSizeMax.
  TerminalScreen(size_t columns, size_t rows);

  void take(std::string_view bytes) { parser_.take(bytes, *this); }

  /// What there is now. The next reading tells what came since this one.
  ScreenReading read();

  /// As the next reading will say.
  bool is_laid_out() const { return is_laid_out_ || is_alternate_; }
  /// The lines as they stand.
  std::string text() const;

 private:
  using Line = std::vector<char32_t>;  ///< 0: blank

  struct Cursor {
    size_t row = 0, column = 0;
    bool wraps = false;  ///< the line is full: the next character begins a new one
    bool origin = false;
    bool draws_lines[2] = {false, false};  ///< the character sets G0 and G1
    size_t shift = 0;                      ///< which of them is in use
  };

  void print(char32_t character) override;
  void control(char c) override;
  void escape(char intermediate, char final) override;
  void control_sequence(const ControlSequence& s) override;

  void move_sequence(const ControlSequence& s);
  void edit_sequence(const ControlSequence& s);
  void set_modes(const ControlSequence& s, bool on);
  void set_private_mode(int mode, bool on);
  void set_region(const ControlSequence& s);
  void use_alternate(bool on);
  void reset();

  /// Rows count from the region's top where the cursor is bound to it.
  void move_to(size_t row, size_t column);
  void move_by(int rows, int columns);
  void line_feed();
  void reverse_line_feed();
  void scroll_off(size_t n);
  void scroll_up(size_t top, size_t n);
  void scroll_down(size_t top, size_t n);
  void erase(size_t row, size_t from, size_t to);
  void erase_display(int what);
  void erase_line(int what);
  void shift_line(int by);
  void push_scrolled(const Line& line);

  const size_t n_columns_, n_rows_;
  TerminalParser parser_;
  std::vector<Line> lines_, other_lines_;  ///< of the screen in use, and of the other one
  Cursor cursor_, saved_;
  Cursor main_cursor_;           ///< while the alternate screen is used
  size_t top_ = 0, bottom_ = 0;  ///< of the scroll region; the bottom is the last in it
  bool is_alternate_ = false, wraps_ = true, inserts_ = false;
  char32_t last_printed_ = 0;
  bool is_laid_out_ = false;
  std::string scrolled_;
  size_t n_scrolled_lost_ = 0;
};

}  // namespace sable::tools
