// What a program sends to a terminal, taken apart: characters, controls and sequences (ECMA-48, and
// the states of Paul Williams' parser for DEC terminals). Any bytes are taken, in pieces of any
// size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sable::tools {

/// A control sequence: CSI [prefix] parameters [intermediate] final.
struct ControlSequence {
  static constexpr size_t kParametersMax = 16;
  static constexpr int kValueMax = 9999;

  char prefix = 0;  ///< '?', '>', '<' or '=', or 0
  std::array<int, kParametersMax> parameters{};
  size_t n_parameters = 0;
  char intermediate = 0;  ///< the last one, or 0
  char final = 0;

  /// The parameter, or `otherwise` if it is missing or 0.
  int at(size_t i, int otherwise) const {
    return i < n_parameters && parameters[i] != 0 ? parameters[i] : otherwise;
  }
};

/// Strings (titles, colours, device controls) are skipped; ill-formed UTF-8 becomes U+FFFD. Memory
/// and time are bounded by the input's size.
class TerminalParser {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void print(char32_t character) = 0;              ///< no control
    virtual void control(char c) = 0;                        ///< C0, without ESC and NUL
    virtual void escape(char intermediate, char final) = 0;  ///< ESC [intermediate] final
    virtual void control_sequence(const ControlSequence& s) = 0;
  };

  void take(std::string_view bytes, Handler& handler);

 private:
  enum class State { ground, escape, sequence, ignored_sequence, string, string_escape };

  void take_byte(uint8_t byte, Handler& handler);
  void take_text(uint8_t byte, Handler& handler);
  void take_escape(char c, Handler& handler);
  void take_sequence(char c, Handler& handler);
  void end_character(Handler& handler);

  State state_ = State::ground;
  char intermediate_ = 0;
  ControlSequence sequence_;
  char32_t character_ = 0;  ///< as far as it has come
  char32_t smallest_ = 0;   ///< that may be written in so many bytes
  int n_missing_ = 0;       ///< bytes of it
};

}  // namespace sable::tools
