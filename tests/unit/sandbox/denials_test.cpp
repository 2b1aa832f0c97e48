#include "sandbox/denials.h"

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable::sandbox;
using Catch::Contains;

namespace {

const Policy kPolicy{.readable = {"/home/me/tools"},
                     .writable = {"/home/me/repo"},
                     .masked = {"/home/me/repo/secret"}};

std::vector<std::string> explained(const std::string& output, const Policy& policy = kPolicy) {
  return explain_denials(policy, "/home/me/repo/src", output);
}

std::string one(const std::string& output, const Policy& policy = kPolicy) {
  const auto denials = explained(output, policy);
  CAPTURE(output, denials);
  REQUIRE(denials.size() == 1);
  return denials.front();
}

}  // namespace

TEST_CASE("a denied path is explained with its rule and its layer, however a program words it") {
  for (const char* line :
       {"touch: cannot touch '/usr/lib/x': Read-only file system\n",
        "touch: cannot touch \u2018/usr/lib/x\u2019: Read-only file system",
        "sh: 1: cannot create /usr/lib/x: Read-only file system",
        "OSError: [Errno 30] Read-only file system: '/usr/lib/x'",
        "error: could not lock config file ../../../../usr/lib/x: Read-only file system"}) {
    CHECK_THAT(one(line), Contains("\"/usr/lib/x\" may be read but not changed") &&
                              Contains("the policy \"tool\"") &&
                              Contains("writable under it is \"/home/me/repo\"") &&
                              Contains("read-only mounts and Landlock"));
  }
  CHECK_THAT(one("cat: /home/me/.ssh/id_ed25519: No such file or directory"),
             Contains("\"/home/me/.ssh/id_ed25519\" is outside of what the command may see") &&
                 Contains("readable \"/home/me/tools\""));
  CHECK_THAT(one("mv: cannot move 'a' to '../.git/hooks/pre-commit': Read-only file system"),
             Contains("\"/home/me/repo/.git/hooks/pre-commit\" is protected: repository control"));
  CHECK_THAT(one("cat: ../secret/key: Permission denied"), Contains("masked by the policy"));
}

TEST_CASE("a denied address is explained by the network that the policy allows") {
  CHECK_THAT(one("curl: (6) Could not resolve host: example.org"),
             Contains("\"example.org\" cannot be reached: the policy's network is \"none\"") &&
                 Contains("network namespace"));
  CHECK_THAT(one("connect to 192.0.2.1: Network is unreachable", {.network = Network::loopback}),
             Contains("\"192.0.2.1\"") && Contains("\"loopback\""));
  const Policy allow{.network = Network::allow, .allowed_hosts = {{.name = "example.org"}}};
  CHECK_THAT(
      one("fatal: unable to access 'https://evil.org/x': Could not resolve host: evil.org", allow),
      Contains("\"evil.org\" cannot be reached directly") && Contains("example.org:443"));
  CHECK(explained("Could not resolve host: example.org", {.network = Network::open}).empty());
}

TEST_CASE("a limit that was met is explained") {
  CHECK_THAT(one("sh: 1: Cannot fork"), Contains("320 at once"));
  CHECK_THAT(one("dd: error writing '/tmp/x': No space left on device"),
             Contains("temporary folders hold 536870912 bytes"));
  CHECK_THAT(one("dd: error writing 'x': File too large"), Contains("RLIMIT_FSIZE"));
}

TEST_CASE("what is not the sandbox's doing is not explained by it") {
  CHECK(explained("").empty());
  CHECK(explained("cat: missing.txt: No such file or directory").empty());
  CHECK(explained("main.c:1:10: fatal error: foo/bar.h: No such file or directory").empty());
  CHECK(explained("sh: 1: ./build.sh: Permission denied").empty());
  CHECK(explained("gcc: error: /usr/lib/crt9.o: No such file or directory").empty());
  CHECK(explained("Permission denied").empty());
  CHECK(explained("write /home/me/repo/out: No space left on device").empty());
}

TEST_CASE("hostile output is explained within bounds, and shown escaped") {
  std::string output;
  for (int i = 0; i < 1000; ++i)
    output += "x: /outside/" + std::to_string(i) + ": Permission denied\n";
  CHECK(explained(output).size() == kDenialsMax);
  CHECK_THAT(one("cat: '/a\x1b[2J': Permission denied"), !Contains("\x1b"));
  CHECK(explained(std::string(100'000, '\'') + "Permission denied").empty());
  CHECK(explained(std::string("/a\0b: Permission denied", 23)).empty());
}

TEST_CASE("the result of a command that failed says what was denied, and of another nothing") {
  sable::test::SandboxRunner runner;
  const auto denied = runner.shell("touch /usr/lib/x; cat /root/.bashrc; exit 1");
  REQUIRE(denied.result);
  CHECK(denied.result->denials.size() == 2);
  const auto fine = runner.shell("touch /usr/lib/x; true");
  REQUIRE(fine.result);
  CHECK(fine.result->denials.empty());
}
