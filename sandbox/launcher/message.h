// What comes in: datagrams with descriptors, as both control and status sockets carry them, and the
// memory files among those.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/plan_codec.h"

namespace sable::sandbox {

/// recvmsg with up to `fds.size()` descriptors, close-on-exec. `n_fds` is how many came; -1 when
/// anything was cut off.
inline ssize_t receive_message(int socket, void* data, size_t size, std::span<UniqueFd> fds,
                               int& n_fds, int flags) {
  constexpr size_t kMax = 8;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMax)];
  iovec part{data, size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * (fds.size() < kMax ? fds.size() : kMax));
  const ssize_t received = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  n_fds = 0;
  if (received < 0) return received;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      UniqueFd owned(fd);
      if (static_cast<size_t>(n_fds) < fds.size())
        fds[static_cast<size_t>(n_fds++)] = std::move(owned);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) n_fds = -1;
  return received;
}

/// Nothing when it cannot be read or is larger than any plan.
inline std::optional<std::vector<uint8_t>> read_memory_file(int fd) {
  struct stat seen {};
  if (::fstat(fd, &seen) != 0 || static_cast<uint64_t>(seen.st_size) > kPlanBytesMax)
    return std::nullopt;
  std::vector<uint8_t> bytes(static_cast<size_t>(seen.st_size));
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n =
        ::pread(fd, bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    filled += static_cast<size_t>(n);
  }
  return bytes;
}

}  // namespace sable::sandbox
