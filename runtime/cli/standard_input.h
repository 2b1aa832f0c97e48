// This program's standard input, read for a command that runs in the sandbox.
#pragma once

#include <string>

#include "base/asio.h"

namespace sable::runtime {

/// Whatever it is: a terminal, a pipe, a file. Its flags stay as they are, since others share them.
class StandardInput {
 public:
  explicit StandardInput(const asio::any_io_executor& executor);

  /// The next bytes as they come; empty at the end. Nothing is read of a terminal that another job
  /// has in the foreground: that is the end too.
  asio::awaitable<std::string> read();

 private:
  enum class Kind { nothing, file, stream };

  Kind kind_ = Kind::nothing;
  asio::posix::stream_descriptor stream_;  ///< an open file description of our own where possible
};

}  // namespace sable::runtime
