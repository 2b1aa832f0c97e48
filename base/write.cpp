#include "base/write.h"

#include <cerrno>
#include <poll.h>
#include <unistd.h>

namespace sable {

int write_all_or_errno(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      // Whoever shares the open file may have made it non-blocking: a terminal is shared with the
      // shell and all that it started.
      pollfd writable{.fd = fd, .events = POLLOUT, .revents = 0};
      if (::poll(&writable, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace sable
