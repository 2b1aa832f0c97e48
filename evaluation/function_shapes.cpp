#include "evaluation/function_shapes.h"

#include <algorithm>

namespace sable::evaluation {

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
                    "{$a plus $b times $c|$a and $b times $c together}",
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
  shapes.push_back(
      {2,
       "{The larger of $a and $b|Whichever of $a and $b is larger|The maximum of $a and $b}",
       {"    if $a > $b:", "        return $a", "    return $b"},
       {"  if ($a > $b) {", "    return $a;", "  }", "  return $b;"},
       {{"    if $a > $b:", "    if $a < $b:"}},
       {{"  if ($a > $b) {", "  if ($a < $b) {"}},
       [](int64_t a, int64_t b, int64_t) { return std::max(a, b); },
       [](Random& r) {
         const int64_t low = whole(r, 1, 40), high = low + whole(r, 1, 40);
         return r.chance(0.5) ? Values{low, high, 0} : Values{high, low, 0};
       }});
  shapes.push_back(
      {2,
       "{The smaller of $a and $b|Whichever of $a and $b is smaller|The minimum of $a and $b}",
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
                    "{$a as a percentage of $b|How many percent of $b are $a}",
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
                    "{1 when $a is even, else 0|Whether $a is even: 1 or 0}",
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
                    "{The area of a rectangle of $a by $b|$a times $b}",
                    {"    return $a * $b"},
                    {"  return $a * $b;"},
                    {{"    return $a * $b", "    return $a + $b"}},
                    {{"  return $a * $b;", "  return $a + $b;"}},
                    [](int64_t a, int64_t b, int64_t) { return a * b; },
                    [](Random& r) {
                      return Values{whole(r, 3, 12), whole(r, 3, 12), 0};
                    }});
  shapes.push_back({2,
                    "{The mean of $a and $b, rounded down|The middle between $a and $b}",
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
                    "{$a less a discount of $b percent|$a minus $b percent of it}",
                    {"    return $a - $a * $b // 100"},
                    {"  return $a - $a * $b / 100;"},
                    {{"    return $a - $a * $b // 100", "    return $a + $a * $b // 100"}},
                    {{"  return $a - $a * $b / 100;", "  return $a + $a * $b / 100;"}},
                    [](int64_t a, int64_t b, int64_t) { return a - a * b / 100; },
                    [](Random& r) {
                      return Values{100 * whole(r, 1, 9), whole(r, 2, 50), 0};
                    }});
  shapes.push_back({1,
                    "{Half of $a, rounded up|$a divided by 2, rounded up}",
                    {"    return ($a + 1) // 2"},
                    {"  return ($a + 1) / 2;"},
                    {{"    return ($a + 1) // 2", "    return ($a - 1) // 2"},
                     {"    return ($a + 1) // 2", "    return ($a + 1) // 3"}},
                    {{"  return ($a + 1) / 2;", "  return ($a - 1) / 2;"},
                     {"  return ($a + 1) / 2;", "  return ($a + 1) / 3;"}},
                    [](int64_t a, int64_t, int64_t) { return (a + 1) / 2; },
                    [](Random& r) {
                      return Values{2 * whole(r, 3, 30) + 1, 0, 0};
                    }});
  shapes.push_back({2,
                    "{The minutes in|How many minutes are} $a hours and $b minutes",
                    {"    return $a * 60 + $b"},
                    {"  return $a * 60 + $b;"},
                    {{"    return $a * 60 + $b", "    return $b * 60 + $a"},
                     {"    return $a * 60 + $b", "    return $a * 24 + $b"},
                     {"    return $a * 60 + $b", "    return $a * 60 - $b"}},
                    {{"  return $a * 60 + $b;", "  return $b * 60 + $a;"},
                     {"  return $a * 60 + $b;", "  return $a * 24 + $b;"},
                     {"  return $a * 60 + $b;", "  return $a * 60 - $b;"}},
                    [](int64_t a, int64_t b, int64_t) { return a * 60 + b; },
                    [](Random& r) {
                      return Values{whole(r, 2, 9), whole(r, 10, 50), 0};
                    }});
  shapes.push_back(
      {1,
       "{The seconds in $a minutes|$a minutes in seconds}",
       {"    return $a * 60"},
       {"  return $a * 60;"},
       {{"    return $a * 60", "    return $a * 24"}, {"    return $a * 60", "    return $a + 60"}},
       {{"  return $a * 60;", "  return $a * 24;"}, {"  return $a * 60;", "  return $a + 60;"}},
       [](int64_t a, int64_t, int64_t) { return a * 60; },
       [](Random& r) {
         return Values{whole(r, 3, 40), 0, 0};
       }});
  shapes.push_back(
      {1,
       "{The square of $a|$a times itself}",
       {"    return $a * $a"},
       {"  return $a * $a;"},
       {{"    return $a * $a", "    return $a + $a"}, {"    return $a * $a", "    return $a * 2"}},
       {{"  return $a * $a;", "  return $a + $a;"}, {"  return $a * $a;", "  return $a * 2;"}},
       [](int64_t a, int64_t, int64_t) { return a * a; },
       [](Random& r) {
         return Values{whole(r, 3, 15), 0, 0};
       }});
  shapes.push_back(
      {2,
       "{How many boxes of $b are needed for $a things|How many $b are needed for the $a}",
       {"    return ($a + $b - 1) // $b"},
       {"  return ($a + $b - 1) / $b;"},
       {{"    return ($a + $b - 1) // $b", "    return ($a + $b) // $b"},
        {"    return ($a + $b - 1) // $b", "    return ($a + $b - 1) // $a"}},
       {{"  return ($a + $b - 1) / $b;", "  return ($a + $b) / $b;"},
        {"  return ($a + $b - 1) / $b;", "  return ($a + $b - 1) / $a;"}},
       [](int64_t a, int64_t b, int64_t) { return (a + b - 1) / b; },
       [](Random& r) {
         const int64_t b = whole(r, 3, 9), n = whole(r, 2, 4);
         return Values{n * b, b, 0};
       }});
  shapes.push_back(
      {1,
       "{The last index of a list of $a items|One less than $a}",
       {"    return $a - 1"},
       {"  return $a - 1;"},
       {{"    return $a - 1", "    return $a + 1"}, {"    return $a - 1", "    return $a - 2"}},
       {{"  return $a - 1;", "  return $a + 1;"}, {"  return $a - 1;", "  return $a - 2;"}},
       [](int64_t a, int64_t, int64_t) { return a - 1; },
       [](Random& r) {
         return Values{whole(r, 3, 60), 0, 0};
       }});
  shapes.push_back(
      {2,
       "{The perimeter of a rectangle of $a by $b|The length of a fence around $a by $b}",
       {"    return 2 * ($a + $b)"},
       {"  return 2 * ($a + $b);"},
       {{"    return 2 * ($a + $b)", "    return 2 * ($a - $b)"},
        {"    return 2 * ($a + $b)", "    return 2 + ($a + $b)"},
        {"    return 2 * ($a + $b)", "    return 4 * ($a + $b)"}},
       {{"  return 2 * ($a + $b);", "  return 2 * ($a - $b);"},
        {"  return 2 * ($a + $b);", "  return 2 + ($a + $b);"},
        {"  return 2 * ($a + $b);", "  return 4 * ($a + $b);"}},
       [](int64_t a, int64_t b, int64_t) { return 2 * (a + b); },
       [](Random& r) {
         const int64_t b = whole(r, 3, 12);
         return Values{b + whole(r, 1, 9), b, 0};
       }});
  shapes.push_back({2,
                    "{The points for $a wins and $b draws|The points for $a and $b: three for a "
                    "win, one for a draw}",
                    {"    return $a * 3 + $b"},
                    {"  return $a * 3 + $b;"},
                    {{"    return $a * 3 + $b", "    return $b * 3 + $a"},
                     {"    return $a * 3 + $b", "    return $a * 2 + $b"}},
                    {{"  return $a * 3 + $b;", "  return $b * 3 + $a;"},
                     {"  return $a * 3 + $b;", "  return $a * 2 + $b;"}},
                    [](int64_t a, int64_t b, int64_t) { return a * 3 + b; },
                    [](Random& r) {
                      return Values{whole(r, 3, 9), whole(r, 10, 20), 0};
                    }});
  shapes.push_back(
      {2,
       "{The next multiple of $b above $a|The first multiple of $b that is larger than $a}",
       {"    return ($a // $b + 1) * $b"},
       {"  return ($a / $b + 1) * $b;"},
       {{"    return ($a // $b + 1) * $b", "    return ($a // $b - 1) * $b"},
        {"    return ($a // $b + 1) * $b", "    return ($a // $b + 1) + $b"}},
       {{"  return ($a / $b + 1) * $b;", "  return ($a / $b - 1) * $b;"},
        {"  return ($a / $b + 1) * $b;", "  return ($a / $b + 1) + $b;"}},
       [](int64_t a, int64_t b, int64_t) { return (a / b + 1) * b; },
       [](Random& r) {
         const int64_t b = whole(r, 3, 9);
         return Values{b * whole(r, 3, 6) + 1, b, 0};
       }});
  shapes.push_back({2,
                    "{The weekday $b days after weekday $a, from 0 to 6|The weekday that many $b "
                    "after $a, from 0 to 6}",
                    {"    return ($a + $b) % 7"},
                    {"  return ($a + $b) % 7;"},
                    {{"    return ($a + $b) % 7", "    return ($a - $b) % 7"},
                     {"    return ($a + $b) % 7", "    return ($a + $b) % 6"},
                     {"    return ($a + $b) % 7", "    return ($a + $b) % 8"}},
                    {{"  return ($a + $b) % 7;", "  return ($a - $b) % 7;"},
                     {"  return ($a + $b) % 7;", "  return ($a + $b) % 6;"},
                     {"  return ($a + $b) % 7;", "  return ($a + $b) % 8;"}},
                    [](int64_t a, int64_t b, int64_t) { return (a + b) % 7; },
                    [](Random& r) {
                      return Values{6, whole(r, 2, 5), 0};
                    }});
  shapes.push_back({3,
                    "{The sum of $a, $b and $c|$a, $b and $c together}",
                    {"    return $a + $b + $c"},
                    {"  return $a + $b + $c;"},
                    {{"    return $a + $b + $c", "    return $a + $b - $c"},
                     {"    return $a + $b + $c", "    return $a - $b + $c"}},
                    {{"  return $a + $b + $c;", "  return $a + $b - $c;"},
                     {"  return $a + $b + $c;", "  return $a - $b + $c;"}},
                    [](int64_t a, int64_t b, int64_t c) { return a + b + c; },
                    [](Random& r) {
                      return Values{whole(r, 20, 50), whole(r, 2, 9), whole(r, 2, 9)};
                    }});
  shapes.push_back(
      {2,
       "{What is left of $a after $b|$a minus $b}",
       {"    return $a - $b"},
       {"  return $a - $b;"},
       {{"    return $a - $b", "    return $b - $a"}, {"    return $a - $b", "    return $a + $b"}},
       {{"  return $a - $b;", "  return $b - $a;"}, {"  return $a - $b;", "  return $a + $b;"}},
       [](int64_t a, int64_t b, int64_t) { return a - b; },
       [](Random& r) {
         const int64_t b = whole(r, 3, 40);
         return Values{b + whole(r, 3, 40), b, 0};
       }});
  shapes.push_back({2,
                    "{The end of a range that begins at $a and is $b long|$a plus $b}",
                    {"    return $a + $b"},
                    {"  return $a + $b;"},
                    {{"    return $a + $b", "    return $a - $b"},
                     {"    return $a + $b", "    return $a + $b - 1"},
                     {"    return $a + $b", "    return $a + $b + 1"}},
                    {{"  return $a + $b;", "  return $a - $b;"},
                     {"  return $a + $b;", "  return $a + $b - 1;"},
                     {"  return $a + $b;", "  return $a + $b + 1;"}},
                    [](int64_t a, int64_t b, int64_t) { return a + b; },
                    [](Random& r) {
                      return Values{whole(r, 30, 60), whole(r, 2, 20), 0};
                    }});
  shapes.push_back(
      {2,
       "{The price of $b things at $a each|What $b cost at $a each}",
       {"    return $a * $b"},
       {"  return $a * $b;"},
       {{"    return $a * $b", "    return $a + $b"}, {"    return $a * $b", "    return $a * 2"}},
       {{"  return $a * $b;", "  return $a + $b;"}, {"  return $a * $b;", "  return $a * 2;"}},
       [](int64_t a, int64_t b, int64_t) { return a * b; },
       [](Random& r) {
         return Values{whole(r, 3, 12), whole(r, 3, 9), 0};
       }});
  shapes.push_back({3,
                    "{1 when $a lies from $b to $c, both included, else 0|Whether $a lies from $b "
                    "to $c: 1 or 0}",
                    {"    if $a >= $b and $a <= $c:", "        return 1", "    return 0"},
                    {"  if ($a >= $b && $a <= $c) {", "    return 1;", "  }", "  return 0;"},
                    {{"    if $a >= $b and $a <= $c:", "    if $a > $b and $a <= $c:"},
                     {"    if $a >= $b and $a <= $c:", "    if $a >= $b or $a <= $c:"}},
                    {{"  if ($a >= $b && $a <= $c) {", "  if ($a > $b && $a <= $c) {"},
                     {"  if ($a >= $b && $a <= $c) {", "  if ($a >= $b || $a <= $c) {"}},
                    [](int64_t a, int64_t b, int64_t c) { return int64_t{a >= b && a <= c}; },
                    [](Random& r) {
                      const int64_t low = whole(r, 3, 40);
                      return Values{low, low, low + whole(r, 3, 20)};
                    }});
  shapes.push_back({2,
                    "{1 when $b divides $a, else 0|Whether $a is a multiple of $b: 1 or 0}",
                    {"    if $a % $b == 0:", "        return 1", "    return 0"},
                    {"  if ($a % $b == 0) {", "    return 1;", "  }", "  return 0;"},
                    {{"    if $a % $b == 0:", "    if $b % $a == 0:"},
                     {"    if $a % $b == 0:", "    if $a % $b != 0:"}},
                    {{"  if ($a % $b == 0) {", "  if ($b % $a == 0) {"},
                     {"  if ($a % $b == 0) {", "  if ($a % $b != 0) {"}},
                    [](int64_t a, int64_t b, int64_t) { return int64_t{a % b == 0}; },
                    [](Random& r) {
                      const int64_t b = whole(r, 3, 9);
                      return Values{b * whole(r, 2, 9), b, 0};
                    }});
  shapes.push_back(
      {1,
       "{0 when $a is negative, else $a|$a, but never less than 0}",
       {"    if $a < 0:", "        return 0", "    return $a"},
       {"  if ($a < 0) {", "    return 0;", "  }", "  return $a;"},
       {{"    if $a < 0:", "    if $a > 0:"}, {"        return 0", "        return 1"}},
       {{"  if ($a < 0) {", "  if ($a > 0) {"}, {"    return 0;", "    return 1;"}},
       [](int64_t a, int64_t, int64_t) { return a < 0 ? 0 : a; },
       [](Random& r) {
         return Values{-whole(r, 2, 40), 0, 0};
       }});
  shapes.push_back(
      {1,
       "The product of the whole numbers from 1 to $a",
       {"    product = 1", "    for step in range(2, $a + 1):", "        product *= step",
        "    return product"},
       {"  int product = 1;", "  for (int step = 2; step <= $a; step++) {", "    product *= step;",
        "  }", "  return product;"},
       {{"    product = 1", "    product = 0"},
        {"    for step in range(2, $a + 1):", "    for step in range(2, $a):"},
        {"        product *= step", "        product += step"}},
       {{"  int product = 1;", "  int product = 0;"},
        {"  for (int step = 2; step <= $a; step++) {", "  for (int step = 2; step < $a; step++) {"},
        {"    product *= step;", "    product += step;"}},
       [](int64_t a, int64_t, int64_t) {
         int64_t p = 1;
         for (int64_t i = 2; i <= a; ++i) p *= i;
         return p;
       },
       [](Random& r) {
         return Values{whole(r, 4, 7), 0, 0};
       }});
  shapes.push_back(
      {1,
       "How many even numbers lie from 1 to $a",
       {"    count = 0", "    for step in range(1, $a + 1):", "        if step % 2 == 0:",
        "            count += 1", "    return count"},
       {"  int count = 0;", "  for (int step = 1; step <= $a; step++) {",
        "    if (step % 2 == 0) {", "      count++;", "    }", "  }", "  return count;"},
       {{"    count = 0", "    count = 1"},
        {"    for step in range(1, $a + 1):", "    for step in range(1, $a):"},
        {"        if step % 2 == 0:", "        if step % 3 == 0:"}},
       {{"  int count = 0;", "  int count = 1;"},
        {"  for (int step = 1; step <= $a; step++) {", "  for (int step = 1; step < $a; step++) {"},
        {"    if (step % 2 == 0) {", "    if (step % 3 == 0) {"}},
       [](int64_t a, int64_t, int64_t) { return a / 2; },
       [](Random& r) {
         return Values{2 * whole(r, 3, 12), 0, 0};
       }});
  shapes.push_back(
      {2,
       "$a divided by $b, or 0 when $b is 0",
       {"    if $b == 0:", "        return 0", "    return $a // $b"},
       {"  if ($b == 0) {", "    return 0;", "  }", "  return $a / $b;"},
       {{"    if $b == 0:", "    if $b != 0:"}, {"    return $a // $b", "    return $a * $b"}},
       {{"  if ($b == 0) {", "  if ($b != 0) {"}, {"  return $a / $b;", "  return $a * $b;"}},
       [](int64_t a, int64_t b, int64_t) { return b == 0 ? 0 : a / b; },
       [](Random& r) {
         const int64_t b = whole(r, 2, 9);
         return Values{b * whole(r, 2, 9), b, 0};
       }});
  return shapes;
}

}  // namespace

const std::vector<FunctionShape>& function_shapes() {
  static const std::vector<FunctionShape> shapes = make_shapes();
  return shapes;
}

}  // namespace sable::evaluation
