// With one layer left out, the others still stop most attacks. Run as an ordinary user: without
// read-only mounts root's own files would be at stake.
#include <cstdlib>
#include <grp.h>
#include <sstream>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/attack/attack_host.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::sandbox;
using sable::attack::AttackHost;
using sable::attack::Spawn;

namespace {

constexpr const char* kAttacks[] = {"F1",  "F2",  "F3", "F4", "F6", "F7", "F8", "F9", "F10",
                                    "F11", "F12", "P1", "P2", "P3", "P5", "P6", "N1", "N2",
                                    "N3",  "N4",  "N5", "N6", "N7", "N8", "K1", "K2", "K3",
                                    "K4",  "K5",  "K6", "K7", "K8", "K9", "R1", "R2", "R9"};

std::string breaches_of(const attack::AttackOutcome& outcome) {
  std::string lines;
  std::istringstream output(outcome.run.output);
  for (std::string line; std::getline(output, line);) {
    if (line.rfind("BREACH", 0) == 0) lines += "\n    " + line;
  }
  for (const auto& damage : outcome.host_damage) lines += "\n    damage: " + damage;
  return lines;
}

}  // namespace

TEST_CASE("with any one layer left out, four of five attacks are still stopped", "[.][ordinary]") {
  REQUIRE(::geteuid() != 0);
  for (const std::string layer : {"landlock", "seccomp", "network_namespace", "capability_drop",
                                  "read_only_mounts", "namespace_limits"}) {
    int n = 0, n_stopped = 0;
    std::string lost;
    for (const char* id : kAttacks) {
      AttackHost host("sable-launcher-without-" + layer);
      const auto outcome = host.run(id, Spawn::fresh, Network::none);
      ++n;
      const bool stopped = outcome.run.result && outcome.run.result->end == End::exited &&
                           outcome.run.result->exit_code == 0 && outcome.host_damage.empty();
      if (stopped) {
        ++n_stopped;
      } else {
        lost += std::string("\n  ") + id + breaches_of(outcome);
      }
    }
    WARN("without " << layer << ": " << n_stopped << " of " << n << " stopped; not:" << lost);
    CHECK(n_stopped * 5 >= n * 4);
  }
}

TEST_CASE("the layers one by one, as an ordinary user", "[slow]") {
  const test::TemporaryFolder home;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0) {
      constexpr uid_t kNobody = 65534;
      if (::chown(home.path().c_str(), kNobody, kNobody) != 0 || ::setgroups(0, nullptr) != 0 ||
          ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) {
        ::_exit(100);
      }
    }
    ::setenv("HOME", home.path().c_str(), 1);
    ::setenv("TMPDIR", home.path().c_str(), 1);
    if (::chdir(home.path().c_str()) != 0) ::_exit(101);
    const std::string program = std::string(SABLE_BINARY_DIR) + "/test_layers";
    ::execl(program.c_str(), program.c_str(), "[ordinary]", nullptr);
    ::_exit(102);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
