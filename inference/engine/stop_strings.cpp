#include "inference/engine/stop_strings.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sable::inference {

namespace {
constexpr size_t kStringsMax = 64, kBytesMax = 1024;
}

Result<StopStrings> StopStrings::create(std::vector<std::string> strings) {
  if (strings.size() > kStringsMax) {
    return fail(ErrorCode::invalid_input, fmt::format("{} stop strings; at most {} are possible",
                                                      strings.size(), kStringsMax));
  }
  StopStrings made;
  for (std::string& string : strings) {
    if (string.empty() || string.size() > kBytesMax) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("a stop string of {} bytes; 1 to {} are possible", string.size(), kBytesMax));
    }
    // Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977.
    Matcher matcher{std::move(string), {}, 0};
    const std::string& s = matcher.string;
    matcher.fallback.assign(s.size(), 0);
    for (size_t i = 1, k = 0; i < s.size(); ++i) {
      while (k > 0 && s[i] != s[k]) k = matcher.fallback[k - 1];
      if (s[i] == s[k]) ++k;
      matcher.fallback[i] = k;
    }
    made.matchers_.push_back(std::move(matcher));
  }
  return made;
}

void StopStrings::Matcher::advance(char byte) {
  while (matched > 0 && string[matched] != byte) matched = fallback[matched - 1];
  if (string[matched] == byte) ++matched;
}

StopStrings::Step StopStrings::push(std::string_view text) {
  if (found_ != npos) return {.text = {}, .stopped = true};
  for (const char byte : text) {
    held_.push_back(byte);
    for (size_t i = 0; i < matchers_.size(); ++i) {
      Matcher& matcher = matchers_[i];
      matcher.advance(byte);
      const bool whole = matcher.matched == matcher.string.size();
      if (whole && (found_ == npos || matcher.string.size() > matchers_[found_].string.size()))
        found_ = i;
    }
    if (found_ != npos) {
      held_.resize(held_.size() - matchers_[found_].string.size());
      return {.text = std::exchange(held_, {}), .stopped = true};
    }
  }
  size_t keep = 0;
  for (const Matcher& matcher : matchers_) keep = std::max(keep, matcher.matched);
  Step step{.text = held_.substr(0, held_.size() - keep)};
  held_.erase(0, step.text.size());
  return step;
}

std::string StopStrings::finish() {
  for (Matcher& matcher : matchers_) matcher.matched = 0;
  return std::exchange(held_, {});
}

}  // namespace sable::inference
