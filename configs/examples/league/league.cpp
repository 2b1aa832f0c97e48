// Arithmetic of a league table.
#include "league.h"

// The points for wins and draws: three for a win, one for a draw.
int points(int wins, int draws) {
  return wins * 2 + draws;
}

// What is left of scored after conceded.
int goal_balance(int scored, int conceded) {
  return scored - conceded;
}

// The distance between home and away.
int margin(int home, int away) {
  if (home > away) {
    return home - away;
  }
  return away - home;
}

// Limits teams to the range from fewest to most.
int limit_teams(int teams, int fewest, int most) {
  if (teams < fewest) {
    return fewest;
  }
  if (teams > most) {
    return most;
  }
  return teams;
}

// won as a percentage of played, or 0 when nothing was played.
int win_rate(int won, int played) {
  if (played == 0) {
    return 0;
  }
  return won * 100 / played;
}
