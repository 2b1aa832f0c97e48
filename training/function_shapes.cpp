#include "training/function_shapes.h"

#include <algorithm>

namespace sable::training {

namespace {

using Values = std::vector<int64_t>;

int64_t whole(Random& random, size_t low, size_t high) {
  return static_cast<int64_t>(random.between(low, high));
}

std::vector<FunctionShape> make_shapes() {
  std::vector<FunctionShape> shapes;
  shapes.push_back(
      {3,
       "{Limits|Keeps} $a to the range from $b to $c",
       {"    if $a < $b:", "        return $b", "    if $a > $c:", "        return $c",
        "    return $a"},
       {"  if ($a < $b) {", "    return $b;", "  }", "  if ($a > $c) {", "    return $c;", "  }",
        "  return $a;"},
       {{"    if $a < $b:", "    if $a > $b:"}, {"        return $c", "        return $b"}},
       {{"  if ($a < $b) {", "  if ($a > $b) {"}, {"    return $c;", "    return $b;"}},
       [](int64_t a, int64_t b, int64_t c) { return std::clamp(a, b, c); },
       [](Random& r) {
         const int64_t low = whole(r, 1, 9), high = low + whole(r, 5, 30);
         return Values{high + whole(r, 1, 9), low, high};
       }});
  shapes.push_back({2,
                    "{The number of|How many} whole numbers {lie |}from $a to $b, both included",
                    {"    return $b - $a + 1"},
                    {"  return $b - $a + 1;"},
                    {{"    return $b - $a + 1", "    return $b - $a"},
                     {"    return $b - $a + 1", "    return $b - $a - 1"}},
                    {{"  return $b - $a + 1;", "  return $b - $a;"},
                     {"  return $b - $a + 1;", "  return $b - $a - 1;"}},
                    [](int64_t a, int64_t b, int64_t) { return b - a + 1; },
                    [](Random& r) {
                      const int64_t low = whole(r, 1, 20);
                      return Values{low, low + whole(r, 2, 30), 0};
                    }});
  shapes.push_back({3,
                    "$a plus $b times $c",
                    {"    return $a + $b * $c"},
                    {"  return $a + $b * $c;"},
                    {{"    return $a + $b * $c", "    return $a - $b * $c"},
                     {"    return $a + $b * $c", "    return $a + $b + $c"}},
                    {{"  return $a + $b * $c;", "  return $a - $b * $c;"},
                     {"  return $a + $b * $c;", "  return $a + $b + $c;"}},
                    [](int64_t a, int64_t b, int64_t c) { return a + b * c; },
                    [](Random& r) {
                      return Values{whole(r, 1, 50), whole(r, 3, 9), whole(r, 3, 9)};
                    }});
  shapes.push_back(
      {1,
       "The sum of the whole numbers from 1 to $a",
       {"    total = 0", "    for step in range(1, $a + 1):", "        total += step",
        "    return total"},
       {"  int total = 0;", "  for (int step = 1; step <= $a; step++) {", "    total += step;",
        "  }", "  return total;"},
       {{"    for step in range(1, $a + 1):", "    for step in range(1, $a):"},
        {"        total += step", "        total -= step"}},
       {{"  for (int step = 1; step <= $a; step++) {", "  for (int step = 1; step < $a; step++) {"},
        {"    total += step;", "    total -= step;"}},
       [](int64_t a, int64_t, int64_t) { return a * (a + 1) / 2; },
       [](Random& r) {
         return Values{whole(r, 3, 12), 0, 0};
       }});
  shapes.push_back({2,
                    "The larger of $a and $b",
                    {"    if $a > $b:", "        return $a", "    return $b"},
                    {"  if ($a > $b) {", "    return $a;", "  }", "  return $b;"},
                    {{"    if $a > $b:", "    if $a < $b:"}},
                    {{"  if ($a > $b) {", "  if ($a < $b) {"}},
                    [](int64_t a, int64_t b, int64_t) { return std::max(a, b); },
                    [](Random& r) {
                      const int64_t low = whole(r, 1, 40), high = low + whole(r, 1, 40);
                      return r.chance(0.5) ? Values{low, high, 0} : Values{high, low, 0};
                    }});
  shapes.push_back({2,
                    "The smaller of $a and $b",
                    {"    if $a < $b:", "        return $a", "    return $b"},
                    {"  if ($a < $b) {", "    return $a;", "  }", "  return $b;"},
                    {{"    if $a < $b:", "    if $a > $b:"}},
                    {{"  if ($a < $b) {", "  if ($a > $b) {"}},
                    [](int64_t a, int64_t b, int64_t) { return std::min(a, b); },
                    [](Random& r) {
                      const int64_t low = whole(r, 1, 40), high = low + whole(r, 1, 40);
                      return r.chance(0.5) ? Values{low, high, 0} : Values{high, low, 0};
                    }});
  shapes.push_back({2,
                    "$a as a percentage of $b",
                    {"    return $a * 100 // $b"},
                    {"  return $a * 100 / $b;"},
                    {{"    return $a * 100 // $b", "    return $b * 100 // $a"},
                     {"    return $a * 100 // $b", "    return $a * 10 // $b"}},
                    {{"  return $a * 100 / $b;", "  return $b * 100 / $a;"},
                     {"  return $a * 100 / $b;", "  return $a * 10 / $b;"}},
                    [](int64_t a, int64_t b, int64_t) { return a * 100 / b; },
                    [](Random& r) {
                      const int64_t part = whole(r, 1, 9);
                      return Values{part, part * whole(r, 2, 9), 0};
                    }});
  shapes.push_back({1,
                    "1 when $a is even, else 0",
                    {"    if $a % 2 == 0:", "        return 1", "    return 0"},
                    {"  if ($a % 2 == 0) {", "    return 1;", "  }", "  return 0;"},
                    {{"    if $a % 2 == 0:", "    if $a % 2 == 1:"}},
                    {{"  if ($a % 2 == 0) {", "  if ($a % 2 == 1) {"}},
                    [](int64_t a, int64_t, int64_t) { return int64_t{a % 2 == 0}; },
                    [](Random& r) {
                      return Values{whole(r, 2, 99), 0, 0};
                    }});
  shapes.push_back(
      {2,
       "{The distance between|How far apart are} $a and $b",
       {"    if $a > $b:", "        return $a - $b", "    return $b - $a"},
       {"  if ($a > $b) {", "    return $a - $b;", "  }", "  return $b - $a;"},
       {{"    return $b - $a", "    return $b + $a"}, {"    if $a > $b:", "    if $a < $b:"}},
       {{"  return $b - $a;", "  return $b + $a;"}, {"  if ($a > $b) {", "  if ($a < $b) {"}},
       [](int64_t a, int64_t b, int64_t) { return a > b ? a - b : b - a; },
       [](Random& r) {
         const int64_t low = whole(r, 1, 40);
         return Values{low, low + whole(r, 1, 40), 0};
       }});
  shapes.push_back({2,
                    "The area of a rectangle of $a by $b",
                    {"    return $a * $b"},
                    {"  return $a * $b;"},
                    {{"    return $a * $b", "    return $a + $b"}},
                    {{"  return $a * $b;", "  return $a + $b;"}},
                    [](int64_t a, int64_t b, int64_t) { return a * b; },
                    [](Random& r) {
                      return Values{whole(r, 3, 12), whole(r, 3, 12), 0};
                    }});
  shapes.push_back({2,
                    "The mean of $a and $b, rounded down",
                    {"    return ($a + $b) // 2"},
                    {"  return ($a + $b) / 2;"},
                    {{"    return ($a + $b) // 2", "    return ($a - $b) // 2"},
                     {"    return ($a + $b) // 2", "    return ($a + $b) // 3"}},
                    {{"  return ($a + $b) / 2;", "  return ($a - $b) / 2;"},
                     {"  return ($a + $b) / 2;", "  return ($a + $b) / 3;"}},
                    [](int64_t a, int64_t b, int64_t) { return (a + b) / 2; },
                    [](Random& r) {
                      const int64_t b = whole(r, 4, 30);
                      return Values{b + 2 * whole(r, 4, 30), b, 0};
                    }});
  shapes.push_back({2,
                    "$a less a discount of $b percent",
                    {"    return $a - $a * $b // 100"},
                    {"  return $a - $a * $b / 100;"},
                    {{"    return $a - $a * $b // 100", "    return $a + $a * $b // 100"}},
                    {{"  return $a - $a * $b / 100;", "  return $a + $a * $b / 100;"}},
                    [](int64_t a, int64_t b, int64_t) { return a - a * b / 100; },
                    [](Random& r) {
                      return Values{100 * whole(r, 1, 9), whole(r, 2, 50), 0};
                    }});
  return shapes;
}

}  // namespace

const std::vector<FunctionShape>& function_shapes() {
  static const std::vector<FunctionShape> shapes = make_shapes();
  return shapes;
}

}  // namespace sable::training
