#include "runtime/terminal/permission_prompt.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/unique_fd.h"
#include "runtime/terminal/whole_call.h"

namespace sable::runtime {

namespace {

constexpr size_t kLineBytesMax = 1024;
constexpr int kTriesMax = 3;

std::optional<agent::Permission> parse_answer(std::string_view line) {
  if (line == "o" || line == "once" || line == "y" || line == "yes") {
    return agent::Permission::allow_once;
  }
  if (line == "s" || line == "session") return agent::Permission::allow_session;
  if (line == "a" || line == "always") return agent::Permission::allow_always;
  if (line == "n" || line == "no") return agent::Permission::reject;
  return std::nullopt;
}

/// The terminal opened anew: what is waited for must be non-blocking, and that is a property of the
/// open file, which a duplicate shares with the shell and with our own output. Where it may not be
/// opened by its own name (a terminal that another user opened), by that of the session's.
UniqueFd open_anew(int terminal_fd) {
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const std::string name = fmt::format("/proc/self/fd/{}", terminal_fd);
  UniqueFd own(::open(name.c_str(), kFlags));
  if (!own) own = UniqueFd(::open("/dev/tty", kFlags));
  return own;
}

/// The line of a question, which is ended also when no answer ends it.
struct OpenLine {
  Output& output;
  bool ended = false;
  ~OpenLine() {
    if (!ended) output.write("\n");
  }
};

/// The choice that a line names by its number, else the line itself; nullopt for an empty one.
std::optional<std::string> answer_in(const std::string& line, const tools::Question& question) {
  if (line.empty()) return std::nullopt;
  for (size_t i = 0; i < question.choices.size(); ++i) {
    if (line == std::to_string(i + 1)) return question.choices[i];
  }
  return line;
}

}  // namespace

// What was typed beyond the line is left to later questions only by the terminal itself, which
// hands out whole lines.
asio::awaitable<std::optional<std::string>> read_answer(int input_fd, Output& output) {
  OpenLine cursor{.output = output};
  UniqueFd own = open_anew(input_fd);
  if (!own) co_return std::nullopt;
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor input(executor);
  boost::system::error_code error;
  input.assign(own.get(), error);
  if (error) co_return std::nullopt;
  (void)own.release();
  std::string line;
  const size_t end =
      co_await asio::async_read_until(input, asio::dynamic_buffer(line, kLineBytesMax), '\n',
                                      asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return std::nullopt;
  cursor.ended = true;  // by the person, with what they typed
  line.resize(end);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) {
    line.pop_back();
  }
  co_return line;
}

asio::awaitable<agent::Permission> ask_on_terminal(int input_fd, Output& output, Style style,
                                                   agent::PermissionRequest request) {
  output.write(style.yellow("allow ") + escape_controls(request.call.name) + style.yellow("?") +
               "\n" + whole_call(style, request.call.arguments));
  for (int n = 0; n < kTriesMax; ++n) {
    output.write(style.yellow("[o]nce, [s]ession, [a]lways here, [n]o: "));
    const auto line = co_await read_answer(input_fd, output);
    if (!line) co_return agent::Permission::reject;
    const auto answer = parse_answer(*line);
    if (answer) co_return *answer;
  }
  co_return agent::Permission::reject;
}

asio::awaitable<std::optional<std::string>> ask_question_on_terminal(int input_fd, Output& output,
                                                                     Style style,
                                                                     tools::Question question) {
  std::string shown = paint_diff(style, question.diff) + style.yellow("question ") +
                      escape_controls(question.text) + "\n";
  for (size_t i = 0; i < question.choices.size(); ++i) {
    shown += "  " + std::to_string(i + 1) + " " + escape_controls(question.choices[i]) + "\n";
  }
  output.write(shown + style.yellow(question.choices.empty()
                                        ? "answer (empty: none): "
                                        : "a number, or your own words (empty: no answer): "));
  const auto line = co_await read_answer(input_fd, output);
  if (!line) co_return std::nullopt;
  co_return answer_in(*line, question);
}

}  // namespace sable::runtime
