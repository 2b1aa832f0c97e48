// The policy as a value: compared, named, written down.
#include "base/json.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

namespace {

Json strings_of(const std::vector<std::filesystem::path>& paths) {
  Json list = Json::array();
  for (const auto& path : paths) list.push_back(path.string());
  return list;
}

}  // namespace

bool operator==(const Policy&, const Policy&) = default;

namespace {

std::string_view name_of(Network network) {
  switch (network) {
    case Network::none:
      return "none";
    case Network::loopback:
      return "loopback";
    case Network::allow:
      return "allow";
    case Network::open:
      return "open";
  }
  return "unknown";
}

}  // namespace

std::string_view name_of(End end) {
  switch (end) {
    case End::exited:
      return "exited";
    case End::signalled:
      return "signalled";
    case End::deadline:
      return "deadline";
    case End::cancelled:
      return "cancelled";
    case End::output_limit:
      return "output_limit";
    case End::memory_limit:
      return "memory_limit";
    case End::disk_limit:
      return "disk_limit";
  }
  return "unknown";
}

std::string to_json_text(const Policy& policy) {
  Json json;
  json["profile"] = policy.profile;
  json["readable"] = strings_of(policy.readable);
  json["writable"] = strings_of(policy.writable);
  json["masked"] = strings_of(policy.masked);
  json["network"] = name_of(policy.network);
  if (policy.files == FileEffects::transaction) json["files"] = "transaction";
  if (!policy.transactions.empty()) {
    json["transactions"] = Json::object();
    for (const auto& [root, store] : policy.transactions) {
      json["transactions"][root.string()] = store.string();
    }
  }
  // Only where it says something, so that the digests of all other policies stay as they are.
  if (policy.network == Network::allow) {
    json["allowed_hosts"] = Json::array();
    for (const auto& host : policy.allowed_hosts) {
      json["allowed_hosts"].push_back(
          {{"name", host.name}, {"port", host.port}, {"private", host.private_addresses}});
    }
  }
  json["environment"] = Json::object();
  for (const auto& [name, value] : policy.environment) json["environment"][name] = value;
  const Limits& limits = policy.limits;
  json["limits"] = {
      {"wall_ms", limits.wall.count()},      {"grace_ms", limits.grace.count()},
      {"cpu_s", limits.cpu.count()},         {"memory_bytes", limits.memory_bytes},
      {"processes", limits.processes},       {"file_bytes", limits.file_bytes},
      {"open_files", limits.open_files},     {"temporary_bytes", limits.temporary_bytes},
      {"disk_bytes", limits.disk_bytes},     {"disk_files", limits.disk_files},
      {"output_bytes", limits.output_bytes},
  };
  return dump_json(json);
}

}  // namespace sable::sandbox
