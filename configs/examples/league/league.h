// Arithmetic of a league table.
#pragma once

// The points for wins and draws.
int points(int wins, int draws);

// The goals that are left of scored after conceded.
int goal_balance(int scored, int conceded);

// The distance between the goals of the two teams of a match.
int margin(int home, int away);

// Limits a number of teams to the range from fewest to most.
int limit_teams(int teams, int fewest, int most);

// won as a percentage of played, rounded down; 0 when nothing was played.
int win_rate(int won, int played);
