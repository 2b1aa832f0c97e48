#include "tools/narrowed_policy.h"

#include <algorithm>

namespace sable::tools {

namespace {

using sandbox::Limits;
using sandbox::Network;
using sandbox::Policy;
using Paths = std::vector<std::filesystem::path>;

bool is_below(const std::filesystem::path& path, const Paths& folders) {
  return std::any_of(folders.begin(), folders.end(), [&](const std::filesystem::path& folder) {
    const auto ends = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return ends.first == folder.end();
  });
}

Paths in_both(const Paths& a, const Paths& b) {
  Paths both;
  std::copy_if(a.begin(), a.end(), std::back_inserter(both),
               [&](const auto& path) { return is_below(path, b); });
  std::copy_if(b.begin(), b.end(), std::back_inserter(both), [&](const auto& path) {
    return is_below(path, a) && std::find(both.begin(), both.end(), path) == both.end();
  });
  return both;
}

Limits smaller(Limits a, const Limits& b) {
  a.wall = std::min(a.wall, b.wall);
  a.grace = std::min(a.grace, b.grace);
  a.cpu = std::min(a.cpu, b.cpu);
  a.memory_bytes = std::min(a.memory_bytes, b.memory_bytes);
  a.processes = std::min(a.processes, b.processes);
  a.file_bytes = std::min(a.file_bytes, b.file_bytes);
  a.open_files = std::min(a.open_files, b.open_files);
  a.temporary_bytes = std::min(a.temporary_bytes, b.temporary_bytes);
  a.disk_bytes = std::min(a.disk_bytes, b.disk_bytes);
  a.disk_files = std::min(a.disk_files, b.disk_files);
  a.output_bytes = std::min(a.output_bytes, b.output_bytes);
  return a;
}

void narrow_network(Policy& policy, const Policy& profile) {
  if (policy.network == Network::allow && profile.network == Network::allow) {
    std::erase_if(policy.allowed_hosts, [&](const sandbox::AllowedHost& host) {
      return std::find(profile.allowed_hosts.begin(), profile.allowed_hosts.end(), host) ==
             profile.allowed_hosts.end();
    });
  } else if (profile.network == Network::allow && policy.network == Network::open) {
    policy.allowed_hosts = profile.allowed_hosts;
  }
  // The modes stand in the order of what they allow.
  policy.network = std::min(policy.network, profile.network);
}

}  // namespace

Policy narrowed_to(Policy policy, const Policy& profile) {
  policy.profile = profile.profile;
  policy.readable = in_both(policy.readable, profile.readable);
  policy.masked.insert(policy.masked.end(), profile.masked.begin(), profile.masked.end());
  policy.files = std::max(policy.files, profile.files);
  narrow_network(policy, profile);
  policy.limits = smaller(policy.limits, profile.limits);
  return policy;
}

}  // namespace sable::tools
