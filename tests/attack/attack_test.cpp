// Every attack of the table, in every network mode and both spawn modes: each attempt inside must
// be stopped, each with a reason, and the host must be as it was.
#include <catch2/catch.hpp>

#include "tests/attack/attack_list.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;
using sable::attack::listed_attacks;
using sable::attack::ListedAttack;
using sable::attack::Spawn;

namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text;
}

void check_stopped(const ListedAttack& attack, Spawn spawn, Network network) {
  const auto verdict = attack::try_attack(attack, spawn, network);
  INFO(attack.id << (spawn == Spawn::fresh ? " fresh" : " in a session") << " in mode "
                 << attack::name_of(network) << ", not stopped:" << joined(verdict.breaches) << "\n"
                 << verdict.output.substr(0, 4000));
  CHECK(verdict.stopped());
  CHECK_FALSE(verdict.reasons.empty());
  // The loop answers meanwhile.
  if (attack.id == "R3" || attack.id == "R7") CHECK(verdict.longest_stall < 2s);
}

// Those whose id begins with the letter.
void check_all(char letter) {
  for (const auto network : {Network::none, Network::loopback, Network::allow, Network::open}) {
    for (const auto spawn : {Spawn::fresh, Spawn::session}) {
      for (const auto& attack : listed_attacks()) {
        if (attack.id.front() == letter && attack::applies(attack, network))
          check_stopped(attack, spawn, network);
      }
    }
  }
}

}  // namespace

TEST_CASE("attacks on files are stopped", "[attack]") { check_all('F'); }

TEST_CASE("attempts to persist are stopped, and what is new is named", "[attack]") {
  check_all('P');
}

TEST_CASE("attempts to talk to somebody are stopped", "[attack]") { check_all('N'); }

TEST_CASE("attacks on the kernel's surface are stopped", "[attack]") { check_all('K'); }

TEST_CASE("attacks on other processes and on the machine's resources are stopped", "[attack]") {
  check_all('R');
}
