// Retention at a quiet moment: beside the work of a command, never in its way.
#pragma once

#include <stop_token>

#include "base/log.h"
#include "base/task_group.h"
#include "memory/memory.h"
#include "runtime/config/config.h"

namespace sable::runtime {

/// Removes what the settings no longer keep while a command does its work. Failures are logged and
/// change nothing else. stop() must complete before destruction; it does not wait for more than one
/// short transaction.
class RetentionBeside {
 public:
  /// `store` outlives it. Does nothing where no limit is set.
  RetentionBeside(asio::any_io_executor executor, memory::Store& store,
                  const config::RetentionSettings& settings, Log log);
  asio::awaitable<void> stop();

 private:
  asio::awaitable<void> run(memory::Retention policy);

  memory::Store& store_;
  const Log log_;
  std::stop_source stopping_;
  TaskGroup work_;
};

}  // namespace sable::runtime
