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
        "Error: EROFS: read-only file system, open '/usr/lib/x'",
        "open /usr/lib/x: read-only file system",
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

TEST_CASE(
    "the address is found in the messages of many programs, and no other word is taken for it") {
  const std::pair<const char*, const char*> messages[] = {
      {"socket.gaierror: [Errno -3] Temporary failure in name resolution", "the network"},
      {"urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>",
       "the network"},
      {"  File \"/usr/lib/python3.11/socket.py\", line 962, in x: Network is unreachable",
       "the network"},
      {"requests.exceptions.ConnectionError: HTTPSConnectionPool(host='example.org', port=443): "
       "Max retries: [Errno -3] Temporary failure in name resolution",
       "\"example.org\""},
      {"Connecting to example.org (example.org)|192.0.2.7|:443... failed: Network is unreachable.",
       "\"192.0.2.7\""},
      {"Connecting to example.org|2001:db8::1|:80... failed: Network is unreachable.",
       "\"2001:db8::1\""},
      {"connect to [2001:db8::2]:443: Network is unreachable", "\"2001:db8::2\""},
      {"wget: unable to resolve host address \u2018example.org\u2019", "\"example.org\""},
      {"Error: getaddrinfo EAI_AGAIN example.org", "\"example.org\""},
      {"Error: connect EAFNOSUPPORT 192.0.2.9:443 - Local (undefined:undefined)", "\"192.0.2.9\""},
      {"dial tcp: lookup example.org: no such host", "\"example.org\""},
      {"dial tcp 192.0.2.1:443: connect: network is unreachable", "\"192.0.2.1\""},
      {"E: Failed to fetch http://deb.example.org:80/x  Temporary failure resolving "
       "'deb.example.org'",
       "\"deb.example.org\""},
      {"fatal: unable to access 'https://user@example.org:8443/x/': Could not resolve host: "
       "example.org",
       "\"user@example.org\""}};
  for (const auto& [message, subject] : messages) {
    INFO(message);
    CHECK_THAT(one(message), Catch::StartsWith(std::string(subject) + " cannot be reached"));
  }
}

TEST_CASE("a deed that no policy allows is explained, however a program words it") {
  for (const char* line :
       {"unshare: unshare failed: Operation not permitted",
        "bwrap: Creating new namespace failed: Operation not permitted",
        "bwrap: No permissions to create new namespace, likely because the kernel does not allow "
        "non-privileged user namespaces: Operation not permitted",
        "nsenter: reassociate to namespace failed: Operation not permitted"}) {
    CHECK_THAT(one(line), Contains("new namespaces") && Contains("seccomp"));
  }
  for (const char* line :
       {"mount: /mnt: permission denied.", "mount: /mnt: must be superuser to use mount.",
        "umount: /proc: must be superuser to unmount.",
        "mount: /dev/sda1: Operation not permitted"}) {
    CHECK_THAT(one(line), Contains("mounted") && Contains("seccomp"));
  }
  for (const char* line : {"chmod: changing permissions of './tool': Operation not permitted",
                           "PermissionError: [Errno 1] Operation not permitted: './tool'",
                           "Error: EPERM: operation not permitted, chmod './tool'",
                           "chown: changing ownership of './tool': Operation not permitted"}) {
    CHECK_THAT(one(line), Contains("/tool\" lies in a writable folder") &&
                              Contains("set-user-id") && Contains("seccomp"));
  }
  CHECK_THAT(one("mv: cannot move '../tools' to '../other': Device or resource busy"),
             Contains("cannot be moved or removed") && Contains("held by a mount"));
  CHECK_THAT(one("strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted"),
             Contains("traced"));
  // The word in a path is no deed.
  CHECK(explained("cat: namespace/x: No such file or directory").empty());
  CHECK(explained("cat: /usr/share/namespace/x: Permission denied").empty());
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
