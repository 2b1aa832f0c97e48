#include <cstdio>

#include "league.h"

static int failed = 0;

#define CHECK(got, wanted)                                                                    \
  if ((got) != (wanted)) {                                                                    \
    std::printf("%s:%d: %s is %d, expected %d\n", __FILE__, __LINE__, #got, (got), (wanted)); \
    failed = 1;                                                                               \
  }

int main() {
  CHECK(points(0, 0), 0);
  CHECK(points(4, 3), 15);
  CHECK(goal_balance(9, 4), 5);
  CHECK(goal_balance(2, 6), -4);
  CHECK(margin(3, 1), 2);
  CHECK(margin(1, 3), 2);
  CHECK(limit_teams(1, 4, 20), 4);
  CHECK(limit_teams(30, 4, 20), 20);
  CHECK(limit_teams(12, 4, 20), 12);
  CHECK(win_rate(3, 4), 75);
  CHECK(win_rate(0, 0), 0);
  if (!failed) std::printf("all tests passed\n");
  return failed;
}
