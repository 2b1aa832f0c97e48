// Tasks made for every family, with the real tools: their teacher passes, whoever does nothing
// fails.
#include "evaluation/made_task.h"

#include <set>

#include <catch2/catch.hpp>

#include "evaluation/evaluation.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::evaluation;

namespace {

const std::string kLauncher = std::string(SABLE_BINARY_DIR) + "/sable-launcher";

std::unique_ptr<sandbox::Sandbox> start_sandbox() {
  auto sandbox = sandbox::Sandbox::start(kLauncher);
  if (!sandbox) FAIL(sandbox.error().message);
  return std::move(*sandbox);
}

std::unique_ptr<Workbench> open_bench(const test::TemporaryFolder& folder) {
  auto bench = Workbench::open(folder / "bench", start_sandbox());
  if (!bench) FAIL(bench.error().message);
  return std::move(*bench);
}

const MadeUpCode made_up;
const World world{.source = made_up};

/// Whether the files are to stay as they are.
bool only_asks(const MadeTask& task) { return task.truth.files == task.before; }

}  // namespace

TEST_CASE("the same seed makes the same task, another number another one") {
  const test::TemporaryFolder folder;
  const auto bench = open_bench(folder);
  const auto a = make_task("set", 7, 0, world, *bench), b = make_task("set", 7, 0, world, *bench),
             c = make_task("set", 7, 1, world, *bench);
  REQUIRE(a);
  REQUIRE(b);
  REQUIRE(c);
  CHECK(a->name == "set-1");
  CHECK(a->instruction == b->instruction);
  CHECK(a->before == b->before);
  CHECK(a->truth.files == b->truth.files);
  CHECK(a->before != c->before);
  CHECK_FALSE(make_task("sets", 7, 0, world, *bench));
}

TEST_CASE("a task of each family is not done by doing nothing") {
  const test::TemporaryFolder folder;
  const auto bench = open_bench(folder);
  for (const auto family : families()) {
    const auto task = make_task(family, 3, 0, world, *bench);
    INFO(family);
    REQUIRE(task);
    INFO(task->instruction);
    CHECK_FALSE(task->instruction.empty());
    CHECK_FALSE(task->before.empty());
    // What is right is right whatever the words, so the files alone are asked here.
    auto silent = *task;
    silent.truth.answer = Truth::Answer::free;
    CHECK(judge(silent, {"finished", "", task->truth.files}).passed);
    CHECK(judge(silent, {"finished", "", task->before}).passed == only_asks(*task));
    const bool asks = task->truth.answer != Truth::Answer::free;
    CHECK((asks || !only_asks(*task)));
    if (asks) CHECK_FALSE(judge(*task, {"finished", "Done.", task->truth.files}).passed);
  }
}

TEST_CASE("the check of a corrected function passes for its teacher and not for the mistake") {
  const test::TemporaryFolder folder;
  const auto bench = open_bench(folder);
  const auto sandbox = start_sandbox();
  asio::io_context loop;
  std::set<std::string> languages;
  for (size_t number = 0; number < 40 && languages.size() < 3; ++number) {
    const auto task = make_task("fix", 5, number, world, *bench);
    REQUIRE(task);
    if (task->truth.check.empty()) continue;
    const std::string language = task->truth.mended.substr(task->truth.mended.rfind('.'));
    if (!languages.insert(language).second) continue;
    const auto passes = [&](const Files& files) {
      const auto root = folder / (language + (files == task->before ? "-before" : "-after"));
      REQUIRE(write_files(files, root));
      const auto result = test::run(run_check(*sandbox, sandbox::Policy{},
                                              {.script = task->truth.check, .repository = root}));
      if (!result) FAIL(result.error().message);
      UNSCOPED_INFO(result->why);
      return result->passed;
    };
    INFO(task->truth.check);
    CHECK(passes(task->truth.files));
    CHECK_FALSE(passes(task->before));
  }
  CHECK(languages.size() == 3);
}

TEST_CASE("a check hears the answer, sees its task and may write only into the repository") {
  const test::TemporaryFolder folder;
  const auto sandbox = start_sandbox();
  folder.write("task/truth.txt", "42");
  folder.write("repository/a.txt", "");
  const auto run = [&](const std::string& script) {
    const auto result = test::run(run_check(*sandbox, sandbox::Policy{},
                                            {.script = script,
                                             .repository = folder / "repository",
                                             .task = folder / "task",
                                             .answer = "It is 42.\n"}));
    if (!result) FAIL(result.error().message);
    return *result;
  };
  CHECK(run("grep -q \"$(cat \"$TASK/truth.txt\")\"").passed);
  CHECK(run("touch b.txt").passed);
  CHECK_FALSE(run("touch \"$TASK/truth.txt\"").passed);
  const auto failed = run("echo one; echo 'not two' >&2; exit 4");
  CHECK_FALSE(failed.passed);
  CHECK(failed.why == "the check ended with exit code 4: not two");
}
