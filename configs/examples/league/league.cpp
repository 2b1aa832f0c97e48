#include "league.h"

int points(int wins, int draws) {
  return wins * 2 + draws;
}

int goal_balance(int scored, int conceded) {
  return scored - conceded;
}

int margin(int home, int away) {
  if (home > away) {
    return home - away;
  }
  return away - home;
}

int limit_teams(int teams, int fewest, int most) {
  if (teams < fewest) {
    return fewest;
  }
  if (teams > most) {
    return most;
  }
  return teams;
}

int win_rate(int won, int played) {
  if (played == 0) {
    return 0;
  }
  return won * 100 / played;
}
