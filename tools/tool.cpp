#include "tools/tool.h"

#include "base/task_group.h"

namespace sable::tools {

namespace {

class FileRunner : public Runner {
 public:
  explicit FileRunner(FileWork work) : work_(work) {}

  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    // The workspace serves one session, whose coroutine waits here: the worker has it to itself.
    auto on_worker = [work = work_, files = &context.workspace.files(),
                      arguments = std::move(call.arguments)]() -> Result<Outcome> {
      try {
        Outcome outcome = work(*files, arguments);
        for (auto& change : outcome.changes) change.diff = unified_diff(change);
        return outcome;
      } catch (const std::exception& error) {  // of the standard library: memory
        return fail(ErrorCode::exhausted, std::string("this file work failed: ") + error.what());
      }
    };
    auto outcome = co_await run_blocking(context.workers, std::move(on_worker));
    co_return outcome;
  }

 private:
  FileWork work_;
};

}  // namespace

Outcome failed(std::string text) { return Outcome{.ok = false, .text = std::move(text)}; }

std::unique_ptr<Runner> file_runner(FileWork work) { return std::make_unique<FileRunner>(work); }

std::string text_argument(const Json& arguments, const char* name, std::string_view fallback) {
  return string_or(arguments, name, fallback);
}

double number_argument(const Json& arguments, const char* name, double fallback) {
  if (!arguments.is_object()) return fallback;
  const auto it = arguments.find(name);
  return it != arguments.end() && it->is_number() ? it->get<double>() : fallback;
}

int64_t whole_argument(const Json& arguments, const char* name, int64_t fallback) {
  // JSON Schema calls 3.0 an integer as well; the schemas bound these far below 2^53.
  const double number = number_argument(arguments, name, static_cast<double>(fallback));
  return number > -9e15 && number < 9e15 ? static_cast<int64_t>(number) : fallback;
}

bool flag_argument(const Json& arguments, const char* name, bool fallback) {
  if (!arguments.is_object()) return fallback;
  const auto it = arguments.find(name);
  return it != arguments.end() && it->is_boolean() ? it->get<bool>() : fallback;
}

}  // namespace sable::tools
