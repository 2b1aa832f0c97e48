// What a session cannot be begun with.
#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "tests/support/plain_sandbox.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::test;

namespace {

class SilentProvider final : public Provider {
 public:
  std::string name() const override { return "scripted"; }
  std::string model() const override { return "model"; }
  asio::awaitable<Result<Reply>> complete(StepRequest, DeltaSink) override { co_return Reply{}; }
};

}  // namespace

TEST_CASE("a repository whose path the log cannot hold is refused, and no session is made") {
  TemporaryFolder folder;
  const auto store = open_store(folder / "home");
  SilentProvider provider;
  PlainSandbox sandbox;
  asio::thread_pool workers{1};
  const auto registry = tools::Registry::with_builtins();
  const auto begin = [&](const std::string& name) {
    std::filesystem::create_directories(folder / name);
    const Services services{*store, sandbox, workers, system_clock(), Log::none()};
    return run(Session::create(services, {.repository = folder / name}, provider, registry, "x"));
  };
  const auto refused = begin("caf\xe9");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::invalid_input);
  CHECK(refused.error().message.find("caf\xef\xbf\xbd: its path is not valid UTF-8") !=
        std::string::npos);
  CHECK(must(store->list(10)).empty());

  const auto begun = begin("caf\xc3\xa9");
  REQUIRE(begun.has_value());
  CHECK(must(store->find((*begun)->id())).working_directory == folder / "caf\xc3\xa9");
}
