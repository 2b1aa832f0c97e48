// Structured logging to standard error: readable on a terminal, one JSON object a line elsewhere.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/result.h"

namespace sable {

enum class LogLevel { trace, debug, info, warning, error, off };

/// Parses "trace", "debug", "info", "warning", "error" or "off".
Result<LogLevel> parse_log_level(std::string_view text);

struct LogField {
  std::string_view key;
  Json value;
};

/// A sink that components are given; thread-safe. Never holds secrets: callers do not pass them.
class Log {
 public:
  enum class Format { text, json };

  /// Writes to descriptor `fd` (borrowed). `name` is the component, shown with every line.
  static Log to_fd(int fd, Format format, LogLevel level);
  /// Text if `fd` is a terminal, JSON lines otherwise.
  static Log to_stderr(LogLevel level);
  /// Drops everything.
  static Log none();

  bool enabled(LogLevel level) const;
  void write(LogLevel level, std::string_view message,
             std::initializer_list<LogField> fields = {}) const;

  void debug(std::string_view m, std::initializer_list<LogField> f = {}) const {
    write(LogLevel::debug, m, f);
  }
  void info(std::string_view m, std::initializer_list<LogField> f = {}) const {
    write(LogLevel::info, m, f);
  }
  void warning(std::string_view m, std::initializer_list<LogField> f = {}) const {
    write(LogLevel::warning, m, f);
  }
  void error(std::string_view m, std::initializer_list<LogField> f = {}) const {
    write(LogLevel::error, m, f);
  }

 private:
  struct Sink;
  explicit Log(std::shared_ptr<const Sink> sink) : sink_(std::move(sink)) {}
  std::shared_ptr<const Sink> sink_;
};

}  // namespace sable
