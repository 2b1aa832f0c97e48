#include "tools/terminal_parser.h"

#include <algorithm>

namespace sable::tools {

namespace {

constexpr char32_t kReplacement = 0xfffd;
constexpr uint8_t kEscape = 0x1b, kCancel = 0x18, kSubstitute = 0x1a, kBell = 0x07, kDelete = 0x7f;

bool is_final_of_sequence(char c) { return c >= 0x40 && c <= 0x7e; }
bool is_intermediate(char c) { return c >= 0x20 && c <= 0x2f; }
bool is_prefix(char c) { return c >= '<' && c <= '?'; }
bool begins_string(char c) { return c == 'P' || c == 'X' || c == ']' || c == '^' || c == '_'; }
bool is_scalar(char32_t c) { return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff); }
bool is_late_control(char32_t c) { return c >= 0x80 && c <= 0x9f; }

}  // namespace

void TerminalParser::take(std::string_view bytes, Handler& handler) {
  for (const char c : bytes) take_byte(static_cast<uint8_t>(c), handler);
}

void TerminalParser::take_byte(uint8_t byte, Handler& handler) {
  if (state_ == State::string || state_ == State::string_escape) {
    // ESC \ ends it, and ESC with anything else begins a sequence instead.
    if (state_ == State::string_escape && byte != '\\') {
      state_ = State::escape;
    } else if (byte == kEscape) {
      state_ = State::string_escape;
      return;
    } else {
      const bool over =
          state_ == State::string_escape || byte == kBell || byte == kCancel || byte == kSubstitute;
      if (over) state_ = State::ground;
      return;
    }
  }
  if (byte < 0x20) {
    if (state_ == State::ground) end_character(handler);
    if (byte == kEscape) {
      state_ = State::escape;
      intermediate_ = 0;
    } else if (byte == kCancel || byte == kSubstitute) {
      state_ = State::ground;
    } else if (byte != 0) {
      handler.control(static_cast<char>(byte));  // also in the middle of a sequence
    }
    return;
  }
  if (state_ == State::ground) return take_text(byte, handler);
  if (byte == kDelete) return;
  if (byte > kDelete) {  // no sequence has such a byte: it was cut off
    state_ = State::ground;
    return take_text(byte, handler);
  }
  state_ == State::escape ? take_escape(static_cast<char>(byte), handler)
                          : take_sequence(static_cast<char>(byte), handler);
}

void TerminalParser::take_text(uint8_t byte, Handler& handler) {
  if ((byte & 0xc0) == 0x80 && n_missing_ > 0) {
    character_ = character_ << 6 | (byte & 0x3fU);
    if (--n_missing_ > 0) return;
    const bool well_formed = character_ >= smallest_ && is_scalar(character_);
    if (!well_formed) handler.print(kReplacement);
    if (well_formed && !is_late_control(character_)) handler.print(character_);
    return;
  }
  end_character(handler);
  if (byte < 0x80) {
    if (byte != kDelete) handler.print(byte);
  } else if ((byte & 0xe0) == 0xc0) {
    character_ = byte & 0x1fU, smallest_ = 0x80, n_missing_ = 1;
  } else if ((byte & 0xf0) == 0xe0) {
    character_ = byte & 0x0fU, smallest_ = 0x800, n_missing_ = 2;
  } else if ((byte & 0xf8) == 0xf0) {
    character_ = byte & 0x07U, smallest_ = 0x10000, n_missing_ = 3;
  } else {
    handler.print(kReplacement);
  }
}

/// What was begun and goes on otherwise was ill-formed.
void TerminalParser::end_character(Handler& handler) {
  if (n_missing_ > 0) handler.print(kReplacement);
  n_missing_ = 0;
}

void TerminalParser::take_escape(char c, Handler& handler) {
  if (is_intermediate(c)) {
    intermediate_ = c;
    return;
  }
  state_ = State::ground;
  if (intermediate_ != 0) return handler.escape(intermediate_, c);
  if (c == '[') {
    state_ = State::sequence;
    sequence_ = {};
  } else if (begins_string(c)) {
    state_ = State::string;
  } else {
    handler.escape(0, c);
  }
}

void TerminalParser::take_sequence(char c, Handler& handler) {
  if (is_final_of_sequence(c)) {
    const bool ignored = state_ == State::ignored_sequence;
    state_ = State::ground;
    sequence_.final = c;
    if (!ignored) handler.control_sequence(sequence_);
    return;
  }
  if (state_ == State::ignored_sequence) return;
  if (is_prefix(c)) {
    if (sequence_.n_parameters > 0 || sequence_.prefix != 0) state_ = State::ignored_sequence;
    sequence_.prefix = c;
  } else if (is_intermediate(c)) {
    sequence_.intermediate = c;
  } else if (sequence_.intermediate != 0) {
    state_ = State::ignored_sequence;
  } else {
    if (sequence_.n_parameters == 0) sequence_.n_parameters = 1;
    int& value = sequence_.parameters[sequence_.n_parameters - 1];
    if (c >= '0' && c <= '9') {
      value = std::min(value * 10 + (c - '0'), ControlSequence::kValueMax);
    } else if (sequence_.n_parameters < ControlSequence::kParametersMax) {
      ++sequence_.n_parameters;
    } else {
      state_ = State::ignored_sequence;
    }
  }
}

}  // namespace sable::tools
