#include "evaluation/check_script.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::evaluation {

namespace {

constexpr size_t kOutputKept = 4096;

std::string last_line(const std::string& output) {
  const size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return {};
  const size_t begin = output.rfind('\n', end);
  const std::string line = output.substr(begin == std::string::npos ? 0 : begin + 1,
                                         end - (begin == std::string::npos ? 0 : begin + 1) + 1);
  return escape_controls(line.substr(0, utf8_prefix(line, 200)));
}

}  // namespace

asio::awaitable<Result<CheckResult>> run_check(sandbox::Sandbox& sandbox, sandbox::Policy policy,
                                               CheckScript check) {
  policy.writable = {check.repository};
  policy.files = sandbox::FileEffects::direct;  // in a copy, which nobody keeps
  if (!check.task.empty()) {
    policy.readable.push_back(check.task);
    policy.environment["TASK"] = check.task.string();
  }
  sandbox::Command command{.argv = {"sh", "-c", check.script, "check.sh"},
                           .working_directory = check.repository,
                           .stdin_data = std::move(check.answer)};
  std::string printed, complained;
  sandbox::OutputSink sink = [&](sandbox::Stream stream, std::string_view bytes) {
    std::string& output = stream == sandbox::Stream::standard_error ? complained : printed;
    output += bytes;
    if (output.size() > 2 * kOutputKept) output.erase(0, output.size() - kOutputKept);
  };
  SABLE_CO_TRY(const auto ran,
               co_await sandbox.run(std::move(policy), std::move(command), std::move(sink)));
  CheckResult result{.passed = ran.end == sandbox::End::exited && ran.exit_code == 0};
  if (result.passed) co_return result;
  result.why = ran.end == sandbox::End::exited
                   ? fmt::format("the check ended with exit code {}", ran.exit_code)
                   : "the check did not end by itself: " + ran.explanation;
  // Which of the two streams was written last cannot be known.
  std::string line = last_line(complained);
  if (line.empty()) line = last_line(printed);
  if (!line.empty()) result.why += ": " + line;
  co_return result;
}

}  // namespace sable::evaluation
