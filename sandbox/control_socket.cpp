#include "sandbox/control_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>

namespace sable::sandbox {

namespace {

constexpr size_t kPartsMax = 2;
constexpr size_t kDescriptorsMax = 8;

std::string_view bytes_of(const CallRequest& request) {
  return {reinterpret_cast<const char*>(&request), sizeof request};
}

}  // namespace

int send_with_descriptors(int socket, std::span<const std::string_view> parts,
                          std::span<const int> fds) {
  std::array<iovec, kPartsMax> data{};
  for (size_t i = 0; i < parts.size() && i < kPartsMax; ++i) {
    data[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)] = {};
  msghdr message{};
  message.msg_iov = data.data();
  message.msg_iovlen = parts.size();
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

Result<UniqueFd> ControlSocket::request_call(int plan_file, CallRequest::When when,
                                             int memory_group, int memory_door) const {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return fail_errno("socketpair", errno);
  }
  UniqueFd near(sockets[0]);
  const UniqueFd far(sockets[1]);
  const CallRequest request{.when = when};
  const std::string_view parts[] = {bytes_of(request)};
  const std::array<int, kCallDescriptorsMax> fds{far.get(), plan_file, memory_group, memory_door};
  const size_t n_group = memory_group < 0 ? 0 : memory_door < 0 ? 1 : 2;
  const size_t n_fds = kCallDescriptors + n_group;
  const int error = send_with_descriptors(near_.get(), parts, std::span(fds).first(n_fds));
  if (error == 0) return near;
  if (error == EAGAIN || error == ETOOMANYREFS) {
    return fail(ErrorCode::exhausted, "the sandbox launcher is busy");
  }
  return fail(ErrorCode::io, "the sandbox launcher has ended (" +
                                 std::string(std::strerror(error)) + "); restart sable");
}

void ControlSocket::hurry() const {
  const CallRequest request{.when = CallRequest::When::hurry};
  const std::string_view parts[] = {bytes_of(request)};
  send_with_descriptors(near_.get(), parts, {});
}

bool ControlSocket::alive() const {
  pollfd control{.fd = near_.get(), .events = 0, .revents = 0};
  return near_ && ::poll(&control, 1, 0) == 0;
}

ssize_t receive_status_message(int socket, StatusMessage& message, UniqueFd& fd) {
  iovec data{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return size;
  const cmsghdr* part = CMSG_FIRSTHDR(&header);
  if (part != nullptr && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
    int received = -1;
    std::memcpy(&received, CMSG_DATA(part), sizeof received);
    fd = UniqueFd(received);
  }
  return size;
}

}  // namespace sable::sandbox
