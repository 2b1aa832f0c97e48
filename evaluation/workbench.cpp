#include "evaluation/workbench.h"

#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "base/asio.h"

namespace sable::evaluation {

namespace fs = std::filesystem;

struct Workbench::State {
  fs::path folder;
  std::unique_ptr<sandbox::Sandbox> sandbox;
  asio::io_context loop;
  std::unique_ptr<tools::Workspace>
      workspace;  // its calls share a sandbox, which lives on the loop
  tools::Registry registry = tools::Registry::with_builtins();
  asio::thread_pool workers{1};

  /// Ends what calls left in the sandbox.
  void close() {
    if (workspace == nullptr) return;
    asio::co_spawn(loop, workspace->close(), [](const std::exception_ptr&) {});
    loop.restart();
    loop.run();
    workspace.reset();
  }
};

Workbench::Workbench(std::unique_ptr<State> state) : state_(std::move(state)) {}
Workbench::~Workbench() { state_->close(); }
const fs::path& Workbench::folder() const { return state_->folder; }

Result<std::unique_ptr<Workbench>> Workbench::open(const fs::path& folder,
                                                   std::unique_ptr<sandbox::Sandbox> sandbox) {
  auto state = std::make_unique<State>();
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) state->folder = fs::canonical(folder, error);
  if (error) return fail(ErrorCode::io, fmt::format("{}: {}", folder.string(), error.message()));
  state->sandbox = std::move(sandbox);
  return std::unique_ptr<Workbench>(new Workbench(std::move(state)));
}

Result<void> Workbench::lay_out(const Files& files) {
  std::error_code error;
  state_->close();
  for (const auto& entry : fs::directory_iterator(state_->folder, error)) {
    fs::remove_all(entry.path(), error);
  }
  SABLE_TRY_VOID(write_files(files, state_->folder));
  SABLE_TRY(state_->workspace, tools::Workspace::open(state_->folder, sandbox::Policy{}));
  return {};
}

Result<tools::Outcome> Workbench::call(const std::string& tool, const Json& arguments) {
  tools::Call call{.id = "c", .name = tool, .arguments = arguments};
  if (const auto checked = state_->registry.check(call); !checked) {
    return tools::Outcome{.ok = false, .text = checked.error().message};
  }
  asio::io_context& loop = state_->loop;
  tools::CallContext context{*state_->workspace, *state_->sandbox, state_->workers, {}};
  std::optional<Result<tools::Outcome>> done;
  asio::co_spawn(loop, state_->registry.run(std::move(call), std::move(context)),
                 [&](std::exception_ptr failure, Result<tools::Outcome> result) {
                   done = std::move(result);
                   if (failure) done = fail(ErrorCode::io, "the call was broken off");
                 });
  loop.restart();
  while (!done && loop.run_one() > 0) {
  }
  if (!done) return fail(ErrorCode::io, tool + " ended without a result");
  return std::move(*done);
}

}  // namespace sable::evaluation
