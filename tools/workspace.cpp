// The door's Workspace: a root folder, the policy of its commands, and its files.
#include <unistd.h>

#include "base/task_group.h"
#include "tools/command_session.h"
#include "tools/shell_state.h"
#include "tools/shown_text.h"
#include "tools/tools.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

class OpenWorkspace : public Workspace {
 public:
  OpenWorkspace(std::filesystem::path root, sandbox::Policy policy, WorkspaceFiles files)
      : root_(std::move(root)),
        policy_(std::move(policy)),
        files_(std::move(files)),
        commands_(policy_) {}

  const std::filesystem::path& root() const override { return root_; }
  const sandbox::Policy& policy() const override { return policy_; }
  WorkspaceFiles& files() override { return files_; }
  ShellState& shell_state() override { return shell_state_; }
  CommandSession& commands() override { return commands_; }
  asio::awaitable<void> close() override { return commands_.close(); }

 private:
  std::filesystem::path root_;
  sandbox::Policy policy_;
  WorkspaceFiles files_;
  ShellState shell_state_;
  CommandSession commands_;
};

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::open(const std::filesystem::path& root,
                                                   sandbox::Policy policy, Access access) {
  const std::string shown = shown_path(root.string());
  std::error_code error;
  const auto real = std::filesystem::canonical(root, error);
  if (error == std::errc::permission_denied) {
    return fail(ErrorCode::denied, shown + ": permission denied");
  }
  if (error) return fail(ErrorCode::not_found, shown + ": no such folder");
  if (!std::filesystem::is_directory(real, error)) {
    return fail(ErrorCode::denied, shown + ": not a folder");
  }
  const bool writable = access == Access::read_write;
  if (::access(real.c_str(), R_OK | X_OK) != 0) {
    return fail(ErrorCode::denied, shown + ": this folder cannot be read");
  }
  if (writable && ::access(real.c_str(), W_OK) != 0) {
    return fail(
        ErrorCode::denied,
        shown + ": this folder cannot be written; change its permissions, or work on a copy");
  }
  policy.writable.clear();
  (writable ? policy.writable : policy.readable).push_back(real);
  SABLE_TRY(auto files, WorkspaceFiles::open(real, policy, writable));
  return std::make_unique<OpenWorkspace>(real, std::move(policy), std::move(files));
}

asio::awaitable<Result<std::unique_ptr<Workspace>>> Workspace::open_on(asio::thread_pool& workers,
                                                                       std::filesystem::path root,
                                                                       sandbox::Policy policy,
                                                                       Access access) {
  auto on_worker = [root = std::move(root), policy = std::move(policy), access] {
    return open(root, policy, access);
  };
  auto opened = co_await run_blocking(workers, std::move(on_worker));
  co_return opened;
}

}  // namespace sable::tools
