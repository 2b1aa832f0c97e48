#include "interval_set.h"

#include <cstring>
#include <initializer_list>
#include <iostream>
#include <random>

namespace {

int n_failures = 0;  // of the test that runs

template <class A, class B>
void expect_equal(const A& got, const B& expected, const char* what, int line) {
  if (got == expected) return;
  ++n_failures;
  std::cout << "  " << __FILE__ << ":" << line << ": " << what << "\n    expected: " << expected
            << "\n    got:      " << got << "\n";
}

#define EXPECT_EQ(got, expected) expect_equal(got, expected, #got, __LINE__)

IntervalSet set_of(std::initializer_list<Interval> intervals) {
  IntervalSet set;
  for (const Interval& interval : intervals) set.add(interval);
  return set;
}

void an_empty_set_holds_nothing() {
  const IntervalSet set;
  EXPECT_EQ(set.to_string(), "");
  EXPECT_EQ(set.size(), 0);
  EXPECT_EQ(set.contains(0), false);
}

void the_end_does_not_belong_to_an_interval() {
  const auto set = set_of({{2, 5}});
  EXPECT_EQ(set.contains(1), false);
  EXPECT_EQ(set.contains(2), true);
  EXPECT_EQ(set.contains(4), true);
  EXPECT_EQ(set.contains(5), false);
  EXPECT_EQ(set.size(), 3);
}

void an_empty_interval_adds_nothing() { EXPECT_EQ(set_of({{3, 3}, {9, 4}}).to_string(), ""); }

void intervals_are_sorted() {
  EXPECT_EQ(set_of({{20, 30}, {0, 5}, {10, 12}}).to_string(), "[0,5) [10,12) [20,30)");
}

void overlapping_intervals_become_one() {
  EXPECT_EQ(set_of({{1, 4}, {3, 8}}).to_string(), "[1,8)");
  EXPECT_EQ(set_of({{3, 8}, {1, 4}}).to_string(), "[1,8)");
  EXPECT_EQ(set_of({{1, 2}, {4, 5}, {7, 8}, {0, 9}}).to_string(), "[0,9)");
  EXPECT_EQ(set_of({{0, 9}, {4, 5}}).to_string(), "[0,9)");
}

void touching_intervals_become_one() {
  EXPECT_EQ(set_of({{3, 5}, {1, 3}}).to_string(), "[1,5)");
  EXPECT_EQ(set_of({{1, 3}, {3, 5}}).to_string(), "[1,5)");
}

void removing_cuts_and_splits() {
  auto set = set_of({{0, 10}, {20, 30}});
  set.remove({4, 6});
  EXPECT_EQ(set.to_string(), "[0,4) [6,10) [20,30)");
  set.remove({8, 25});
  EXPECT_EQ(set.to_string(), "[0,4) [6,8) [25,30)");
  set.remove({4, 6});
  EXPECT_EQ(set.to_string(), "[0,4) [6,8) [25,30)");
  set.remove({-100, 100});
  EXPECT_EQ(set.to_string(), "");
}

void intersection_keeps_what_both_hold() {
  const auto a = set_of({{0, 10}, {20, 30}, {40, 50}});
  const auto b = set_of({{5, 25}, {28, 45}});
  EXPECT_EQ(a.intersection(b).to_string(), "[5,10) [20,25) [28,30) [40,45)");
  EXPECT_EQ(b.intersection(a).to_string(), "[5,10) [20,25) [28,30) [40,45)");
  EXPECT_EQ(a.intersection(IntervalSet()).to_string(), "");
}

void text_is_read_back() {
  const auto set = IntervalSet::parse("[10,12) [-5,0)");
  EXPECT_EQ(set.has_value(), true);
  EXPECT_EQ(set->to_string(), "[-5,0) [10,12)");
  EXPECT_EQ(IntervalSet::parse("")->size(), 0);
  for (const char* wrong : {"[1,2", "1,2", "[1,2]", "[1;2)", "[1,2)[3,4)", "[1,2) ", "[a,b)"}) {
    EXPECT_EQ(IntervalSet::parse(wrong).has_value(), false);
  }
}

void random_changes_agree_with_a_table_of_numbers() {
  constexpr int kNumbers = 64;
  std::mt19937 random(1);
  IntervalSet set;
  bool in_table[kNumbers] = {};
  for (int i = 0; i < 2000; ++i) {
    const Interval interval{static_cast<std::int64_t>(random() % kNumbers),
                            static_cast<std::int64_t>(random() % kNumbers)};
    const bool adds = random() % 2 == 0;
    adds ? set.add(interval) : set.remove(interval);
    for (auto x = interval.begin; x < interval.end; ++x) in_table[x] = adds;
    std::int64_t n = 0;
    for (int x = 0; x < kNumbers; ++x) {
      EXPECT_EQ(set.contains(x), in_table[x]);
      n += in_table[x];
    }
    EXPECT_EQ(set.size(), n);
    if (n_failures > 0) return;
  }
}

struct Test {
  const char* name;
  void (*run)();
};

#define TEST(function) \
  { #function, function }

const Test kTests[] = {
    TEST(an_empty_set_holds_nothing),
    TEST(the_end_does_not_belong_to_an_interval),
    TEST(an_empty_interval_adds_nothing),
    TEST(intervals_are_sorted),
    TEST(overlapping_intervals_become_one),
    TEST(touching_intervals_become_one),
    TEST(removing_cuts_and_splits),
    TEST(intersection_keeps_what_both_hold),
    TEST(text_is_read_back),
    TEST(random_changes_agree_with_a_table_of_numbers),
};

}  // namespace

int main(int argc, char** argv) {
  int n_run = 0, n_passed = 0;
  for (const Test& test : kTests) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
    n_failures = 0;
    test.run();
    std::cout << (n_failures == 0 ? "ok      " : "FAILED  ") << test.name << "\n";
    ++n_run;
    n_passed += n_failures == 0;
  }
  std::cout << n_passed << " of " << n_run << " tests passed\n";
  return n_passed == n_run && n_run > 0 ? 0 : 1;
}
