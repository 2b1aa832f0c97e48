#include "runtime/cli/standard_input.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace sable::runtime {

namespace {

constexpr size_t kPieceBytes = size_t{64} << 10;

bool is_anothers_terminal(int fd) { return ::isatty(fd) == 1 && ::tcgetpgrp(fd) != ::getpgrp(); }

}  // namespace

StandardInput::StandardInput(const asio::any_io_executor& executor) : stream_(executor) {
  struct stat seen {};
  if (::fstat(STDIN_FILENO, &seen) != 0) return;
  if (S_ISREG(seen.st_mode) || S_ISBLK(seen.st_mode)) {
    kind_ = Kind::file;  // always ready, and read where others left off
    return;
  }
  // Opened anew, it may be switched to not blocking without doing so to the shell's.
  UniqueFd own(::open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own) own = UniqueFd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  boost::system::error_code error;
  stream_.assign(own.get(), error);
  if (error) return;
  (void)own.release();
  kind_ = Kind::stream;
}

asio::awaitable<std::string> StandardInput::read() {
  std::string bytes(kPieceBytes, '\0');
  while (kind_ != Kind::nothing) {
    if (kind_ == Kind::stream) {
      boost::system::error_code error;
      co_await stream_.async_wait(asio::posix::stream_descriptor::wait_read,
                                  asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) break;
      if (error) kind_ = Kind::file;  // /dev/null and its kind cannot be waited for
    }
    if (is_anothers_terminal(STDIN_FILENO)) break;
    const int from = kind_ == Kind::stream ? stream_.native_handle() : STDIN_FILENO;
    const ssize_t n = ::read(from, bytes.data(), bytes.size());
    if (n < 0 && (errno == EINTR || (errno == EAGAIN && kind_ == Kind::stream))) continue;
    if (n <= 0) break;
    bytes.resize(static_cast<size_t>(n));
    co_return bytes;
  }
  kind_ = Kind::nothing;
  co_return std::string();
}

}  // namespace sable::runtime
