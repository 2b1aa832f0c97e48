// Where calls are asked for: the launcher's socket, or that of a session's keeper.
#pragma once

#include <span>
#include <string_view>
#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

/// Owns the near end. Its calls may come from any thread; none of them blocks.
class ControlSocket {
 public:
  explicit ControlSocket(UniqueFd near) : near_(std::move(near)) {}

  /// The near end of the new call's status socket. The plan is borrowed, and so is the entrance to
  /// the call's memory cgroup; -1: it has none. exhausted: the other end is behind, try again in a
  /// moment; io: it is gone.
  Result<UniqueFd> request_call(int plan_file, CallRequest::When when, int memory_group = -1,
                                int memory_door = -1) const;

  /// What was asked for ahead of its use is wanted now.
  void hurry() const;

  /// False once the other end is closed.
  bool alive() const;

  void close() { near_.reset(); }

 private:
  UniqueFd near_;
};

/// Sends one datagram with descriptors; does not block. Nothing: sent; else the errno.
int send_with_descriptors(int socket, std::span<const std::string_view> parts,
                          std::span<const int> fds);

/// One message off a status socket, with the descriptor that came along, if any. As recvmsg(2),
/// without waiting; 0: the other end is closed.
ssize_t receive_status_message(int socket, StatusMessage& message, UniqueFd& fd);

}  // namespace sable::sandbox
