#include "tools/command_output.h"

#include <algorithm>
#include <signal.h>
#include <string.h>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/file_text.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr char kEscape = '\x1b';

/// Length of the ECMA-48 control sequence at the start of `text` ("ESC [ parameters final"), or 0.
size_t control_sequence(std::string_view text) {
  if (text.size() < 3 || text[0] != kEscape || text[1] != '[') return 0;
  for (size_t i = 2; i < text.size() && i < 64; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x40 && c <= 0x7E) return i + 1;
    if (c < 0x20 || c > 0x3F) return 0;
  }
  return 0;
}

bool is_binary(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 8192);
  return head.find('\0') != std::string_view::npos;
}

/// Bytes at the end that may be the start of a code point, a control sequence or CR LF.
size_t unfinished_tail(std::string_view bytes) {
  if (bytes.ends_with('\r')) return 1;
  const size_t escape =
      bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 64)).rfind(kEscape);
  if (escape != std::string_view::npos) {
    const size_t at = bytes.size() - std::min<size_t>(bytes.size(), 64) + escape;
    const std::string_view rest = bytes.substr(at);
    const bool may_go_on =
        rest.size() == 1 ||
        (rest[1] == '[' && control_sequence(rest) == 0 &&
         std::all_of(rest.begin() + 2, rest.end(), [](char c) { return c >= 0x20 && c <= 0x3F; }));
    if (may_go_on) return rest.size();
  }
  for (size_t n = 1; n <= 3 && n <= bytes.size(); ++n) {
    const auto lead = static_cast<unsigned char>(bytes[bytes.size() - n]);
    if ((lead & 0xC0u) == 0x80u) continue;
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return length > n ? n : 0;
  }
  return 0;
}

std::string_view meaning_of_signal(int number) {
  switch (number) {
    case SIGSEGV:
      return ", an invalid memory access";
    case SIGABRT:
      return ", the program gave up: a failed assertion or an uncaught exception";
    case SIGFPE:
      return ", an arithmetic error";
    case SIGBUS:
      return ", an invalid memory access";
    case SIGILL:
      return ", an invalid instruction";
    case SIGSYS:
      return ", a system call that the sandbox refuses";
    case SIGPIPE:
      return ", nobody read what it wrote";
    case SIGXCPU:
      return ", its CPU time was used up";
    case SIGXFSZ:
      return ", it wrote a file larger than its limit";
    default:
      return "";
  }
}

std::string signal_in_words(int number) {
  const char* name = ::sigabbrev_np(number);
  return fmt::format("signal {} (SIG{}{})", number, name != nullptr ? name : "?",
                     meaning_of_signal(number));
}

std::string meaning_of_exit(int code) {
  if (code == 126) return " (found, but it cannot be executed)";
  if (code == 127) return " (command not found)";
  // Shells tell the death of a program in this way.
  if (code > 128 && code <= 128 + SIGSYS) return fmt::format(" ({})", signal_in_words(code - 128));
  return "";
}

Json as_json(const sandbox::NetworkDecision& decision) {
  Json json = {{"host", to_utf8(decision.host)},
               {"port", decision.port},
               {"allowed", decision.allowed},
               {"bytes_sent", decision.bytes_sent},
               {"bytes_received", decision.bytes_received}};
  if (!decision.reason.empty()) json["reason"] = to_utf8(decision.reason);
  if (!decision.address.empty()) json["address"] = to_utf8(decision.address);
  return json;
}

}  // namespace

std::string plain_text(std::string_view bytes) {
  std::string kept;
  kept.reserve(bytes.size());
  while (!bytes.empty()) {
    if (const size_t n = control_sequence(bytes); n > 0) {
      bytes.remove_prefix(n);
    } else if (bytes.starts_with("\r\n")) {
      bytes.remove_prefix(1);
    } else {
      kept += bytes.front();
      bytes.remove_prefix(1);
    }
  }
  return escape_controls(kept);
}

void CommandOutput::take(std::string_view bytes) {
  whole_ += bytes;
  if (!preview_) return;
  const std::string_view fresh = std::string_view(whole_).substr(shown_);
  const std::string_view ready = fresh.substr(0, fresh.size() - unfinished_tail(fresh));
  if (ready.empty()) return;
  shown_ += ready.size();
  preview_(plain_text(ready));
}

void CommandOutput::finish() {
  if (!preview_ || shown_ == whole_.size()) return;
  const std::string_view rest = std::string_view(whole_).substr(shown_);
  shown_ = whole_.size();
  preview_(plain_text(rest));
}

