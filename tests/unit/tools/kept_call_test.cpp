// Calls whose changes are kept apart, in the real sandbox: applied, dropped, refused.
#include <filesystem>
#include <functional>

#include <catch2/catch.hpp>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
using namespace sable::tools;
namespace fs = std::filesystem;

namespace {

/// Decides as the test says, and remembers what it was asked.
class Reviewer final : public ChangeReviewer {
 public:
  explicit Reviewer(Review decision) : decision_(std::move(decision)) {}

  asio::awaitable<Review> review(const ProposedChanges& changes) override {
    ++n_asked;
    asked = changes;
    if (meanwhile) meanwhile();
    co_return decision_;
  }

  int n_asked = 0;
  ProposedChanges asked;
  std::function<void()> meanwhile;  ///< while the question is open

 private:
  const Review decision_;
};

const Review kYes{.apply = true, .reason = "the user applied them"};
const Review kNo{.reason = "the user dropped them"};

/// A workspace with a tool that runs `script` and keeps apart what it changes.
class KeptCall : public test::SandboxedTools {
 public:
  KeptCall(Reviewer& with, const std::string& script) {
    reviewer = &with;
    folder.write("old", "one\n");
    folder.write("gone", "gone\n");
    const auto added = registry.add_yaml(
        "tools:\n  - name: change\n    description: d\n    parameters: {type: object}\n"
        "    run: {argv: [sh, -c, '" +
            script + "']}\n    sandbox: {files: transaction}\n",
        "t.yaml");
    if (!added) FAIL(added.error().message);
  }

  Outcome change() { return call("change", Json::object()); }
  bool untouched() const {
    return folder.read("old") == "one\n" && folder.read("gone") == "gone\n" &&
           !fs::exists(folder / "new") && !fs::exists(folder / ".vscode");
  }
};

constexpr const char* kScript = "echo two >> old; rm gone; echo made > new; echo said";

}  // namespace

