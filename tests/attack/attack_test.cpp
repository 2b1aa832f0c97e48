// Every attack of the table, in every network mode and both spawn modes: each attempt inside must
// be stopped, and the host must be as it was.
#include <catch2/catch.hpp>

#include "tests/attack/attack_host.h"

using namespace sable;
using namespace sable::sandbox;
using namespace std::chrono_literals;
using sable::attack::AttackHost;
using sable::attack::AttackOutcome;
using sable::attack::Spawn;

namespace {

const char* mode_name(Network network) {
  constexpr const char* kNames[] = {"none", "loopback", "allow", "open"};
  return kNames[static_cast<size_t>(network)];
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

constexpr Spawn kSpawns[] = {Spawn::fresh, Spawn::session};

void check_stopped(const std::string& id, Spawn spawn, Network network,
                   const AttackOutcome& outcome) {
  INFO(id << (spawn == Spawn::fresh ? " fresh" : " in a session") << " in mode "
          << mode_name(network) << "\n"
          << outcome.run.output << outcome.run.errors);
  INFO("damage: " << joined(outcome.host_damage));
  INFO((outcome.run.result ? outcome.run.result->explanation : outcome.run.result.error().message));
  REQUIRE(outcome.run.result);
  CHECK(outcome.run.result->end == End::exited);
  CHECK(outcome.run.result->exit_code == 0);
  CHECK(outcome.host_damage.empty());
}

struct Mode {
  Spawn spawn;
  Network network;
};

std::vector<Mode> all_modes() {
  std::vector<Mode> modes;
  for (const auto network : {Network::none, Network::loopback, Network::allow, Network::open}) {
    for (const auto spawn : kSpawns) modes.push_back({spawn, network});
  }
  return modes;
}

void run_all(std::initializer_list<const char*> ids) {
  for (const auto [spawn, network] : all_modes()) {
    for (const char* id : ids) {
      AttackHost host;
      check_stopped(id, spawn, network, host.run(id, spawn, network));
    }
  }
}

void check_untouched(const AttackOutcome& outcome, End end) {
  INFO(outcome.run.output.substr(0, 2000));
  INFO("damage: " << joined(outcome.host_damage));
  REQUIRE(outcome.run.result);
  CHECK(outcome.run.result->end == end);
  CHECK_FALSE(outcome.run.result->explanation.empty());
  CHECK(outcome.host_damage.empty());
}

}  // namespace

TEST_CASE("attacks on files are stopped", "[attack]") {
  run_all({"F1", "F2", "F3", "F4", "F6", "F7", "F8", "F9", "F10", "F11", "F12"});
}

TEST_CASE("attempts to persist are stopped", "[attack]") { run_all({"P1", "P2", "P5", "P6"}); }

TEST_CASE("attempts to talk to somebody are stopped", "[attack]") {
  for (const auto [spawn, network] : all_modes()) {
    if (network == Network::open) continue;
    for (const char* id : {"N1", "N2", "N3", "N4"}) {
      AttackHost host;
      check_stopped(id, spawn, network, host.run(id, spawn, network));
    }
  }
  run_all({"N5", "N6", "N7", "N8"});
}

TEST_CASE("N9: of a list of hosts the proxy lets through those, and nothing else", "[attack]") {
  for (const auto spawn : kSpawns) {
    AttackHost host;
    const auto outcome = host.run("N9", spawn, Network::allow);
    check_stopped("N9", spawn, Network::allow, outcome);
    // Every one of them is written down.
    const auto& decisions = outcome.run.result->network_decisions;
    CHECK(decisions.size() >= 15);
    for (const auto& decision : decisions) CHECK_FALSE(decision.allowed);
  }
}

TEST_CASE("attacks on the kernel's surface are stopped", "[attack]") {
  run_all({"K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9"});
}

TEST_CASE("attacks on other processes, and inheritance, are stopped", "[attack]") {
  run_all({"R1", "R2", "R9"});
}

TEST_CASE("P3: a repository cannot be moved or replaced, and a new pointer in it is named",
          "[attack]") {
  for (const auto [spawn, network] : all_modes()) {
    AttackHost host;
    const auto outcome = host.run("P3", spawn, network);
    check_stopped("P3", spawn, network, outcome);
    const std::vector<std::filesystem::path> expected = {host.runner().folder() /
                                                         "nested/deep/.git/commondir"};
    CHECK(outcome.run.result->protected_changes == expected);
  }
}

TEST_CASE("P4: protected names that a call makes are named in its result", "[attack]") {
  for (const auto [spawn, network] : all_modes()) {
    AttackHost host;
    const auto outcome = host.run("P4", spawn, network);
    check_stopped("P4", spawn, network, outcome);
    const auto& changed = outcome.run.result->protected_changes;
    const auto& workspace = host.runner().folder();
    CHECK(std::count(changed.begin(), changed.end(), workspace / ".vscode") == 1);
    CHECK(std::count(changed.begin(), changed.end(), workspace / ".envrc") == 1);
    CHECK(changed.size() == 2);
  }
}

TEST_CASE("R3: a fork bomb meets its bound while the loop goes on answering", "[attack]") {
  for (const auto [spawn, network] : all_modes()) {
    AttackHost host;
    const auto outcome =
        host.run("R3", spawn, network, {.wall = 1500ms, .grace = 100ms, .processes = 100});
    check_stopped("R3", spawn, network, outcome);
    CHECK(outcome.longest_stall < 100ms);
  }
}

TEST_CASE("R4: four times the memory limit, by one process and by many, ends the call",
          "[attack]") {
  const Limits limits{.memory_bytes = uint64_t{64} << 20};
  const Limits small{.memory_bytes = uint64_t{64} << 20, .temporary_bytes = uint64_t{16} << 20};
  for (const auto spawn : kSpawns) {
    AttackHost host;
    check_untouched(
        host.run("R4", spawn, Network::none, limits, {{"MEMORY_MB", "256"}, {"PROCESSES", "1"}}),
        End::memory_limit);
    check_untouched(
        host.run("R4", spawn, Network::none, limits, {{"MEMORY_MB", "32"}, {"PROCESSES", "8"}}),
        End::memory_limit);
    check_untouched(host.run("R4-unmapped", spawn, Network::none, small, {{"MEMORY_MB", "256"}}),
                    End::memory_limit);
  }
}

TEST_CASE("R5: full temporary folders and huge files meet their bounds", "[attack]") {
  const Limits limits{.file_bytes = uint64_t{8} << 20, .temporary_bytes = uint64_t{32} << 20};
  for (const auto spawn : kSpawns) {
    AttackHost host;
    check_stopped("R5", spawn, Network::none, host.run("R5", spawn, Network::none, limits));
  }
}

TEST_CASE("R6: a call that ignores SIGTERM ends at deadline plus grace", "[attack]") {
  for (const auto spawn : kSpawns) {
    AttackHost host;
    const auto outcome = host.run("R6", spawn, Network::none, {.wall = 500ms, .grace = 200ms});
    check_untouched(outcome, End::deadline);
    CHECK(outcome.run.result->wall < 1200ms);
  }
}

TEST_CASE("R7: a gibibyte of control sequences is cut off at the limit", "[attack]") {
  for (const auto spawn : kSpawns) {
    AttackHost host;
    const auto outcome = host.run("R7", spawn, Network::none, {.output_bytes = uint64_t{1} << 20});
    check_untouched(outcome, End::output_limit);
    CHECK(outcome.longest_stall < 100ms);
  }
}
