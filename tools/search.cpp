// search: ripgrep in the sandbox, its JSON turned into path:line:text.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"
#include "tools/builtins.h"
#include "tools/command_output.h"
#include "tools/shown_text.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

constexpr size_t kLineBytesMax = 300;
constexpr size_t kTextBytesMax = 48 << 10;
constexpr int64_t kResultsDefault = 100;
constexpr uint64_t kOutputBytesMax = 32 << 20;
constexpr std::chrono::milliseconds kWallMax{60'000};

struct Request {
  std::string pattern, path = ".", glob;
  bool literal = false, ignore_case = false, include_ignored = false;
  int64_t context = 0, max_results = kResultsDefault;
};

Request request_of(const Json& arguments) {
  return {.pattern = text_argument(arguments, "pattern"),
          .path = text_argument(arguments, "path", "."),
          .glob = text_argument(arguments, "glob"),
          .literal = flag_argument(arguments, "literal"),
          .ignore_case = flag_argument(arguments, "ignore_case"),
          .include_ignored = flag_argument(arguments, "include_ignored"),
          .context = whole_argument(arguments, "context", 0),
          .max_results = whole_argument(arguments, "max_results", kResultsDefault)};
}

/// Every value is bound to its option or stands behind "--", so none can become an option.
std::vector<std::string> argv_of(const Request& request, const std::string& place) {
  std::vector<std::string> argv = {"rg",       "--no-config",  "--json",      "--no-messages",
                                   "--hidden", "--glob=!.git", "--sort=path", "--max-filesize=16M"};
  if (request.literal) argv.push_back("--fixed-strings");
  if (request.ignore_case) argv.push_back("--ignore-case");
  if (request.include_ignored) argv.push_back("--no-ignore");
  if (request.context > 0) argv.push_back(fmt::format("--context={}", request.context));
  argv.push_back(fmt::format("--max-count={}", request.max_results + 1));
  if (!request.glob.empty()) argv.push_back("--glob=" + request.glob);
  argv.push_back("--regexp=" + request.pattern);
  argv.push_back("--");
  argv.push_back("./" + place);
  return argv;
}

std::string from_base64(std::string_view text) {
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '/') {
      value = c == '+' ? 62 : 63;
    } else {
      break;
    }
    bits = (bits << 6) | value;
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      bytes += static_cast<char>((bits >> n_bits) & 0xFFu);
    }
  }
  return bytes;
}

/// ripgrep writes {"text": ...} for UTF-8 and {"bytes": base64} for anything else.
std::string bytes_of(const Json& data, const char* field) {
  if (!data.is_object()) return {};
  const auto it = data.find(field);
  if (it == data.end() || !it->is_object()) return {};
  if (it->contains("text")) return string_or(*it, "text", "");
  return from_base64(string_or(*it, "bytes", ""));
}

/// The results that fit, from the JSON lines that ripgrep printed.
class Results {
 public:
  explicit Results(const Request& request) : request_(request) {}

  void take(std::string_view line) {
    const auto message = parse_json(line, {.bytes_max = kOutputBytesMax, .depth_max = 16});
    if (!message || !message->is_object()) return;
    const std::string type = string_or(*message, "type", "");
    if (type != "match" && type != "context") return;
    const auto data = message->find("data");
    if (data == message->end() || !data->is_object()) return;
    const bool is_match = type == "match";
    const std::string path = bytes_of(*data, "path");
    if (is_match && path != last_path_) {
      ++n_files_;
      last_path_ = path;
    }
    if (is_match) ++n_matches_;
    if (n_shown_ >= static_cast<size_t>(request_.max_results) || text_.size() >= kTextBytesMax) {
      cut_ = cut_ || is_match;
      return;
    }
    add(path, whole_argument(*data, "line_number", 0), bytes_of(*data, "lines"), is_match);
  }

  size_t n_matches() const { return n_matches_; }
  size_t n_files() const { return n_files_; }
  size_t n_shown() const { return n_shown_; }
  bool cut() const { return cut_; }
  const std::string& text() const { return text_; }

 private:
  void add(std::string_view path, int64_t line, std::string_view lines, bool is_match) {
    while (path.starts_with("./")) path.remove_prefix(2);
    if (!is_match && line != last_line_ + 1 && !text_.empty()) text_ += "--\n";
    if (is_match) ++n_shown_;
    for (std::string_view content : split_lines(lines)) {
      if (content.ends_with('\r')) content.remove_suffix(1);
      const char mark = is_match ? ':' : '-';
      text_ += fmt::format("{}{}{}{}{}\n", shown_path(path), mark, line, mark,
                           shown_line(content, kLineBytesMax));
      last_line_ = line++;
    }
  }

  const Request& request_;
  std::string text_, last_path_;
  int64_t last_line_ = 0;
  size_t n_matches_ = 0, n_files_ = 0, n_shown_ = 0;
  bool cut_ = false;
};

