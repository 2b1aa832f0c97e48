// Colours, only where they are wanted.
#pragma once

#include <string>
#include <string_view>

namespace sable::runtime {

/// SGR sequences (ECMA-48) when colour is on, empty strings when it is off.
struct Style {
  bool colour = false;

  std::string bold(std::string_view text) const { return paint("1", text); }
  std::string dim(std::string_view text) const { return paint("2", text); }
  std::string red(std::string_view text) const { return paint("31", text); }
  std::string green(std::string_view text) const { return paint("32", text); }
  std::string yellow(std::string_view text) const { return paint("33", text); }
  std::string cyan(std::string_view text) const { return paint("36", text); }

 private:
  std::string paint(std::string_view code, std::string_view text) const {
    if (!colour) return std::string(text);
    std::string painted = "\x1b[";
    painted.append(code).append("m").append(text).append("\x1b[0m");
    return painted;
  }
};

/// A unified diff with added lines green, removed ones red and places cyan. `text` is escaped.
std::string paint_diff(const Style& style, std::string_view text);

}  // namespace sable::runtime
