// read_output: the rest of an earlier call's output that was too long to be shown.
#include <algorithm>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "tools/builtins.h"
#include "tools/command_output.h"
#include "tools/file_text.h"
#include "tools/line_window.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr size_t kFoundLinesMax = 200;
constexpr size_t kFoundBytesMax = 64 << 10;

Outcome lines_of(const std::string& text, WantedLines wanted) {
  LineWindow window(wanted);
  window.take(text);
  window.finish();
  Outcome outcome{.text = window.text()};
  const std::string total = counted(window.n_lines(), "line");
  if (window.last_shown() == 0) {
    outcome.text += fmt::format("[nothing in this range: the output has {}]\n", total);
  } else if (window.last_shown() < window.n_lines()) {
    outcome.text +=
        fmt::format("[lines {}-{} of {}; go on with start_line={}]\n", window.first_shown(),
                    window.last_shown(), total, window.last_shown() + 1);
  } else {
    outcome.text += fmt::format("[lines {}-{}, the end of the output]\n", window.first_shown(),
                                window.last_shown());
  }
  return outcome;
}

Outcome lines_with(const std::string& text, const std::string& word, WantedLines wanted) {
  Outcome outcome;
  size_t number = 0, n_found = 0;
  for (const std::string_view line : split_lines(text)) {
    ++number;
    if (number < wanted.first || (wanted.last != 0 && number > wanted.last)) continue;
    if (line.find(word) == std::string_view::npos) continue;
    if (n_found == kFoundLinesMax || outcome.text.size() > kFoundBytesMax) {
      outcome.text += fmt::format("[there are more; go on with start_line={}]\n", number);
      return outcome;
    }
    ++n_found;
    outcome.text += numbered_line(number, line);
  }
  outcome.text += fmt::format("[{} with this text]\n", counted(n_found, "line"));
  return outcome;
}

Outcome part_of(const std::string& whole, const Json& arguments) {
  WantedLines wanted;
  wanted.first =
      static_cast<size_t>(std::max<int64_t>(1, whole_argument(arguments, "start_line", 1)));
  wanted.last = static_cast<size_t>(std::max<int64_t>(0, whole_argument(arguments, "end_line", 0)));
  if (wanted.last != 0 && wanted.last < wanted.first) {
    return failed(fmt::format("end_line {} is before start_line {}", wanted.last, wanted.first));
  }
  if (kind_of_text(whole) == TextKind::binary) {
    return failed(
        fmt::format("this output is {} bytes that are not text; send it to a file to work on it",
                    whole.size()));
  }
  const std::string text = plain_text(whole);
  const std::string word = text_argument(arguments, "find");
  return word.empty() ? lines_of(text, wanted) : lines_with(text, word, wanted);
}

class OutputRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    if (context.session == nullptr) co_return failed("outputs are kept only within a session");
    auto whole = co_await context.session->kept_output(text_argument(call.arguments, "output"));
    if (!whole) co_return failed(whole.error().message);
    auto look = [text = std::move(*whole), arguments = std::move(call.arguments)] {
      return part_of(text, arguments);
    };
    auto outcome = co_await run_blocking(context.workers, std::move(look));
    co_return outcome;
  }
};

}  // namespace

Tool read_output_tool() {
  return make_builtin(
      "read_output",
      "Shows lines of an earlier call's output that was too long to be shown whole: a range of "
      "numbered lines, or those that hold a text. At most 2000 lines or 64 KiB come at once.",
      R"({
        "type": "object",
        "properties": {
          "output": {"type": "string", "minLength": 8, "maxLength": 100,
                     "description": "the output, as the cut result names it"},
          "start_line": {"type": "integer", "minimum": 1, "maximum": 1000000000,
                         "description": "first line to look at, from 1"},
          "end_line": {"type": "integer", "minimum": 1, "maximum": 1000000000,
                       "description": "last line to look at"},
          "find": {"type": "string", "minLength": 1, "maxLength": 1000,
                   "description": "only lines with this text in them"}
        },
        "required": ["output"],
        "additionalProperties": false
      })",
      Effect::none, std::make_unique<OutputRunner>());
}

}  // namespace sable::tools
