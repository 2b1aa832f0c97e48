#include "runtime/cli/model_command_progress.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace sable::runtime {

namespace {

constexpr std::chrono::milliseconds kBetweenDrawings{100};
constexpr uint64_t kBarWidth = 32;

}  // namespace

ProgressLine::ProgressLine(std::string label)
    : label_(std::move(label)), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(uint64_t done, uint64_t total) {
  if (!is_terminal_ || total == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (drawn_ && now - last_ < kBetweenDrawings) return;
  drawn_ = true;
  last_ = now;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto n_filled = static_cast<size_t>(share * static_cast<double>(kBarWidth));
  const auto line = fmt::format("\r{} [{:<{}}] {:3.0f} %", label_, std::string(n_filled, '#'),
                                kBarWidth, 100 * share);
  std::fputs(line.c_str(), stderr);
}

void ProgressLine::clear() {
  if (std::exchange(drawn_, false)) std::fputs("\r\x1b[K", stderr);  // ECMA-48: erase to the end
}

}  // namespace sable::runtime
