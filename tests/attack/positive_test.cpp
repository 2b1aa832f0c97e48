// What must work: ordinary development, without a false denial.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/sandbox/sandbox_runner.h"

using namespace sable;
using namespace sable::sandbox;
using sable::test::SandboxRunner;

namespace {

// Returns the protected names that were reported.
std::vector<std::filesystem::path> works(SandboxRunner& runner, const std::string& script,
                                         Network network = Network::none) {
  const auto outcome = runner.shell("set -e\n" + script, {.network = network});
  INFO(script << "\n" << outcome.output << outcome.errors);
  INFO((outcome.result ? outcome.result->explanation : outcome.result.error().message));
  REQUIRE(outcome.result);
  CHECK(outcome.result->end == End::exited);
  CHECK(outcome.result->exit_code == 0);
  CHECK(outcome.result->denials.empty());
  return outcome.result->protected_changes;
}

bool has(const char* program) {
  return ::access((std::string("/usr/bin/") + program).c_str(), X_OK) == 0;
}

constexpr const char* kGit = "git -c user.name=a -c user.email=a@example.com";

}  // namespace

TEST_CASE("C++ is compiled, linked and run", "[positive]") {
  SandboxRunner runner;
  runner.folder().write("main.cpp",
                        "#include <iostream>\nint main() { std::cout << \"fine\\n\"; }\n");
  works(runner, "c++ -O1 main.cpp -o main && ./main | grep -q fine");
}

TEST_CASE("cmake configures and make builds in parallel", "[positive][slow]") {
  SandboxRunner runner;
  runner.folder().write(
      "CMakeLists.txt",
      "cmake_minimum_required(VERSION 3.13)\nproject(p C)\nadd_executable(a a.c)\n"
      "add_executable(b b.c)\nenable_testing()\nadd_test(NAME a COMMAND a)\n");
  runner.folder().write("a.c", "int main(void) { return 0; }\n");
  runner.folder().write("b.c", "int main(void) { return 0; }\n");
  works(runner, "cmake -B build -G 'Unix Makefiles' . && make -C build -j4 && cd build && ctest");
}

TEST_CASE("git initialises, commits, shows and clones a local path", "[positive]") {
  SandboxRunner runner;
  const std::string git = kGit;
  const auto made = works(runner, "git init -q . && echo a > a && git add a && " + git +
                                      " commit -qm one && git log --oneline && "
                                      "git clone -q . copy && git -C copy status --short");
  // What a later program would believe is reported, and stays.
  const std::vector<std::filesystem::path> repositories = {runner.folder() / ".git",
                                                           runner.folder() / "copy/.git"};
  CHECK(made == repositories);
  CHECK(std::filesystem::exists(runner.folder() / "copy/.git/config"));
  // In the repository that now exists, and whose configuration is protected from here on.
  const auto more = works(
      runner, "echo b >> a && git status --short | grep -q a && git diff | grep -q b && " + git +
                  " commit -qam two && git checkout -q -b other && git branch && git stash list "
                  "&& git gc -q");
  CHECK(more.empty());
}

TEST_CASE("Python's tests run, threads and multiprocessing included", "[positive]") {
  SandboxRunner runner;
  runner.folder().write(
      "test_a.py",
      "import multiprocessing, subprocess, tempfile, threading, unittest\n"
      "class A(unittest.TestCase):\n"
      "  def test_pool(self):\n"
      "    with multiprocessing.Pool(2) as p: self.assertEqual(p.map(abs, [-1, 2]), [1, 2])\n"
      "  def test_thread(self):\n"
      "    t = threading.Thread(target=print); t.start(); t.join()\n"
      "  def test_child(self):\n"
      "    self.assertEqual(subprocess.check_output(['echo', 'x']), b'x\\n')\n"
      "  def test_file(self):\n"
      "    with tempfile.NamedTemporaryFile() as f: f.write(b'x')\n"
      "if __name__ == '__main__': unittest.main()\n");
  works(runner, "/usr/bin/python3 test_a.py");
}

TEST_CASE("make runs jobs in parallel", "[positive]") {
  SandboxRunner runner;
  runner.folder().write("Makefile", "all: a b c d\na b c d:\n\t@sleep 0.02; echo $@ > $@.out\n");
  works(runner, "make -s -j4 && ls a.out b.out c.out d.out");
}

TEST_CASE("an npm script runs", "[positive][slow][npm]") {
  if (!has("node") || !has("npm")) {
    WARN("NOT RUN: node and npm are not installed");
    return;
  }
  SandboxRunner runner;
  runner.folder().write(
      "package.json",
      R"({"name":"p","version":"1.0.0","scripts":{"test":"node -e 'console.log(1)'"}})");
  works(runner, "npm test --offline --no-update-notifier");
}

TEST_CASE("pipelines, sub-shells, here documents and background jobs work", "[positive]") {
  SandboxRunner runner;
  works(runner,
        "seq 1000 | sort -r | (head -1; cat > /dev/null) | grep -q 999; sleep 0.01 & wait; "
        "cat <<E | tr a b | grep -q b\na\nE\n"
        "mkfifo f; echo x > f & read y < f; [ $y = x ]; test -r /dev/stdin; echo ok > /dev/stderr");
}

TEST_CASE("a local server answers in loopback mode", "[positive]") {
  SandboxRunner runner;
  runner.folder().write("index.html", "hello");
  works(runner,
        "/usr/bin/python3 -m http.server 8123 --bind 127.0.0.1 >/dev/null 2>&1 &\n"
        "for i in $(seq 100); do /usr/bin/python3 -c \"import urllib.request as u; "
        "print(u.urlopen('http://127.0.0.1:8123/index.html').read())\" 2>/dev/null | grep -q hello "
        "&& exit 0; "
        "sleep 0.05; done; exit 1",
        Network::loopback);
}

TEST_CASE("a thousand calls, and thirty-two at once, leave nothing", "[positive][slow]") {
  SandboxRunner runner;
  REQUIRE(runner.run({"true"}).result);
  const int before = test::open_descriptors();
  for (int i = 0; i < 1000; ++i) {
    const auto outcome = runner.run({"true"});
    REQUIRE(outcome.result);
    REQUIRE(outcome.result->exit_code == 0);
  }
  const int before_loop = test::open_descriptors();
  CHECK(before_loop == before);
  asio::io_context loop;
  const int with_loop = test::open_descriptors();
  int n_fine = 0;
  for (int i = 0; i < 32; ++i) {
    asio::co_spawn(
        loop,
        runner.box().run({.writable = {runner.folder().path()}}, {.argv = {"sleep", "0.2"}}, {}),
        [&](const std::exception_ptr& failure, const Result<RunResult>& result) {
          if (!failure && result && result->exit_code == 0) ++n_fine;
        });
  }
  loop.run();
  CHECK(n_fine == 32);
  CHECK(test::open_descriptors() <= with_loop + 3);  // what Asio opens at its first use
  ::usleep(100'000);
  // Sandboxes made ahead for the next call with either policy, and nothing of these.
  CHECK(test::children_of(test::launcher_of(::getpid())) <= 2);
}