TEST_CASE("what a call keeps apart is shown before it is real, and then applied as a whole") {
  Reviewer yes(kYes);
  KeptCall at(yes, kScript);
  bool early = true;
  yes.meanwhile = [&] { early = !at.untouched(); };
  const auto outcome = at.change();
  INFO(outcome.text);
  CHECK(outcome.ok);
  CHECK_FALSE(early);
  CHECK(yes.n_asked == 1);
  CHECK(yes.asked.about == "change (exit code 0)");
  const auto shown = yes.asked.text(10'000);
  CHECK(contains(shown, "modified old\n"));
  CHECK(contains(shown, "+two\n"));
  CHECK(contains(shown, "removed gone\n"));
  CHECK(contains(shown, "created new\n"));

  CHECK(at.folder.read("old") == "one\ntwo\n");
  CHECK_FALSE(fs::exists(at.folder / "gone"));
  CHECK(at.folder.read("new") == "made\n");
  CHECK(outcome.text.starts_with("said\n"));
  CHECK(contains(outcome.text, "then applied as a whole: the user applied them]\n"));
  CHECK(contains(outcome.text, "+two\n"));
  REQUIRE(outcome.changes.size() == 3);  // as edits are told: for front ends and the log
  CHECK(outcome.changes[2].path == "old");
  CHECK(outcome.changes[2].before == "one\n");
  CHECK(outcome.changes[2].after == "one\ntwo\n");
  CHECK_FALSE(outcome.changes[0].after.has_value());
  CHECK(outcome.details["kept_apart"]["applied"] == true);
  CHECK(outcome.details["kept_apart"]["n_changes"] == 3);
  CHECK(fs::is_empty(at.kept_apart.path()));
}

TEST_CASE("what is dropped leaves nothing, and the model reads what it would have been") {
  Reviewer no(kNo);
  KeptCall at(no, kScript);
  const auto outcome = at.change();
  CHECK_FALSE(outcome.ok);
  CHECK(at.untouched());
  CHECK(outcome.changes.empty());
  CHECK(contains(outcome.text, "nothing of them is in the workspace: the user dropped them]\n"));
  CHECK(contains(outcome.text, "+two\n"));
  CHECK(outcome.details["kept_apart"]["applied"] == false);
  CHECK(fs::is_empty(at.kept_apart.path()));
  at.reviewer = nullptr;
  CHECK(contains(at.change().text, "nobody can be asked here"));
  CHECK(at.untouched());
}

TEST_CASE("a call that changes nothing is not asked about") {
  Reviewer yes(kYes);
  KeptCall at(yes, "echo one > old; cat gone; echo x > /tmp/elsewhere");
  const auto outcome = at.change();
  CHECK(outcome.ok);
  CHECK(outcome.text == "gone\n");
  CHECK(yes.n_asked == 0);
  CHECK_FALSE(outcome.details.contains("kept_apart"));
}

TEST_CASE("a file that somebody else changes meanwhile stays theirs, and nothing is half applied") {
  Reviewer yes(kYes);
  KeptCall at(yes, kScript);
  yes.meanwhile = [&] { at.folder.write("old", "theirs\n"); };
  const auto outcome = at.change();
  CHECK_FALSE(outcome.ok);
  CHECK(contains(outcome.text, "\"old\" was changed by somebody else"));
  CHECK(contains(outcome.text, "nothing was applied"));
  CHECK(at.folder.read("old") == "theirs\n");
  CHECK(at.folder.read("gone") == "gone\n");
  CHECK_FALSE(fs::exists(at.folder / "new"));
}

TEST_CASE("what programs outside run or trust is applied only for a person who has seen it") {
  Reviewer mode(kYes);
  KeptCall refused(mode, "echo made > new; mkdir .vscode; echo x > .vscode/tasks.json");
  const auto outcome = refused.change();
  CHECK_FALSE(outcome.ok);
  CHECK(mode.asked.has_protected());
  CHECK(contains(mode.asked.text(10'000), "(protected: programs outside run or trust it)\n"));
  CHECK(contains(outcome.text, "is run or believed by programs outside the sandbox"));
  CHECK(refused.untouched());

  Reviewer person({.apply = true, .accepts_protected = true, .reason = "seen"});
  KeptCall applied(person, "echo made > new; mkdir .vscode; echo x > .vscode/tasks.json");
  CHECK(applied.change().ok);
  CHECK(applied.folder.read(".vscode/tasks.json") == "x\n");
}

TEST_CASE("what lies behind a link that a call replaces by a folder is not shown to anybody") {
  Reviewer no(kNo);
  KeptCall at(no, "rm link; mkdir link; echo x > link/secret; echo y > link/other");
  const test::TemporaryFolder outside;
  outside.write("secret", "PRIVATE\n");
  fs::create_directory_symlink(outside.path(), at.folder / "link");
  const auto outcome = at.change();
  CHECK(contains(outcome.text, "created link/secret\n"));
  CHECK(contains(outcome.text, "+x\n"));
  CHECK_FALSE(contains(outcome.text, "PRIVATE"));
}

TEST_CASE("under a policy that keeps changes apart shell does, and nothing runs beside it") {
  Reviewer yes(kYes);
  KeptCall at(yes, "true");
  at.open({.files = sandbox::FileEffects::transaction});
  bool early = true;
  yes.meanwhile = [&] { early = fs::exists(at.folder / "sub"); };
  const auto made = at.call("shell", {{"command", "mkdir sub && cd sub && echo x > file"}});
  INFO(made.text);
  CHECK(made.ok);
  CHECK_FALSE(early);
  CHECK(at.folder.read("sub/file") == "x\n");
  CHECK(contains(yes.asked.about, "shell (exit code 0"));
  const auto later = at.call("shell", {{"command", "pwd; cat file"}});
  CHECK(contains(later.text, "sub\nx\n"));
  CHECK(yes.n_asked == 1);
  const auto beside = at.call("process_start", {{"command", "sleep 60"}});
  CHECK_FALSE(beside.ok);
  CHECK(contains(beside.text, "run it with shell"));
  CHECK(at.call("change", Json::object()).ok);
}

TEST_CASE("changes that are too many or too long to be shown are counted") {
  ProposedChanges changes;
  for (int i = 0; i < 5; ++i) {
    changes.changes.push_back({.root = "/r", .path = "f" + std::to_string(i), .file = {}});
  }
  changes.changes[0].file = FileChange{.path = "f0", .diff = std::string(100, 'x')};
  const auto text = changes.text(64);
  CHECK(contains(text, "created f0\n[its diff is too long to be shown here]\n"));
  CHECK_FALSE(contains(text, "xx"));
  CHECK(contains(text, "more changes]\n"));
  CHECK(contains(changes.text(10'000), "created f4\n"));
}
