#include "tests/unit/tools/tool_fixture.h"

#include "base/check.h"

namespace sable::test {

void ToolFixture::open(sandbox::Policy policy, tools::Workspace::Access access) {
  auto opened = tools::Workspace::open(folder.path(), std::move(policy), access);
  SABLE_CHECK(opened.has_value());
  workspace_ = std::move(*opened);
}

tools::Outcome ToolFixture::call(const std::string& tool, Json arguments) {
  const auto checked = registry.check({.id = "c", .name = tool, .arguments = arguments});
  if (!checked) return {.ok = false, .text = checked.error().message};
  return run(tool, std::move(arguments));
}

tools::Outcome ToolFixture::run(const std::string& tool, Json arguments) {
  asio::io_context loop;
  tools::CallContext context{*workspace_, *sandbox_, workers_,
                             [this](std::string_view text) { preview += text; }};
  std::optional<Result<tools::Outcome>> done;
  tools::Call call{.id = "c", .name = tool, .arguments = std::move(arguments)};
  asio::co_spawn(loop, registry.run(std::move(call), std::move(context)),
                 [&](std::exception_ptr failure, Result<tools::Outcome> result) {
                   SABLE_CHECK(!failure);
                   done = std::move(result);
                 });
  loop.run();
  SABLE_CHECK(done && *done);
  return std::move(**done);
}

}  // namespace sable::test
