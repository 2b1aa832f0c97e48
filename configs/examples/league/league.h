// Arithmetic of a league table.
#pragma once

int points(int wins, int draws);
int goal_balance(int scored, int conceded);
int margin(int home, int away);
int limit_teams(int teams, int fewest, int most);
int win_rate(int won, int played);
