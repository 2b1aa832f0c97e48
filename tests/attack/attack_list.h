// The attacks of the table, each with the limits it is tried under and what must come of it: for
// the tests, for the launchers that leave a layer out, and for the printed table.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "tests/attack/attack_host.h"

namespace sable::attack {

/// Who is killed with SIGKILL while an attack runs.
enum class Victim { nobody, runtime, launcher };

/// One run of the attacking program.
struct Trial {
  std::string run;  ///< what the program is asked for; mostly the attack's id
  sandbox::Limits limits = {};
  std::map<std::string, std::string> environment = {};
  sandbox::End end = sandbox::End::exited;  ///< exited: with status 0
  /// Then a process of its own makes the call, and all that counts is that nothing stays alive.
  Victim victim = Victim::nobody;
};

struct ListedAttack {
  std::string id;
  std::string what;  ///< what is tried, in a few words
  std::vector<Trial> trials;
  bool by_choice_when_open = false;  ///< an open network is for this
  bool needs_proxy = false;          ///< makes sense with Network::allow only
  /// What makes it small where nothing bounds it; an attack that succeeds there is not the end of
  /// the machine.
  std::map<std::string, std::string> outside = {};
};

/// All that the attacking program knows. F5, which is about file tools, has a test of its own.
std::span<const ListedAttack> listed_attacks();

/// Whether it is an attack under this network.
bool applies(const ListedAttack& attack, sandbox::Network network);

struct Verdict {
  int n_attempts = 0;                 ///< that the program wrote down
  std::vector<std::string> breaches;  ///< what was not stopped, or harmed the host
  std::vector<std::string> reasons;   ///< what the program or its caller was told, each once
  std::chrono::milliseconds longest_stall{0};
  std::string output;

  bool stopped() const { return breaches.empty(); }
};

/// Runs all its trials, each on a host of its own made by `launcher`.
Verdict try_attack(const ListedAttack& attack, Spawn spawn, sandbox::Network network,
                   const std::string& launcher = "sable-launcher");

/// The lines of the attacking program: what was stopped and why, and what was not.
void read_attempts(const std::string& output, Verdict& verdict);

std::string name_of(sandbox::Network network);

}  // namespace sable::attack
