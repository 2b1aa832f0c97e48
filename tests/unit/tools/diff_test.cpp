// Unified diffs: what the diff program says, for people, bounded.
#include "tools/diff.h"

#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "base/child_process.h"
#include "base/text.h"
#include "tests/support/temporary_folder.h"
#include "tools/tools.h"

using namespace sable;
using namespace sable::tools;

namespace {

std::string diff(std::optional<std::string> before, std::optional<std::string> after,
                 size_t context = 3) {
  return unified_diff({.path = "f", .before = std::move(before), .after = std::move(after)},
                      context);
}

}  // namespace

TEST_CASE("a changed line is shown with its context") {
  CHECK(diff("a\nb\nc\nd\ne\n", "a\nb\nC\nd\ne\n", 1) ==
        "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n");
  CHECK(diff("same\n", "same\n").empty());
}

TEST_CASE("new and removed files are shown against nothing") {
  CHECK(diff(std::nullopt, "a\nb\n") == "--- /dev/null\n+++ b/f\n@@ -0,0 +1,2 @@\n+a\n+b\n");
  CHECK(diff("a\n", std::nullopt) == "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
  CHECK(diff(std::nullopt, "") == "--- /dev/null\n+++ b/f\n");
}

TEST_CASE("a missing final newline is a difference") {
  CHECK(diff("a\nb", "a\nb\n") ==
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n");
  CHECK(diff("a\nb", "x\nb") ==
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+x\n b\n\\ No newline at end of file\n");
}

TEST_CASE("changes far apart come in hunks of their own") {
  std::string before, after;
  for (int i = 1; i <= 30; ++i) {
    before += std::to_string(i) + "\n";
    after += (i == 5 || i == 25 ? "x" : std::to_string(i)) + "\n";
  }
  const auto text = diff(before, after, 2);
  CHECK(text.find("@@ -3,5 +3,5 @@") != std::string::npos);
  CHECK(text.find("@@ -23,5 +23,5 @@") != std::string::npos);
}

TEST_CASE("diffs are inert, and CR is shown only where line ends are mixed") {
  const auto text = diff("a\x1b[31m\n", "b\xFF\n");
  CHECK(text.find("-a\\x1b[31m\n") != std::string::npos);
  CHECK(is_utf8(text));
  CHECK(diff("a\r\nb\r\n", "a\r\nc\r\n").find("\\x0d") == std::string::npos);
  CHECK(diff("a\r\n", "a\n").find("-a\\x0d\n+a\n") != std::string::npos);
  CHECK(unified_diff({.path = "x\ny", .before = "", .after = "1"}).find("b/x\\ny\n") !=
        std::string::npos);
}

TEST_CASE("a diff of very different large texts is bounded in time and size") {
  std::string before, after;
  for (int i = 0; i < 20'000; ++i) {
    before += "a" + std::to_string(i) + "\n";
    after += "b" + std::to_string(i) + "\n";
  }
  const auto text = diff(before, after);
  CHECK(text.find("[... diff cut after 4000 lines]") != std::string::npos);
  CHECK(text.size() < 100'000);
}

TEST_CASE("the changes turn one text into the other") {
  rc::prop("applying the changes gives the new lines", [] {
    const auto lines = rc::gen::container<std::vector<std::string>>(
        rc::gen::element<std::string>("a", "b", "c", "d"));
    const auto a = *lines, b = *lines;
    const std::vector<std::string_view> before(a.begin(), a.end()), after(b.begin(), b.end());
    std::vector<std::string_view> made;
    size_t at = 0;
    for (const auto& change : diff_lines(before, after)) {
      RC_ASSERT(change.before >= at);
      RC_ASSERT(change.n_before + change.n_after > 0u);
      for (; at < change.before; ++at) made.push_back(before[at]);
      at += change.n_before;
      RC_ASSERT(made.size() == change.after);
      for (size_t i = 0; i < change.n_after; ++i) made.push_back(after[change.after + i]);
    }
    for (; at < before.size(); ++at) made.push_back(before[at]);
    RC_ASSERT(made == after);
  });
}

TEST_CASE("patch(1) turns the old file into the new one by our diff") {
  rc::prop("patch applies", [] {
    const auto text =
        rc::gen::map(rc::gen::container<std::string>(rc::gen::element('a', 'b', '\n', '\n')),
                     [](std::string t) { return t; });
    const std::string before = *text, after = *text;
    if (before == after || before.empty() || after.empty()) return;
    const test::TemporaryFolder folder;
    folder.write("f", before);
    folder.write("p", unified_diff({.path = "f", .before = before, .after = after}));
    auto child = ChildProcess::start({.argv = {"patch", "-p1", "-s", "-i", "p"},
                                      .environment = {"PATH=/usr/bin:/bin"},
                                      .working_directory = folder.path().string()});
    if (!child) return;  // not installed
    const auto ended = child->wait();
    RC_ASSERT(ended.has_value());
    RC_ASSERT(ended->exit_code == 0);
    RC_ASSERT(folder.read("f") == after);
  });
}