Outcome outcome_of(const Request& request, const sandbox::RunResult& ran, std::string_view output,
                   std::string_view errors) {
  Results results(request);
  for (const auto line : split_lines(output)) results.take(line);
  Outcome outcome;
  outcome.details = ending_details(ran);
  outcome.details["matches"] = results.n_matches();
  outcome.details["files"] = results.n_files();
  const bool whole = ran.end == sandbox::End::exited && ran.exit_code <= 1;
  if (!whole && results.n_matches() == 0) {
    outcome.ok = false;
    outcome.text = fmt::format("the search did not finish: {}\n{}", ending_in_words(ran),
                               shown_output(std::string(errors), 2'000).text);
    if (errors.find("regex") != std::string_view::npos) {
      outcome.text += "[set literal to search for exactly this text]\n";
    }
    outcome.text += denials_note(ran);
    return outcome;
  }
  outcome.text = results.text();
  if (results.n_matches() == 0) {
    outcome.text = fmt::format(
        "[no match in {}; try ignore_case, a shorter pattern, another path, or include_ignored]\n",
        shown_path(request.path));
  } else if (results.cut()) {
    outcome.text += fmt::format(
        "[cut: {} of more matches shown, in path order; narrow it with path, glob or a longer "
        "pattern]\n",
        results.n_shown());
  }
  if (!whole)
    outcome.text += fmt::format("[not all files were searched: {}]\n", ending_in_words(ran));
  outcome.text += denials_note(ran);
  return outcome;
}

class SearchRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    const Request request = request_of(call.arguments);
    if (request.pattern.find('\0') != std::string::npos ||
        request.glob.find('\0') != std::string::npos) {
      co_return failed("pattern and glob must not hold a NUL byte");
    }
    auto look = [files = &context.workspace.files(), path = request.path]() -> Result<std::string> {
      auto place = files->place_of(path);
      if (place || place.error().code != ErrorCode::not_found) return place;
      const std::string similar = files->similar_to(path);
      if (similar.empty()) return place;
      return fail(ErrorCode::not_found,
                  fmt::format("{}; did you mean {}?", place.error().message, shown_path(similar)));
    };
    auto place = co_await run_blocking(context.workers, std::move(look));
    if (!place) co_return failed(place.error().message);

    sandbox::Policy policy = read_only(context.workspace.policy());
    policy.limits.wall = std::min(policy.limits.wall, kWallMax);
    policy.limits.output_bytes = std::min(policy.limits.output_bytes, kOutputBytesMax);
    sandbox::Command command{.argv = argv_of(request, *place),
                             .working_directory = context.workspace.root()};
    std::string output, errors;
    sandbox::OutputSink sink = [&](sandbox::Stream stream, std::string_view bytes) {
      (stream == sandbox::Stream::standard_output ? output : errors) += bytes;
    };
    auto ran = co_await context.sandbox.run(std::move(policy), std::move(command), std::move(sink));
    if (!ran && ran.error().code == ErrorCode::not_found) {
      co_return failed("ripgrep (rg) is not installed here; use shell with grep -rn instead");
    }
    if (!ran) co_return fail(ran.error());
    // Parsing up to 32 MiB is not for the loop's thread.
    auto read = [request, ran = *ran, output = std::move(output), errors = std::move(errors)] {
      return outcome_of(request, ran, output, errors);
    };
    auto outcome = co_await run_blocking(context.workers, std::move(read));
    co_return outcome;
  }
};

}  // namespace

Tool search_tool() {
  return make_builtin("search",
                      "Searches the workspace's files for a regular expression (ripgrep's syntax) "
                      "or a literal text. Each "
                      "match comes as path:line:text, context as path-line-text, in path order. "
                      "Leaves out binary files, "
                      ".git and what .gitignore names.",
                      R"({
        "type": "object",
        "properties": {
          "pattern": {"type": "string", "minLength": 1, "maxLength": 10000,
                      "description": "regular expression, or the text itself with literal"},
          "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                   "description": "file or folder to search; default: the workspace's root"},
          "glob": {"type": "string", "minLength": 1, "maxLength": 512,
                   "description": "only files that match, e.g. *.py or src/**/*.h; !*.md leaves some out"},
          "literal": {"type": "boolean", "description": "pattern is plain text; default false"},
          "ignore_case": {"type": "boolean", "description": "upper and lower case are the same"},
          "context": {"type": "integer", "minimum": 0, "maximum": 10,
                      "description": "lines shown around each match; default 0"},
          "max_results": {"type": "integer", "minimum": 1, "maximum": 1000,
                          "description": "matches to show; default 100"},
          "include_ignored": {"type": "boolean", "description": "also what .gitignore names"}
        },
        "required": ["pattern"],
        "additionalProperties": false
      })",
                      Effect::none, std::make_unique<SearchRunner>());
}

}  // namespace sable::tools
