// Which addresses a name on the list may lead to.
#pragma once

#include <optional>
#include <string_view>

#include <boost/asio/ip/address.hpp>

namespace sable::sandbox {

/// What an address is for. An IPv6 address that carries an IPv4 one is judged by that.
enum class AddressKind {
  global,
  loopback,
  of_this_host,  ///< of one of its interfaces
  private_use,   ///< private, shared or unique local
  link_local,    ///< the metadata services of clouds included
  special,       ///< unspecified, multicast, reserved, documentation
};

AddressKind kind_of(const boost::asio::ip::address& address);

std::string_view name_of(AddressKind kind);

}  // namespace sable::sandbox
