#include "runtime/terminal/turn_printer.h"

#include <fmt/format.h>

#include "base/text.h"

namespace sable::runtime {

namespace {

constexpr size_t kArgumentWidth = 100;
constexpr size_t kOutcomeLines = 6;

std::string one_line(std::string_view text, size_t width) {
  const bool cut = text.find('\n') != std::string_view::npos || text.size() > width;
  text = text.substr(0, std::min(text.find('\n'), text.size()));
  std::string line = escape_controls(text.substr(0, utf8_prefix(text, width)));
  return cut ? line + "…" : line;
}

std::string seconds_of(const Json& data) {
  const auto ms = data.value("wall_ms", int64_t{0});
  return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000.0);
}

}  // namespace

std::string describe_call(const std::string& name, const Json& arguments) {
  std::string text = one_line(name, 64);
  if (!arguments.is_object()) return text;
  for (const auto& [key, value] : arguments.items()) {
    const std::string shown = value.is_string() ? value.get<std::string>() : dump_json(value);
    text += " " + one_line(key, 40) + "=" + one_line(shown, kArgumentWidth);
  }
  return text;
}

void TurnPrinter::end_line() {
  if (in_line_) output_.write("\n");
  in_line_ = false;
}

void TurnPrinter::on_preview(const agent::Preview& preview) {
  if (!live_) return;
  using Kind = agent::Preview::Kind;
  switch (preview.kind) {
    case Kind::text:
      if (std::exchange(reasoning_shown_, false)) end_line();
      output_.write_preview(escape_controls(preview.text));
      text_previewed_ = true;
      in_line_ = !preview.text.ends_with('\n');
      break;
    case Kind::reasoning:
      output_.write_preview(style_.dim(escape_controls(preview.text)));
      reasoning_shown_ = true;
      in_line_ = !preview.text.ends_with('\n');
      break;
    case Kind::tool_output:
      output_.write_preview(style_.dim(escape_controls(preview.text)));
      output_shown_ = true;
      in_line_ = !preview.text.ends_with('\n');
      break;
    case Kind::restarted:
      end_line();
      output_.write(
          style_.yellow("the answer broke off, asking again: " + one_line(preview.text, 200)) +
          "\n");
      text_previewed_ = reasoning_shown_ = false;
      break;
    case Kind::call:
      break;  // shown whole when its intent is logged
  }
}

void TurnPrinter::on_event(const memory::Event& event) {
  if (event.type == "model.requested") {
    text_previewed_ = reasoning_shown_ = false;
  } else if (event.type == "model.finished") {
    print_reply(event.data);
  } else if (event.type == "model.failed") {
    end_line();
    output_.write(style_.red("model: " + escape_controls(string_or(event.data, "message", ""))) +
                  "\n");
  } else if (event.type == "tool.intent") {
    print_call(event.data);
  } else if (event.type == "approval.decided") {
    if (string_or(event.data, "by", "") != "tool") {
      output_.write(style_.dim(fmt::format("  {} ({})\n", string_or(event.data, "decision", ""),
                                           string_or(event.data, "by", ""))));
    }
  } else if (event.type == "tool.outcome") {
    print_outcome(event.data);
  } else if (event.type == "turn.continued") {
    output_.write(
        style_.dim(fmt::format("going on with turn {}\n", int_or(event.data, "turn", 0))));
  } else if (event.type == "turn.ended") {
    print_summary(event.data);
  } else if (event.type == memory::kRewound) {
    print_rewind(event);
  } else if (event.type == "files.restored") {
    print_restored(event.data);
  }
}

void TurnPrinter::print_reply(const Json& data) {
  if (!live_ || !text_previewed_) {
    const auto text = string_or(data, "text", "");
    if (!text.empty()) {
      output_.write(escape_controls(text));
      in_line_ = !text.ends_with('\n');
    }
  }
  end_line();
}

void TurnPrinter::print_call(const Json& data) {
  end_line();
  output_shown_ = false;
  const auto arguments = data.contains("arguments") ? data["arguments"] : Json::object();
  output_.write(style_.bold("▸ ") +
                style_.cyan(describe_call(string_or(data, "name", ""), arguments)) + "\n");
}

void TurnPrinter::print_outcome(const Json& data) {
  end_line();
  const auto status = string_or(data, "status", "");
  const bool ok = status == "ok";
  bool showed_diff = false;
  if (data.contains("changes") && data["changes"].is_array()) {
    for (const auto& change : data["changes"]) {
      output_.write(paint_diff(style_, string_or(change, "diff", "")));
      showed_diff = true;
    }
  }
  if (showed_diff && ok) return;
  const auto text = string_or(data, "text", "");
  const auto lines = split_lines(text);
  const size_t n_shown = output_shown_ && ok ? 0 : std::min(lines.size(), kOutcomeLines);
  if (!ok) output_.write("  " + style_.red(status) + "\n");
  for (size_t i = 0; i < n_shown; ++i) {
    output_.write(style_.dim("  " + one_line(lines[i], 160)) + "\n");
  }
  if (n_shown > 0 && lines.size() > n_shown) {
    output_.write(style_.dim(fmt::format("  … {} more lines", lines.size() - n_shown)) + "\n");
  }
}

void TurnPrinter::print_summary(const Json& data) {
  end_line();
  const auto status = string_or(data, "status", "");
  const auto reason = string_or(data, "reason", "");
  output_.write("\n" + (status == "finished"
                            ? style_.green("finished")
                            : style_.red(status) + ": " + escape_controls(reason)));
  const auto usage = data.contains("usage") ? data["usage"] : Json::object();
  output_.write(style_.dim(fmt::format(
      "  {}, {} steps, {} tool calls, {} tokens in ({} cached), {} out\n", seconds_of(data),
      data.value("n_steps", 0), data.value("n_tool_calls", 0), usage.value("input_tokens", 0),
      usage.value("cached_tokens", 0), usage.value("output_tokens", 0))));
  if (data.contains("files_changed") && !data["files_changed"].empty()) {
    output_.write("files changed:\n");
    for (const auto& file : data["files_changed"]) {
      if (file.is_string()) output_.write("  " + one_line(file.get<std::string>(), 200) + "\n");
    }
  }
}

void TurnPrinter::print_rewind(const memory::Event& event) {
  const auto rewind = memory::rewind_from(event);
  if (rewind.at == 0) return;  // not a sound one: it changes nothing
  end_line();
  output_.write(
      "\n" +
      style_.yellow(fmt::format("◂ back to event {0}: what came after event {0} up to here was "
                                "taken back and counts no more",
                                rewind.to)) +
      "\n");
  if (string_or(event.data, "files", "").empty()) {
    output_.write("  the files stayed as they were\n");
  }
}

void TurnPrinter::print_restored(const Json& data) {
  const auto reason = string_or(data, "reason", "");
  output_.write(reason.empty()
                    ? fmt::format("  the files went back too: {} written, {} removed\n",
                                  data.value("n_written", 0), data.value("n_removed", 0))
                    : style_.yellow("  the files could not be brought back and stay as they are: " +
                                    one_line(reason, 400)) +
                          "\n");
}

void JsonPrinter::on_event(const memory::Event& event) {
  output_.write(dump_json(memory::to_json(event)) + "\n");
}

}  // namespace sable::runtime
