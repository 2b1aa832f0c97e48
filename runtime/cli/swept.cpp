#include "runtime/cli/swept.h"

#include <fmt/format.h>

namespace sable::runtime {

Json to_json(const memory::Swept& swept) {
  return {{"sessions", swept.n_sessions},
          {"blobs", swept.n_blobs},
          {"checkpoints", swept.n_checkpoints},
          {"snapshots", swept.n_snapshots}};
}

std::string text_of(const memory::Swept& swept) {
  if (swept.nothing()) return "";
  return fmt::format(
      "taken away what was left of programs that were cut off: {} sessions, {} outputs, file "
      "checkpoints of {} sessions, snapshots of {}\n",
      swept.n_sessions, swept.n_blobs, swept.n_checkpoints, swept.n_snapshots);
}

}  // namespace sable::runtime
