// Sandboxes made ahead of their use. Each is used once or never: it is set up by a plan, waits, and
// serves the next call whose plan is the same to the last byte; a call with another plan, or with
// none waiting, asks for its own.
#pragma once

#include <list>
#include <mutex>

#include "sandbox/control_socket.h"
#include "sandbox/plan.h"

namespace sable::sandbox {

/// Its calls may come from any thread.
class PreparedCalls {
 public:
  /// `control` outlives it.
  explicit PreparedCalls(const ControlSocket& control) : control_(control) {}

  const ControlSocket& control() const { return control_; }

  /// The status socket of a call set up by `plan`, now or soon. Errors: as ControlSocket.
  Result<UniqueFd> take(const Plan& plan);

  /// Has one made for the next call with this plan, unless there is one. Does not wait, and a
  /// failure costs only the time that the next call then takes.
  void replenish(const Plan& plan);

 private:
  struct Kept {
    Plan plan;
    UniqueFd encoded;
    UniqueFd status;
  };
  static constexpr size_t kPlansMax = 4;  ///< the least recently used goes first

  /// The entry of this plan, now in front.
  Result<Kept*> find(const Plan& plan);

  const ControlSocket& control_;
  std::mutex mutex_;
  std::list<Kept> kept_;
};

}  // namespace sable::sandbox
