#include "sandbox/landlock_layer.h"

#include <cerrno>
#include <cstring>

#include "sandbox/landlock_rights.h"

namespace sable::sandbox {

Layer landlock_layer(int abi, int error) {
  Layer result{.name = "Landlock"};
  if (abi < 1 && error == 0) error = ENOSYS;
  if (error != 0) {
    result.detail = std::strerror(error);
    result.remedy =
        "use Linux 5.13 or newer with \"landlock\" in the lsm= list of the kernel's command line";
    return result;
  }
  result.state = Layer::State::enforced;
  result.detail = "ABI " + std::to_string(abi);
  const uint64_t files = landlock::files_known(abi);
  std::string lacks;
  const auto lack = [&](const char* what) {
    lacks += (lacks.empty() ? "" : ", ") + std::string(what);
  };
  if ((files & landlock::kTruncate) == 0) lack("truncating");
  if (landlock::network_known(abi) == 0) lack("TCP");
  if ((files & landlock::kIoctlDev) == 0) lack("device controls");
  if (landlock::scopes_known(abi) == 0) lack("signals and abstract sockets");
  if (lacks.empty()) return result;
  result.state = Layer::State::degraded;
  result.detail += "; no rules for " + lacks + ": mounts, namespaces and seccomp alone hold there";
  if ((files & landlock::kRefer) == 0) {
    result.detail += "; no file is renamed or linked from one folder to another";
  }
  result.remedy = "use Linux 6.12 or newer for all rules";
  return result;
}

}  // namespace sable::sandbox
