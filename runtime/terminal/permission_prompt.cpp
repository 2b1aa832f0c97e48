#include "runtime/terminal/permission_prompt.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>

#include "runtime/terminal/turn_printer.h"

namespace sable::runtime {

namespace {

constexpr size_t kLineBytesMax = 1024;
constexpr int kTriesMax = 3;

std::optional<agent::Permission> parse_answer(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) {
    line.remove_suffix(1);
  }
  if (line == "o" || line == "once" || line == "y" || line == "yes") {
    return agent::Permission::allow_once;
  }
  if (line == "s" || line == "session") return agent::Permission::allow_session;
  if (line == "a" || line == "always") return agent::Permission::allow_always;
  if (line == "n" || line == "no") return agent::Permission::reject;
  return std::nullopt;
}

}  // namespace

asio::awaitable<agent::Permission> ask_on_terminal(int input_fd, Output& output, Style style,
                                                   agent::PermissionRequest request) {
  const int own_fd = ::fcntl(input_fd, F_DUPFD_CLOEXEC, 0);
  if (own_fd < 0) co_return agent::Permission::reject;
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor input(executor, own_fd);
  std::string line;
  for (int n = 0; n < kTriesMax; ++n) {
    output.write(style.yellow("allow ") + describe_call(request.call.name, request.call.arguments) +
                 style.yellow("? [o]nce, [s]ession, [a]lways here, [n]o: "));
    line.clear();
    boost::system::error_code error;
    const size_t end =
        co_await asio::async_read_until(input, asio::dynamic_buffer(line, kLineBytesMax), '\n',
                                        asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return agent::Permission::reject;
    const auto answer = parse_answer(std::string_view(line).substr(0, end));
    if (answer) co_return *answer;
  }
  co_return agent::Permission::reject;
}

}  // namespace sable::runtime
