// A program's standard streams, from our side.
#pragma once

#include <array>
#include <functional>
#include <utility>

#include "base/asio.h"
#include "base/unique_fd.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// The end that is read, and the end that is written; both close-on-exec.
Result<std::pair<UniqueFd, UniqueFd>> pipe_pair();

/// write(2) to what may be a pipe that nobody reads any more, without the signal for that.
ssize_t write_quietly(int fd, std::string_view bytes);

/// Standard input for a program that gets none.
Result<UniqueFd> empty_input();

/// Reads standard output and error as they come, and hands on what fits into one limit for both.
/// Lives on one thread, in the frame of whoever runs its tasks.
class OutputReader {
 public:
  /// `over_limit` is called each time something did not fit.
  OutputReader(const asio::any_io_executor& executor, uint64_t bytes_max, OutputSink take,
               std::function<void()> over_limit);

  /// The end that is read. Until then, or without one, a stream counts as closed.
  void assign(Stream stream, UniqueFd near);
  /// Until the stream is closed or this is cancelled; after assign().
  asio::awaitable<void> read(Stream stream);
  /// What is left when the program is gone; not for ever, since somebody may hold the other end.
  asio::awaitable<void> wait_for_rest();

  /// For what else is done to it; -1 without one.
  int descriptor(Stream stream);
  /// All that came, fitting or not.
  uint64_t bytes(Stream stream) const { return of(stream).bytes; }

 private:
  struct Source {
    explicit Source(const asio::any_io_executor& executor) : pipe(executor) {}
    asio::posix::stream_descriptor pipe;
    uint64_t bytes = 0;
    bool open = false;
  };
  Source& of(Stream stream) { return sources_[static_cast<size_t>(stream)]; }
  const Source& of(Stream stream) const { return sources_[static_cast<size_t>(stream)]; }
  void hand_on(Stream stream, std::string_view bytes);

  const uint64_t bytes_max_;
  const OutputSink take_;
  const std::function<void()> over_limit_;
  asio::steady_timer closed_;  ///< cancelled when a stream is
  std::array<Source, 2> sources_;
};

}  // namespace sable::sandbox
