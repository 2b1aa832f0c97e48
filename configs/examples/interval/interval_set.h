// Sets of whole numbers, kept as half-open intervals.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The numbers x with begin <= x < end; none if begin >= end.
struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  bool empty() const { return begin >= end; }

  friend bool operator==(const Interval& a, const Interval& b) {
    return a.begin == b.begin && a.end == b.end;
  }
};

// Adding and removing are linear in the number of intervals, looking up is logarithmic.
class IntervalSet {
 public:
  // Puts all numbers of the interval into the set. Intervals that overlap or touch become one.
  void add(Interval added);

  // Takes all numbers of the interval out of the set.
  void remove(Interval removed);

  bool contains(std::int64_t number) const;

  // How many numbers are in the set.
  std::int64_t size() const;

  // The numbers that are in both sets.
  IntervalSet intersection(const IntervalSet& other) const;

  // Sorted, none empty, no two overlapping or touching.
  const std::vector<Interval>& intervals() const { return intervals_; }

  // "[2,5) [7,9)"; the empty set is "".
  std::string to_string() const;

  // Reads what to_string() writes, in any order. Nothing if the text is not written so.
  static std::optional<IntervalSet> parse(std::string_view text);

 private:
  std::vector<Interval> intervals_;
};
