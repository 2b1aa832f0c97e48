// Whatever a program sends to its terminal: the screen keeps its bounds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tools/terminal_screen.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t columns = data[0] % 20 + 1, rows = data[1] % 10 + 1;
  sable::tools::TerminalScreen screen(columns, rows);
  const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  screen.take(bytes.substr(0, bytes.size() / 2));
  screen.read();
  screen.take(bytes.substr(bytes.size() / 2));
  const auto reading = screen.read();
  if (reading.row > rows || reading.column > columns) std::abort();
  if (reading.text.size() > rows * (columns * 4 + 1)) std::abort();
  return 0;
}
