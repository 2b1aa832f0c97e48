#include "tests/support/plain_sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/child_process.h"
#include "base/file.h"

namespace sable::test {

namespace {

struct Pipe {
  UniqueFd read, write;
  static Pipe open() {
    int fds[2] = {-1, -1};
    if (::pipe2(fds, O_CLOEXEC) != 0) return {};
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
};

/// Passes on what came; false at the end of the stream.
bool pass_on(int fd, sandbox::Stream stream, uint64_t& n_bytes, const sandbox::OutputSink& output) {
  char buffer[4096];
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  if (n <= 0) return false;
  n_bytes += static_cast<uint64_t>(n);
  output(stream, std::string_view(buffer, static_cast<size_t>(n)));
  return true;
}

}  // namespace

asio::awaitable<Result<sandbox::RunResult>> UnsharedSession::run(sandbox::Command command,
                                                                 sandbox::OutputSink output) {
  return sandbox_.run(policy_, std::move(command), std::move(output));
}

asio::awaitable<Result<std::shared_ptr<sandbox::Process>>> UnsharedSession::start(
    sandbox::Command, sandbox::ProcessOptions) {
  co_return fail(ErrorCode::unsupported, "no background processes here");
}

asio::awaitable<void> UnsharedSession::close() { co_return; }

asio::awaitable<Result<std::unique_ptr<sandbox::Session>>> PlainSandbox::open_session(
    sandbox::Policy policy) {
  std::unique_ptr<sandbox::Session> session =
      std::make_unique<UnsharedSession>(*this, std::move(policy));
  co_return session;
}

asio::awaitable<Result<sandbox::RunResult>> PlainSandbox::run(sandbox::Policy policy,
                                                              sandbox::Command command,
                                                              sandbox::OutputSink output) {
  const auto start = std::chrono::steady_clock::now();
  if (command.wall) policy.limits.wall = std::min(policy.limits.wall, *command.wall);
  Pipe out = Pipe::open(), err = Pipe::open(), in = Pipe::open();
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin"};
  for (const auto& [name, value] : policy.environment) environment.push_back(name + "=" + value);
  auto child = ChildProcess::start({.argv = command.argv,
                                    .environment = environment,
                                    .working_directory = command.working_directory.string(),
                                    .stdin_fd = in.read.get(),
                                    .stdout_fd = out.write.get(),
                                    .stderr_fd = err.write.get()});
  if (!child) co_return fail(ErrorCode::not_found, child.error().message);
  out.write.reset();
  err.write.reset();
  in.read.reset();
  (void)write_all(in.write.get(), command.stdin_data);  // small in tests: fits the pipe
  in.write.reset();

  sandbox::RunResult result;
  pollfd fds[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const auto left = policy.limits.wall - std::chrono::duration_cast<std::chrono::milliseconds>(
                                               std::chrono::steady_clock::now() - start);
    if (left.count() <= 0 || ::poll(fds, 2, static_cast<int>(left.count())) <= 0) {
      result.end = sandbox::End::deadline;
      break;
    }
    if (fds[0].revents != 0 &&
        !pass_on(fds[0].fd, sandbox::Stream::standard_output, result.stdout_bytes, output)) {
      fds[0].fd = -1;
    }
    if (fds[1].revents != 0 &&
        !pass_on(fds[1].fd, sandbox::Stream::standard_error, result.stderr_bytes, output)) {
      fds[1].fd = -1;
    }
    if (result.stdout_bytes + result.stderr_bytes > policy.limits.output_bytes) {
      result.end = sandbox::End::output_limit;
      break;
    }
  }
  if (result.end != sandbox::End::exited) {
    (void)child->signal(9);
  }
  const auto status = child->wait();
  if (!status) co_return fail(status.error());
  result.exit_code = status->exit_code;
  result.signal = status->signal;
  if (result.end == sandbox::End::exited && status->signal != 0)
    result.end = sandbox::End::signalled;
  result.wall = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  co_return result;
}

}  // namespace sable::test
