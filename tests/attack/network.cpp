// N1 to N9: talking to somebody. MODE says what the policy allows.
#include <arpa/inet.h>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/attack/attempts.h"

namespace sable::attack {

namespace {

constexpr auto kUnreachable = {ENETUNREACH,  EHOSTUNREACH, EACCES,       EPERM,
                               EAFNOSUPPORT, EBADF,        ECONNREFUSED, EADDRNOTAVAIL};
constexpr auto kNoSuchSocket = {EPERM,           EAFNOSUPPORT, EACCES,          ENOSYS,
                                EPROTONOSUPPORT, EINVAL,       ESOCKTNOSUPPORT, ENOPROTOOPT};

bool open_mode() { return given("MODE") == "open"; }

// -1 with errno, or 0 when the other end answered.
long connect_tcp(int family, const std::string& address, int port) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(static_cast<uint16_t>(port));
    ::inet_pton(AF_INET, address.c_str(), &in.sin_addr);
    size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(static_cast<uint16_t>(port));
    ::inet_pton(AF_INET6, address.c_str(), &in.sin6_addr);
    size = sizeof in;
  }
  long result = ::connect(fd, reinterpret_cast<sockaddr*>(&storage), size);
  if (result < 0 && errno == EINPROGRESS) {
    pollfd waited{.fd = fd, .events = POLLOUT, .revents = 0};
    int error = ETIMEDOUT;
    socklen_t length = sizeof error;
    if (::poll(&waited, 1, 2000) > 0) ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    errno = error;
    result = error == 0 ? 0 : -1;
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

long send_udp(const std::string& address, int port, const std::string& text) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return -1;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const long result =
      ::sendto(fd, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  const int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

// "@name" is an abstract address.
long connect_unix(const std::string& name, int type) {
  const int fd = ::socket(AF_UNIX, type, 0);
  if (fd < 0) return -1;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, name.data(), std::min(name.size(), sizeof to.sun_path - 1));
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (name[0] == '@') to.sun_path[0] = '\0';
  const long result = ::connect(fd, reinterpret_cast<sockaddr*>(&to), size);
  const int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

void public_tcp(Attempts& attempts) {
  // Documentation addresses: nobody answers there, and nothing is asked of anybody.
  attempts.denied("TCP to 192.0.2.1", connect_tcp(AF_INET, "192.0.2.1", 443), kUnreachable);
  attempts.denied("TCP to 2001:db8::1", connect_tcp(AF_INET6, "2001:db8::1", 443), kUnreachable);
}

void host_services(Attempts& attempts) {
  const int port = given_number("TCP_PORT");
  attempts.denied("TCP to a service on the host's loopback",
                  connect_tcp(AF_INET, "127.0.0.1", port), kUnreachable);
  attempts.denied("the same over IPv6", connect_tcp(AF_INET6, "::1", port), kUnreachable);
  attempts.denied("the same as a mapped address", connect_tcp(AF_INET6, "::ffff:127.0.0.1", port),
                  kUnreachable);
  attempts.denied("the same through 0.0.0.0", connect_tcp(AF_INET, "0.0.0.0", port), kUnreachable);
}

void datagrams(Attempts& attempts) {
  for (const int port : {53, 853, 5353, 123, 443}) {
    attempts.denied("UDP to 192.0.2.53 port " + std::to_string(port),
                    send_udp("192.0.2.53", port, "x"), kUnreachable);
  }
  // A closed loopback takes a datagram and nobody hears it: the harness's own listener is the
  // judge.
  send_udp("127.0.0.1", given_number("UDP_PORT"), "leak");
  attempts.holds("sent to the host's UDP listener, for the harness to hear", true);
}

void name_lookup(Attempts& attempts) {
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo("secret-data.example.com", "80", nullptr, &found);
  attempts.holds("a name lookup finds nothing", error != 0);
}

void raw_sockets(Attempts& attempts) {
  attempts.denied("raw IPv4", ::socket(AF_INET, SOCK_RAW, IPPROTO_RAW), kNoSuchSocket);
  attempts.denied("raw ICMP", ::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), kNoSuchSocket);
  attempts.denied("ICMP datagrams", ::socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), kNoSuchSocket);
  attempts.denied("raw IPv6", ::socket(AF_INET6, SOCK_RAW, IPPROTO_RAW), kNoSuchSocket);
  attempts.denied("packet sockets", ::socket(17 /* AF_PACKET */, SOCK_RAW, htons(3)),
                  kNoSuchSocket);
  attempts.denied("SCTP", ::socket(AF_INET, SOCK_STREAM, 132), kNoSuchSocket);
  attempts.denied("multipath TCP", ::socket(AF_INET, SOCK_STREAM, 262), kNoSuchSocket);
}

void odd_families(Attempts& attempts) {
  attempts.denied("netlink", ::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), kNoSuchSocket);
  attempts.denied("vsock", ::socket(40, SOCK_STREAM, 0), kNoSuchSocket);
  attempts.denied("bluetooth", ::socket(31, SOCK_RAW, 0), kNoSuchSocket);
  attempts.denied("crypto", ::socket(38, SOCK_SEQPACKET, 0), kNoSuchSocket);
  attempts.denied("can", ::socket(29, SOCK_RAW, 1), kNoSuchSocket);
  attempts.denied("xdp", ::socket(44, SOCK_RAW, 0), kNoSuchSocket);
  attempts.denied("tipc", ::socket(30, SOCK_RDM, 0), kNoSuchSocket);
  attempts.denied("x25", ::socket(9, SOCK_SEQPACKET, 0), kNoSuchSocket);
}

