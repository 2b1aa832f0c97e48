#include "tests/unit/tools/tool_fixture.h"

#include <catch2/catch.hpp>

#include "base/check.h"

namespace sable::test {

void ToolFixture::open(sandbox::Policy policy, tools::Workspace::Access access) {
  close();
  auto opened = tools::Workspace::open(folder.path(), std::move(policy), access);
  SABLE_CHECK(opened.has_value());
  workspace_ = std::move(*opened);
}

void ToolFixture::close() {
  if (workspace_ == nullptr) return;
  asio::co_spawn(loop_, workspace_->close(),
                 [](const std::exception_ptr& failure) { SABLE_CHECK(!failure); });
  loop_.restart();
  loop_.run();
}

tools::Outcome ToolFixture::call(const std::string& tool, Json arguments) {
  const auto checked = registry.check({.id = "c", .name = tool, .arguments = arguments});
  if (!checked) return {.ok = false, .text = checked.error().message};
  return run(tool, std::move(arguments));
}

tools::Outcome ToolFixture::run(const std::string& tool, Json arguments) {
  tools::CallContext context{.workspace = *workspace_,
                             .sandbox = *sandbox_,
                             .workers = workers_,
                             .preview = [this](std::string_view text) { preview += text; },
                             .session = session,
                             .kept_apart = kept_apart.path(),
                             .reviewer = reviewer};
  std::optional<Result<tools::Outcome>> done;
  tools::Call call{.id = "c", .name = tool, .arguments = std::move(arguments)};
  asio::co_spawn(loop_, registry.run(std::move(call), std::move(context)),
                 [&](const std::exception_ptr& failure, Result<tools::Outcome> result) {
                   SABLE_CHECK(!failure);
                   done = std::move(result);
                 });
  // Not to the end of all work: a background process goes on.
  loop_.restart();
  while (!done && loop_.run_one() > 0) {
  }
  if (done && !*done) FAIL(done->error().message);
  SABLE_CHECK(done.has_value());
  return std::move(**done);
}

SandboxedTools::SandboxedTools() {
  auto started = sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
  if (!started) FAIL(started.error().message);
  sandbox_ = std::move(*started);
  use(*sandbox_);
}

}  // namespace sable::test
