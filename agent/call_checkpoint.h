// The state of the files before a call that may change them, as an event.
#pragma once

#include <memory>
#include <string>

#include "base/asio.h"
#include "memory/memory.h"
#include "tools/tools.h"

namespace sable::agent {

/// Keeps what is known of the files from call to call, so that only changes are read.
class CallCheckpoints {
 public:
  CallCheckpoints(std::filesystem::path home, std::filesystem::path root)
      : home_(std::move(home)), root_(std::move(root)) {}

  /// "files.checkpointed"; where none can be taken the event says why, and the call goes on.
  /// Cancelling the coroutine gives the checkpoint up between two files.
  asio::awaitable<memory::NewEvent> before(asio::thread_pool& workers, std::string session,
                                           std::string call_id);

 private:
  const std::filesystem::path home_, root_;
  std::unique_ptr<memory::FileCheckpoints> files_;
};

}  // namespace sable::agent
