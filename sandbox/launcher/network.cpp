// The own network of a call or session: its loopback, and the listener of its proxy.
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>

#include "sandbox/launcher/call.h"

namespace sable::sandbox {

namespace {

constexpr int kBacklog = 64;

void bring_up_loopback(const FailureReport& report) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) report.fail(Step::bring_up_loopback);
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) report.fail(Step::bring_up_loopback);
  ::close(socket);
}

// Bound in here, accepted from out there: a socket keeps the network it was made in.
int listen_for_proxy(uint16_t port, const FailureReport& report) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket < 0 ||
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket, kBacklog) != 0) {
    report.fail(Step::listen_for_proxy);
  }
  return socket;
}

}  // namespace

int set_up_network(const Plan& plan, const FailureReport& report) {
  if (plan.loopback_up) bring_up_loopback(report);
  return plan.proxy_port != 0 ? listen_for_proxy(plan.proxy_port, report) : -1;
}

}  // namespace sable::sandbox
