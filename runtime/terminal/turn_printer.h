// A session on a terminal: text as it comes, calls with their diffs, a summary at the end.
#pragma once

#include <string>

#include "agent/agent.h"
#include "runtime/terminal/output.h"
#include "runtime/terminal/style.h"

namespace sable::runtime {

/// Prints for people. With `live`, previews are shown as they come (a terminal); without, only what
/// is durable. Foreign text is made inert first.
class TurnPrinter : public agent::Observer {
 public:
  TurnPrinter(Output& output, Style style, bool live)
      : output_(output), style_(style), live_(live) {}

  void on_event(const memory::Event& event) override;
  void on_preview(const agent::Preview& preview) override;

 private:
  void print_reply(const Json& data);
  void print_call(const Json& data);
  void print_outcome(const Json& data);
  void print_summary(const Json& data);
  void print_rewind(const memory::Event& event);
  void print_restored(const Json& data);
  void end_line();

  Output& output_;
  Style style_;
  bool live_;
  bool in_line_ = false;         ///< the cursor is not at the start of a line
  bool text_previewed_ = false;  ///< of the running step
  bool reasoning_shown_ = false;
  bool output_shown_ = false;  ///< of the running call
};

/// One event an object a line (`--json`).
class JsonPrinter : public agent::Observer {
 public:
  explicit JsonPrinter(Output& output) : output_(output) {}
  void on_event(const memory::Event& event) override;
  void on_preview(const agent::Preview&) override {}

 private:
  Output& output_;
};

/// "read_file path=src/a.cpp", arguments cut to a line.
std::string describe_call(const std::string& name, const Json& arguments);

}  // namespace sable::runtime