ShownOutput shown_output(const std::string& whole, size_t bytes_max) {
  if (is_binary(whole)) {
    return {.text = fmt::format("[{} bytes that are not text; they begin:\n{}]\n", whole.size(),
                                hex_head(whole, 256)),
            .cut = whole.size() > 256,
            .binary = true};
  }
  if (whole.size() <= 2 * bytes_max) {
    std::string text = plain_text(whole);
    if (!text.empty() && text.back() != '\n') text += '\n';
    return {.text = std::move(text)};
  }
  // Cut at line ends where there are some, so that no half line is read as a whole one.
  std::string_view head = std::string_view(whole).substr(0, bytes_max);
  if (const size_t end = head.rfind('\n'); end != std::string_view::npos && end > bytes_max / 2) {
    head = head.substr(0, end + 1);
  } else {
    head = head.substr(0, utf8_prefix(whole, bytes_max));
  }
  std::string_view tail = std::string_view(whole).substr(whole.size() - bytes_max);
  if (const size_t end = tail.find('\n'); end != std::string_view::npos && end < bytes_max / 2) {
    tail = tail.substr(end + 1);
  } else {
    while (!tail.empty() && (static_cast<unsigned char>(tail.front()) & 0xC0u) == 0x80u) {
      tail.remove_prefix(1);
    }
  }
  const std::string_view middle =
      std::string_view(whole).substr(head.size(), whole.size() - head.size() - tail.size());
  const auto n_lines = static_cast<size_t>(std::count(middle.begin(), middle.end(), '\n'));
  std::string text = plain_text(head);
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += fmt::format(
      "[... {} bytes ({}) left out here; to read them run the command again with a filter such as "
      "grep, "
      "head or sed -n, or send its output to a file and use read_file on it]\n",
      middle.size(), counted(n_lines, "line"));
  text += plain_text(tail);
  if (text.back() != '\n') text += '\n';
  return {.text = std::move(text), .cut = true};
}

sandbox::Policy read_only(sandbox::Policy policy) {
  policy.readable.insert(policy.readable.end(), policy.writable.begin(), policy.writable.end());
  policy.writable.clear();
  return policy;
}

std::string ending_in_words(const sandbox::RunResult& result) {
  const auto with_explanation = [&](std::string text) {
    if (!result.explanation.empty()) text += ": " + escape_controls(result.explanation);
    return text;
  };
  switch (result.end) {
    case sandbox::End::exited:
      return fmt::format("exit code {}{}", result.exit_code, meaning_of_exit(result.exit_code));
    case sandbox::End::signalled:
      return with_explanation("ended by " + signal_in_words(result.signal));
    case sandbox::End::deadline:
      return with_explanation(fmt::format("stopped after {:.1f} s: its time was over",
                                          static_cast<double>(result.wall.count()) / 1000));
    case sandbox::End::cancelled:
      return with_explanation("cancelled before it was done");
    case sandbox::End::output_limit:
      return with_explanation(fmt::format("stopped: it printed more than allowed ({} bytes)",
                                          result.stdout_bytes + result.stderr_bytes));
    case sandbox::End::memory_limit:
      return with_explanation("stopped: it used more memory than allowed");
    case sandbox::End::disk_limit:
      return with_explanation("stopped: it used more of the disk than allowed");
  }
  return "ended";
}

std::string denials_note(const sandbox::RunResult& result) {
  std::string note;
  for (const auto& denial : result.denials)
    note += "[denied by the sandbox: " + escape_controls(denial) + "]\n";
  return note;
}

std::string protected_changes_note(const sandbox::RunResult& result) {
  constexpr size_t kNamedMax = 10;
  const auto& changes = result.protected_changes;
  if (changes.empty()) return {};
  std::string note = "[made or replaced what programs outside the sandbox run or trust:";
  for (size_t i = 0; i < std::min(changes.size(), kNamedMax); ++i) {
    note += (i == 0 ? " " : ", ") + shown_path(changes[i].string());
  }
  if (changes.size() > kNamedMax) note += fmt::format(" and {} more", changes.size() - kNamedMax);
  return note + "; tell the person about it]\n";
}

Json ending_details(const sandbox::RunResult& result) {
  Json details = {{"end", sandbox::name_of(result.end)},
                  {"stdout_bytes", result.stdout_bytes},
                  {"stderr_bytes", result.stderr_bytes},
                  {"wall_ms", result.wall.count()}};
  if (result.end == sandbox::End::exited) details["exit_code"] = result.exit_code;
  if (result.signal != 0) details["signal"] = result.signal;
  if (!result.explanation.empty()) details["explanation"] = to_utf8(result.explanation);
  if (!result.denials.empty()) {
    Json& denials = details["denials"] = Json::array();
    for (const auto& denial : result.denials) denials.push_back(to_utf8(denial));
  }
  if (!result.protected_changes.empty()) {
    Json& changes = details["protected_changes"] = Json::array();
    for (const auto& path : result.protected_changes) changes.push_back(to_utf8(path.string()));
  }
  if (!result.network_decisions.empty()) {
    Json& network = details["network"] = Json::array();
    for (const auto& decision : result.network_decisions) network.push_back(as_json(decision));
  }
  if (result.network_decisions_left_out > 0) {
    details["network_left_out"] = result.network_decisions_left_out;
  }
  return details;
}

}  // namespace sable::tools
