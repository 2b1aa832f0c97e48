// `sable session prune`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/asio.h"
#include "memory/memory.h"
#include "runtime/program.h"

namespace sable::runtime {

struct PruneOptions {
  std::optional<uint64_t> older_than_days;
  std::string larger_than;  ///< a size as people write it; empty: as configured
  bool dry_run = false;
};

asio::awaitable<int> prune_sessions(const Program& program, memory::Store& store,
                                    const PruneOptions& options);

}  // namespace sable::runtime
