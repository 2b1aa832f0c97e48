#include "sandbox/launcher/call_server.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/message.h"
#include "sandbox/plan_codec.h"

namespace sable::sandbox {

namespace {

// What is asked for ahead of its use is made when a call has ended, or after this time: its making
// shall not slow down the call that runs now.
constexpr int64_t kSoonMs = 10;
constexpr size_t kWaitingMax = 64;

int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

void CallServer::serve() {
  sigset_t watched;
  ::sigemptyset(&watched);
  ::sigaddset(&watched, SIGCHLD);
  const UniqueFd children(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!children) return;
  while (true) {
    pollfd waited[] = {{.fd = control_, .events = POLLIN, .revents = 0},
                       {.fd = children.get(), .events = POLLIN, .revents = 0}};
    int64_t patience = -1;
    if (!waiting_.empty()) patience = std::max<int64_t>(waiting_.front().due_ms - now_ms(), 0);
    if (::poll(waited, 2, static_cast<int>(patience)) < 0 && errno != EINTR) break;
    if (waited[0].revents != 0) {
      Request request;
      const Received received = receive(request);
      if (received == Received::closed) break;
      if (received == Received::nonsense) continue;
      switch (request.header.when) {
        case CallRequest::When::now:
          make(request);
          break;
        case CallRequest::When::soon:
          request.due_ms = now_ms() + kSoonMs;
          waiting_.push_back(std::move(request));
          if (waiting_.size() > kWaitingMax) make_waiting(waiting_.front().due_ms);
          break;
        case CallRequest::When::hurry:
          make_waiting(INT64_MAX);
          break;
      }
      continue;  // other requests first
    }
    if (waited[1].revents != 0) {
      reap(children.get());
      make_waiting(INT64_MAX);
    } else {
      make_waiting(now_ms());
    }
  }
  for (const pid_t pid : running_) ::kill(pid, SIGKILL);
}

CallServer::Received CallServer::receive(Request& request) const {
  UniqueFd fds[kCallDescriptorsMax];
  int n_fds = 0;
  const ssize_t size =
      receive_message(control_, &request.header, sizeof request.header, fds, n_fds, 0);
  if (size < 0) return errno == EINTR || errno == EAGAIN ? Received::nonsense : Received::closed;
  if (size == 0) return Received::closed;
  if (size != sizeof request.header || request.header.magic != CallRequest::kMagic)
    return Received::nonsense;
  if (request.header.when == CallRequest::When::hurry) return Received::request;
  if (n_fds < kCallDescriptors) return Received::nonsense;
  request.status = std::move(fds[0]);
  request.plan = std::move(fds[1]);
  request.memory_group = std::move(fds[2]);
  request.memory_door = std::move(fds[3]);
  return Received::request;
}

void CallServer::make(Request& request) {
  const auto bytes = read_memory_file(request.plan.get());
  auto plan = bytes ? decode_plan(*bytes) : std::nullopt;
  PreparedCall call;
  call.status = request.status.get();
  call.launcher_pidfd = self_;
  call.memory_group = request.memory_group.get();
  call.memory_door = request.memory_door.get();
  if (plan) call.plan = std::move(*plan);
  if (!plan || !accepts(call)) {
    FailureReport(call.status)
        .send({.kind = StatusMessage::Kind::failed, .step = Step::read_plan, .error = EBADMSG});
    return;
  }
  const int pid = make_first_process(call);
  if (pid > 0) running_.push_back(pid);
}

void CallServer::make_waiting(int64_t until_ms) {
  while (!waiting_.empty() && waiting_.front().due_ms <= until_ms) {
    Request request = std::move(waiting_.front());
    waiting_.pop_front();
    // Whoever asked may have let go of it meanwhile.
    pollfd status{.fd = request.status.get(), .events = 0, .revents = 0};
    if (::poll(&status, 1, 0) == 0) make(request);
  }
}

void CallServer::reap(int signals) {
  signalfd_siginfo ignored[8];
  while (::read(signals, ignored, sizeof ignored) > 0) {
  }
  while (true) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid <= 0) return;
    running_.erase(std::remove(running_.begin(), running_.end(), pid), running_.end());
  }
}

}  // namespace sable::sandbox
