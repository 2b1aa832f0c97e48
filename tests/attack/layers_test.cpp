// With one layer left out, the others still stop most attacks; prints the table of docs/sandbox.md.
// Run as an ordinary user: without read-only mounts root's own files would be at stake.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/attack/attack_list.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::sandbox;
using sable::attack::Spawn;

TEST_CASE("with any one layer left out, four of five attacks are still stopped", "[.][ordinary]") {
  REQUIRE(::geteuid() != 0);
  std::printf("| left out | attacks still stopped | not stopped |\n| --- | --- | --- |\n");
  for (const std::string layer : {"landlock", "seccomp", "network_namespace", "capability_drop",
                                  "read_only_mounts", "namespace_limits"}) {
    int n = 0, n_stopped = 0;
    std::string lost, breaches;
    for (const auto& attack : attack::listed_attacks()) {
      const auto network = attack.needs_proxy ? Network::allow : Network::none;
      const auto verdict =
          attack::try_attack(attack, Spawn::fresh, network, "sable-launcher-without-" + layer);
      ++n;
      if (verdict.stopped()) ++n_stopped;
      if (!verdict.stopped()) lost += (lost.empty() ? "" : ", ") + attack.id;
      for (const auto& breach : verdict.breaches) breaches += "\n  " + attack.id + " " + breach;
    }
    std::string words = layer;
    std::replace(words.begin(), words.end(), '_', ' ');
    std::printf("| %s | %d of %d | %s |\n", words.c_str(), n_stopped, n, lost.c_str());
    std::fflush(stdout);
    INFO("without " << layer << ", not stopped:" << breaches);
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
