#include "sandbox/address_rules.h"

#include <arpa/inet.h>
#include <cstdint>
#include <ifaddrs.h>
#include <netinet/in.h>

namespace sable::sandbox {

namespace {

namespace ip = boost::asio::ip;

struct Range4 {
  uint32_t first;
  unsigned bits;
  AddressKind kind;
};

// RFC 6890 and its registry.
constexpr Range4 kRanges4[] = {
    {0x00000000, 8, AddressKind::special},       // this network
    {0x0a000000, 8, AddressKind::private_use},   // 10/8
    {0x64400000, 10, AddressKind::private_use},  // 100.64/10
    {0x7f000000, 8, AddressKind::loopback},      // 127/8
    {0xa9fe0000, 16, AddressKind::link_local},   // 169.254/16
    {0xac100000, 12, AddressKind::private_use},  // 172.16/12
    {0xc0000000, 24, AddressKind::special},      // 192.0.0/24
    {0xc0000200, 24, AddressKind::special},      // 192.0.2/24
    {0xc0586300, 24, AddressKind::special},      // 192.88.99/24
    {0xc0a80000, 16, AddressKind::private_use},  // 192.168/16
    {0xc6120000, 15, AddressKind::special},      // 198.18/15
    {0xc6336400, 24, AddressKind::special},      // 198.51.100/24
    {0xcb007100, 24, AddressKind::special},      // 203.0.113/24
    {0xe0000000, 3, AddressKind::special},       // multicast, reserved, broadcast
};

AddressKind kind_of_4(uint32_t address) {
  // The metadata address of one cloud lies outside the link-local range.
  if (address == 0xa83f8110) return AddressKind::link_local;  // 168.63.129.16
  if (address == 0x646464c8) return AddressKind::link_local;  // 100.100.100.200
  for (const auto& range : kRanges4) {
    if ((address ^ range.first) >> (32 - range.bits) == 0) return range.kind;
  }
  return AddressKind::global;
}

uint32_t four_bytes(const ip::address_v6::bytes_type& bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 |
         uint32_t{bytes[at + 3]};
}

AddressKind kind_of_6(const ip::address_v6& address) {
  const auto bytes = address.to_bytes();
  if (address.is_loopback()) return AddressKind::loopback;
  const uint32_t high = four_bytes(bytes, 0);
  bool middle_is_zero = true;
  for (size_t i = 4; i < 10; ++i) middle_is_zero = middle_is_zero && bytes[i] == 0;
  if (high == 0 && middle_is_zero) return kind_of_4(four_bytes(bytes, 12));  // mapped, compatible
  if (high == 0x0064ff9b) return kind_of_4(four_bytes(bytes, 12));           // NAT64
  if (high >> 16 == 0x2002) return kind_of_4(four_bytes(bytes, 2));          // 6to4
  if (high == 0x20010000) return AddressKind::special;                       // Teredo
  if (high == 0x20010db8) return AddressKind::special;                       // documentation
  if (high == 0xfd000ec2) return AddressKind::link_local;                    // metadata
  if (bytes[0] == 0xff) return AddressKind::special;
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return AddressKind::link_local;
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0) return AddressKind::private_use;
  if ((bytes[0] & 0xfe) == 0xfc) return AddressKind::private_use;
  if ((bytes[0] & 0xe0) != 0x20) return AddressKind::special;  // only 2000::/3 is given out
  return AddressKind::global;
}

bool is_of_this_host(const ip::address& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  bool found = false;
  for (const ifaddrs* one = list; one != nullptr && !found; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    if (one->ifa_addr->sa_family == AF_INET && address.is_v4()) {
      const auto* ours = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      found = ntohl(ours->sin_addr.s_addr) == address.to_v4().to_uint();
    } else if (one->ifa_addr->sa_family == AF_INET6 && address.is_v6()) {
      const auto* ours = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      ip::address_v6::bytes_type bytes;
      std::copy(std::begin(ours->sin6_addr.s6_addr), std::end(ours->sin6_addr.s6_addr),
                bytes.begin());
      found = bytes == address.to_v6().to_bytes();
    }
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace

AddressKind kind_of(const ip::address& address) {
  const AddressKind kind =
      address.is_v4() ? kind_of_4(address.to_v4().to_uint()) : kind_of_6(address.to_v6());
  if (kind == AddressKind::global && is_of_this_host(address)) return AddressKind::of_this_host;
  return kind;
}

std::string_view name_of(AddressKind kind) {
  switch (kind) {
    case AddressKind::global:
      return "global";
    case AddressKind::loopback:
      return "loopback";
    case AddressKind::of_this_host:
      return "of this host";
    case AddressKind::private_use:
      return "private";
    case AddressKind::link_local:
      return "link-local or a metadata service";
    case AddressKind::special:
      return "reserved";
  }
  return "unknown";
}

}  // namespace sable::sandbox
