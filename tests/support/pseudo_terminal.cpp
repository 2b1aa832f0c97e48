#include "tests/support/pseudo_terminal.h"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/write.h"

namespace sable::test {

namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const auto& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

TerminalProgram::TerminalProgram(const Options& options) {
  int master = -1, slave = -1;
  winsize size{.ws_row = 50, .ws_col = 200, .ws_xpixel = 0, .ws_ypixel = 0};
  SABLE_CHECK(::openpty(&master, &slave, nullptr, nullptr, &size) == 0);
  master_ = UniqueFd(master);
  slave_ = UniqueFd(slave);
  SABLE_CHECK(::fcntl(master, F_SETFD, FD_CLOEXEC) == 0);
  SABLE_CHECK(::fcntl(slave, F_SETFD, FD_CLOEXEC) == 0);
  flags_before_ = ::fcntl(slave, F_GETFL);
  SABLE_CHECK(::tcgetattr(slave, &settings_before_) == 0);

  const auto argv = pointers(options.argv), environment = pointers(options.environment);
  pid_ = ::fork();
  SABLE_CHECK(pid_ >= 0);
  if (pid_ != 0) return;
  // Other threads may hold locks: only what is safe in a signal handler until exec.
  if (::setsid() < 0 || ::ioctl(slave, TIOCSCTTY, 0) != 0) ::_exit(126);
  for (const int fd : {0, 1, 2}) {
    if (::dup2(slave, fd) != fd) ::_exit(126);
  }
  if (::chdir(options.working_directory.c_str()) != 0) ::_exit(126);
  ::execve(argv[0], argv.data(), environment.data());
  ::_exit(127);
}

TerminalProgram::~TerminalProgram() {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void TerminalProgram::type(std::string_view keys) const {
  SABLE_CHECK(write_all_or_errno(master_.get(), keys) == 0);
}

/// One read; false when the time is over.
bool TerminalProgram::read_some(std::chrono::steady_clock::time_point end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  pollfd readable{.fd = master_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&readable, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) <= 0) return false;
  char buffer[4096];
  const ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
  if (n <= 0) return false;
  read_.append(buffer, static_cast<size_t>(n));
  return true;
}

bool TerminalProgram::shows(std::string_view text, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    const std::string so_far = screen();
    if (const size_t at = so_far.find(text, seen_); at != std::string::npos) {
      seen_ = at + text.size();
      return true;
    }
    if (!read_some(end)) return false;
  }
}

std::optional<int> TerminalProgram::finish(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  int status = 0;
  while (true) {
    // This end keeps the terminal open, so the program's end is not an end of its output.
    const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
    const pid_t waited = ::waitpid(pid_, &status, WNOHANG);
    while (read_some(soon)) {
    }
    if (waited == pid_) break;
    if (std::chrono::steady_clock::now() > end) return std::nullopt;
  }
  pid_ = -1;
  if (!WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status);
}

std::string TerminalProgram::screen() const {
  std::string text;
  for (const char c : read_) {
    if (c != '\r') text += c;
  }
  return text;
}

bool TerminalProgram::terminal_as_before() const {
  termios settings{};
  if (::tcgetattr(slave_.get(), &settings) != 0) return false;
  return ::fcntl(slave_.get(), F_GETFL) == flags_before_ &&
         settings.c_iflag == settings_before_.c_iflag &&
         settings.c_oflag == settings_before_.c_oflag &&
         settings.c_lflag == settings_before_.c_lflag;
}

}  // namespace sable::test
