// The same attacks once more as an ordinary user, when these tests run as root.
#include <cstdlib>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

TEST_CASE("as an ordinary user every attack is stopped and ordinary work is done as well",
          "[slow][ordinary]") {
  if (::geteuid() != 0) {
    WARN("not root: the other cases have run as an ordinary user already");
    return;
  }
  constexpr uid_t kNobody = 65534;
  const sable::test::TemporaryFolder home;
  REQUIRE(::chown(home.path().c_str(), kNobody, kNobody) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)
      ::_exit(100);
    ::setenv("HOME", home.path().c_str(), 1);
    ::setenv("TMPDIR", home.path().c_str(), 1);
    if (::chdir(home.path().c_str()) != 0) ::_exit(101);
    const std::string program = std::string(SABLE_BINARY_DIR) + "/test_attacks";
    ::execl(program.c_str(), program.c_str(), "~[ordinary]~[.]", nullptr);
    ::_exit(102);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
