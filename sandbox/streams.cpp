#include "sandbox/streams.h"

#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace sable::sandbox {

namespace {

constexpr size_t kOutputPieceBytes = size_t{64} << 10;
constexpr std::chrono::milliseconds kRestPatience{250};

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> pipe_pair() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

ssize_t write_quietly(int fd, std::string_view bytes) {
  sigset_t pipe, before;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const ssize_t written = ::write(fd, bytes.data(), bytes.size());
  const int error = errno;
  if (written < 0 && error == EPIPE && ::sigismember(&before, SIGPIPE) == 0) {
    constexpr timespec kNow{};
    ::sigtimedwait(&pipe, nullptr, &kNow);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

Result<UniqueFd> empty_input() {
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno("/dev/null", errno);
  return null;
}

OutputReader::OutputReader(const asio::any_io_executor& executor, uint64_t bytes_max,
                           OutputSink take, std::function<void()> over_limit)
    : bytes_max_(bytes_max),
      take_(std::move(take)),
      over_limit_(std::move(over_limit)),
      closed_(executor, asio::steady_timer::time_point::max()),
      sources_{Source(executor), Source(executor)} {}

void OutputReader::assign(Stream stream, UniqueFd near) {
  of(stream).pipe.assign(near.release());
  of(stream).open = true;
}

int OutputReader::descriptor(Stream stream) {
  auto& pipe = of(stream).pipe;
  return pipe.is_open() ? pipe.native_handle() : -1;
}

asio::awaitable<void> OutputReader::read(Stream stream) {
  Source& source = of(stream);
  std::array<char, kOutputPieceBytes> buffer;
  boost::system::error_code error;
  while (!error) {
    const size_t size = co_await source.pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (size > 0) hand_on(stream, {buffer.data(), size});
  }
  source.open = false;
  closed_.cancel();
}

void OutputReader::hand_on(Stream stream, std::string_view bytes) {
  const uint64_t seen = sources_[0].bytes + sources_[1].bytes;
  of(stream).bytes += bytes.size();
  const uint64_t room = bytes_max_ > seen ? bytes_max_ - seen : 0;
  if (room > 0 && take_) take_(stream, bytes.substr(0, room));
  if (bytes.size() > room) over_limit_();
}

asio::awaitable<void> OutputReader::wait_for_rest() {
  const auto until = std::chrono::steady_clock::now() + kRestPatience;
  while ((sources_[0].open || sources_[1].open) && std::chrono::steady_clock::now() < until) {
    closed_.expires_at(until);
    boost::system::error_code ignored;
    co_await closed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace sable::sandbox
