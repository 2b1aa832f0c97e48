// `sable model tokenize`: text to token ids and back, without loading weights.
#include <charconv>
#include <cstdio>
#include <limits>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/cli/model_command.h"

namespace sable::runtime {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

Result<std::string> read_standard_input() {
  std::string text;
  while (true) {
    constexpr size_t kPiece = size_t{64} << 10;
    const size_t n_before = text.size();
    text.resize(n_before + kPiece);
    const ssize_t n = ::read(STDIN_FILENO, text.data() + n_before, kPiece);
    text.resize(n_before + static_cast<size_t>(n > 0 ? n : 0));
    if (n < 0 && errno != EINTR) return fail_errno("standard input", errno);
    if (n == 0) return text;
    if (text.size() > inference::Tokenizer::kTextBytesMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("standard input: longer than {} bytes; split it",
                              inference::Tokenizer::kTextBytesMax));
    }
  }
}

Result<void> print_ids(const inference::Tokenizer& tokenizer,
                       const std::vector<inference::TokenId>& ids, bool as_json) {
  std::string out;
  if (as_json) {
    Json pieces = Json::array();
    for (const auto id : ids) {
      SABLE_TRY(const auto bytes, tokenizer.token_bytes(id));
      pieces.push_back(to_utf8(bytes));
    }
    out = dump_json(Json{{"ids", ids}, {"pieces", std::move(pieces)}}) + "\n";
  } else {
    for (const auto id : ids) out += fmt::format("{}\n", id);
  }
  return write_all(STDOUT_FILENO, out);
}

/// The very bytes, unless a person or JSON is to read them.
Result<void> print_text(const std::string& text, bool as_json) {
  if (as_json) return write_all(STDOUT_FILENO, dump_json(Json{{"text", text}}) + "\n");
  if (::isatty(STDOUT_FILENO) != 1) return write_all(STDOUT_FILENO, text);
  return write_all(STDOUT_FILENO, escape_controls(text) + "\n");
}

Result<void> tokenize(const ModelOptions& options, bool as_json) {
  SABLE_TRY(const auto model, inference::Checkpoint::open(options.path));
  SABLE_TRY(const auto tokenizer, inference::tokenizer_of(*model));
  const std::string source = options.text ? "the argument" : "standard input";
  SABLE_TRY(const auto text,
            options.text ? Result<std::string>(*options.text) : read_standard_input());
  if (options.decode) {
    SABLE_TRY(const auto ids, parse_token_ids(text, source));
    SABLE_TRY(const auto decoded, tokenizer.decode(ids));
    return print_text(decoded, as_json);
  }
  SABLE_TRY(const auto ids,
            tokenizer.encode(text, options.as_text ? inference::AddedTokens::as_text
                                                   : inference::AddedTokens::recognise));
  return print_ids(tokenizer, ids, as_json);
}

}  // namespace

Result<std::vector<inference::TokenId>> parse_token_ids(std::string_view text,
                                                        const std::string& source) {
  std::vector<inference::TokenId> ids;
  size_t n_lines = 0;
  for (const auto line : split_lines(text)) {
    ++n_lines;
    for (size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
      const size_t end = std::min(line.size(), line.find_first_of(kBlanks, at));
      const auto word = line.substr(at, end - at);
      inference::TokenId id = 0;
      const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
      if (error != std::errc() || stop != word.data() + word.size() || id < 0) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("{}: line {}: \"{}\" is not a token id; expected integers from 0 "
                                "to {}, one a line",
                                source, n_lines, word.substr(0, utf8_prefix(word, 40)),
                                std::numeric_limits<inference::TokenId>::max()));
      }
      ids.push_back(id);
      at = line.find_first_not_of(kBlanks, end);
    }
  }
  return ids;
}

int model_tokenize_action(const Program& program, const ModelOptions& options) {
  const auto done = tokenize(options, program.json);
  return done ? 0 : program.fail_with(done.error());
}

}  // namespace sable::runtime