void abstract_socket(Attempts& attempts) {
  const auto errors = {ECONNREFUSED, EPERM, EAFNOSUPPORT};
  attempts.denied("stream", connect_unix("@" + given("ABSTRACT"), SOCK_STREAM), errors);
  attempts.denied("datagram", connect_unix("@" + given("ABSTRACT"), SOCK_DGRAM), errors);
}

void pathname_sockets(Attempts& attempts) {
  const auto errors = {ENOENT, EACCES, EPERM, EAFNOSUPPORT};
  for (const std::string& path :
       {given("READABLE") + "/socket", std::string("socket"), std::string("/run/docker.sock"),
        std::string("/run/containerd/containerd.sock"), std::string("/run/dbus/system_bus_socket"),
        std::string("/run/systemd/private"), std::string("/tmp/.X11-unix/X0"),
        std::string("/dev/log")}) {
    attempts.denied("connect to " + path, connect_unix(path, SOCK_STREAM), errors);
  }
  // A socket need not be made anew: one end of a datagram pair can be pointed at any address.
  int pair[2];
  attempts.denied("make a datagram pair", ::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair),
                  kNoSuchSocket);
  attempts.denied("make a raw pair", ::socketpair(AF_UNIX, SOCK_RAW, 0, pair), kNoSuchSocket);
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, "socket", sizeof to.sun_path - 1);
    attempts.denied("connect a stream pair elsewhere",
                    ::connect(pair[0], reinterpret_cast<sockaddr*>(&to), sizeof to),
                    {EISCONN, EINVAL, EACCES});
    ::shutdown(pair[0], SHUT_RDWR);
    ::close(pair[1]);
    attempts.denied("connect half of a broken pair elsewhere",
                    ::connect(pair[0], reinterpret_cast<sockaddr*>(&to), sizeof to),
                    {EISCONN, EINVAL, EACCES});
  }
}

constexpr const char* kNoProxy = "no proxy";  // then the allowed name is not reached either

// The first line of what the proxy answers to a request.
std::string asked_of_proxy(const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in proxy{};
  proxy.sin_family = AF_INET;
  proxy.sin_port = htons(808);
  proxy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&proxy), sizeof proxy) != 0) return kNoProxy;
  (void)!::write(fd, request.data(), request.size());
  char answer[256] = {};
  const ssize_t size = ::read(fd, answer, sizeof answer - 1);
  ::close(fd);
  return size > 0 ? std::string(answer, std::strcspn(answer, "\r")) : "";
}

// Only allowed.invalid:443 is allowed, and that has no address.
void other_hosts(Attempts& attempts) {
  const std::string port = given("TCP_PORT");
  for (const std::string& target :
       {std::string("example.org:443"), std::string("allowed.invalid:80"),
        std::string("allowed.invalid.example.org:443"), std::string("xallowed.invalid:443"),
        std::string("93.184.216.34:443"), "127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port,
        "0.0.0.0:" + port, "2130706433:" + port, "0x7f.1:" + port,
        std::string("169.254.169.254:80"), std::string("metadata.google.internal:80"),
        std::string("[fd00:ec2::254]:80")}) {
    const auto status = asked_of_proxy("CONNECT " + target + " HTTP/1.1\r\n\r\n");
    attempts.holds("tunnel to " + target + " is refused: " + status,
                   status == "HTTP/1.1 403 Forbidden" || status == "HTTP/1.1 400 Bad Request" ||
                       status == kNoProxy);
  }
  for (const std::string& request :
       {std::string("CONNECT allowed.invalid:443\0.evil.org HTTP/1.1\r\n\r\n", 51),
        std::string("CONNECT allowed.invalid:443@evil.org HTTP/1.1\r\n\r\n"),
        std::string("GET http://allowed.invalid:443@evil.org/ HTTP/1.1\r\n\r\n"),
        std::string("GET http://evil.org/ HTTP/1.1\r\nHost: allowed.invalid:443\r\n\r\n"),
        std::string("CONNECT evil.org:443 HTTP/1.1\r\nHost: allowed.invalid:443\r\n\r\n")}) {
    const auto status = asked_of_proxy(request);
    attempts.holds("a request of two meanings is refused: " + status,
                   status == "HTTP/1.1 403 Forbidden" || status == "HTTP/1.1 400 Bad Request" ||
                       status == kNoProxy);
  }
  const auto allowed = asked_of_proxy("CONNECT allowed.invalid:443 HTTP/1.1\r\n\r\n");
  attempts.holds("the allowed name was looked up: " + allowed,
                 allowed == "HTTP/1.1 502 Bad Gateway");
}

}  // namespace

AttackTable network_attacks() {
  AttackTable table = {{"N5", raw_sockets},
                       {"N6", odd_families},
                       {"N7", abstract_socket},
                       {"N8", pathname_sockets},
                       {"N9", other_hosts}};
  // What an open network is for; elsewhere these are attacks.
  if (!open_mode()) {
    table.insert(
        {{"N1", public_tcp}, {"N2", host_services}, {"N3", datagrams}, {"N4", name_lookup}});
  }
  return table;
}

}  // namespace sable::attack
