#include "base/log.h"

#include <memory>
#include <mutex>
#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

namespace sable {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

/// Writes each formatted line with one write(2), so lines of several processes do not mix.
class FdSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FdSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    // A log that cannot be written has nowhere to complain to.
    (void)write_all(fd_, std::string_view(line.data(), line.size()));
  }
  void flush_() override {}

 private:
  int fd_;
};

}  // namespace

struct Log::Sink {
  mutable spdlog::logger logger;
  Format format;
};

Result<LogLevel> parse_log_level(std::string_view text) {
  if (text == "trace") return LogLevel::trace;
  if (text == "debug") return LogLevel::debug;
  if (text == "info") return LogLevel::info;
  if (text == "warning" || text == "warn") return LogLevel::warning;
  if (text == "error") return LogLevel::error;
  if (text == "off") return LogLevel::off;
  return fail(
      ErrorCode::invalid_input,
      fmt::format("log level \"{}\": expected trace, debug, info, warning, error or off", text));
}

Log Log::to_fd(int fd, Format format, LogLevel level) {
  auto sink = std::make_shared<FdSink>(fd);
  sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == Format::text ? "%H:%M:%S %l: %v" : "%v", spdlog::pattern_time_type::local));
  auto owned = std::make_shared<Sink>(Sink{spdlog::logger("sable", std::move(sink)), format});
  owned->logger.set_level(to_spdlog(level));
  return Log(std::move(owned));
}

Log Log::to_stderr(LogLevel level) {
  return to_fd(2, ::isatty(2) == 1 ? Format::text : Format::json, level);
}

Log Log::none() { return to_fd(2, Format::text, LogLevel::off); }

bool Log::enabled(LogLevel level) const { return sink_->logger.should_log(to_spdlog(level)); }

void Log::write(LogLevel level, std::string_view message,
                std::initializer_list<LogField> fields) const {
  if (!enabled(level)) return;
  if (sink_->format == Format::json) {
    Json line{{"time", to_rfc3339(system_clock().wall_now())},
              {"level", spdlog::level::to_string_view(to_spdlog(level)).data()},
              {"message", message}};
    for (const auto& field : fields) line[std::string(field.key)] = field.value;
    sink_->logger.log(to_spdlog(level), dump_json(line));
    return;
  }
  std::string line = escape_controls(message);
  for (const auto& field : fields) {
    line += fmt::format(" {}={}", field.key, escape_controls(dump_json(field.value)));
  }
  sink_->logger.log(to_spdlog(level), line);
}

}  // namespace sable
