#include "interval_set.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

void IntervalSet::add(Interval added) {
  if (added.empty()) return;
  // From first up to last lies what becomes one with the added interval.
  const auto first =
      std::find_if(intervals_.begin(), intervals_.end(),
                   [&](const Interval& interval) { return interval.end > added.begin; });
  const auto last = std::find_if(first, intervals_.end(), [&](const Interval& interval) {
    return interval.begin > added.end;
  });
  if (first != last) {
    added.begin = std::min(added.begin, first->begin);
    added.end = std::max(added.end, std::prev(last)->end);
  }
  intervals_.insert(intervals_.erase(first, last), added);
}

void IntervalSet::remove(Interval removed) {
  if (removed.empty()) return;
  std::vector<Interval> kept;
  for (const Interval& interval : intervals_) {
    const Interval before{interval.begin, std::min(interval.end, removed.begin)};
    const Interval after{std::max(interval.begin, removed.end), interval.end};
    if (!before.empty()) kept.push_back(before);
    if (!after.empty()) kept.push_back(after);
  }
  intervals_ = std::move(kept);
}

bool IntervalSet::contains(std::int64_t number) const {
  // The only interval that can hold the number is the last one that begins at it or before it.
  const auto next =
      std::upper_bound(intervals_.begin(), intervals_.end(), number,
                       [](std::int64_t n, const Interval& interval) { return n < interval.begin; });
  return next != intervals_.begin() && number < std::prev(next)->end;
}

std::int64_t IntervalSet::size() const {
  std::int64_t n = 0;
  for (const Interval& interval : intervals_) n += interval.end - interval.begin;
  return n;
}

IntervalSet IntervalSet::intersection(const IntervalSet& other) const {
  IntervalSet both;
  auto a = intervals_.begin();
  auto b = other.intervals_.begin();
  while (a != intervals_.end() && b != other.intervals_.end()) {
    const Interval common{std::max(a->begin, b->begin), std::min(a->end, b->end)};
    if (!common.empty()) both.intervals_.push_back(common);
    // The interval that ends first has nothing in common with what comes next in the other set.
    if (a->end < b->end) {
      ++a;
    } else {
      ++b;
    }
  }
  return both;
}

std::string IntervalSet::to_string() const {
  std::string text;
  for (const Interval& interval : intervals_) {
    if (!text.empty()) text += ' ';
    text += '[' + std::to_string(interval.begin) + ',' + std::to_string(interval.end) + ')';
  }
  return text;
}

std::optional<IntervalSet> IntervalSet::parse(std::string_view text) {
  const char* at = text.data();
  const char* const stop = at + text.size();
  const auto skip = [&](char expected) {
    if (at == stop || *at != expected) return false;
    ++at;
    return true;
  };
  const auto read = [&](std::int64_t& number) {
    const auto [rest, error] = std::from_chars(at, stop, number);
    at = rest;
    return error == std::errc();
  };

  IntervalSet set;
  while (at != stop) {
    if (at != text.data() && !skip(' ')) return std::nullopt;
    Interval interval;
    if (!skip('[') || !read(interval.begin) || !skip(',') || !read(interval.end) || !skip(')')) {
      return std::nullopt;
    }
    set.add(interval);
  }
  return set;
}
