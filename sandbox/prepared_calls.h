// Sandboxes made ahead of their use. Each is used once or never: it is set up by a plan, waits, and
// serves the next call whose plan is the same to the last byte; a call with another plan, or with
// none waiting, asks for its own.
#pragma once

#include <list>
#include <mutex>

#include "sandbox/control_socket.h"
#include "sandbox/memory_cgroup.h"
#include "sandbox/plan.h"

namespace sable::sandbox {

/// A call that was asked for.
struct MadeCall {
  UniqueFd status;                       ///< near end of its status socket
  std::unique_ptr<MemoryCgroup> memory;  ///< none: pid 1 watches
};

/// Its calls may come from any thread.
class PreparedCalls {
 public:
  /// `control` outlives it. `memory`: where calls get their cgroups, or null.
  PreparedCalls(const ControlSocket& control, std::shared_ptr<MemoryCgroups> memory)
      : control_(control), memory_(std::move(memory)) {}

  const ControlSocket& control() const { return control_; }

  /// A call set up by `plan`, now or soon. Errors: as ControlSocket.
  Result<MadeCall> take(const Plan& plan);

  /// Has one made for the next call with this plan, unless there is one. Does not wait, and a
  /// failure costs only the time that the next call then takes.
  void replenish(const Plan& plan);

 private:
  struct Kept {
    Plan plan;
    UniqueFd encoded;
    MadeCall made;  ///< ahead, if it has a status socket
  };
  static constexpr size_t kPlansMax = 4;  ///< the least recently used goes first

  /// The entry of this plan, now in front.
  Result<Kept*> find(const Plan& plan);
  Result<MadeCall> request(const Kept& kept, CallRequest::When when) const;

  const ControlSocket& control_;
  const std::shared_ptr<MemoryCgroups> memory_;
  std::mutex mutex_;
  std::list<Kept> kept_;
};

}  // namespace sable::sandbox
