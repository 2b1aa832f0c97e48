#include "tools/patch.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/white_space.h"

namespace sable::tools {

namespace {

bool begins_envelope(std::string_view line) {
  return line.starts_with("*** Begin Patch") || line.starts_with("*** Update File:") ||
         line.starts_with("*** Add File:") || line.starts_with("*** Delete File:");
}

/// Takes a digit run off the front of `text`; nullopt when there is none or it is too large.
std::optional<size_t> take_number(std::string_view& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number > 1'000'000'000) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

/// "A" or "A,B": the line, and how many of them.
bool take_range(std::string_view& text, char mark, size_t& line, size_t& count) {
  if (!text.starts_with(mark)) return false;
  text.remove_prefix(1);
  const auto first = take_number(text);
  if (!first) return false;
  line = *first;
  count = 1;
  if (!text.starts_with(',')) return true;
  text.remove_prefix(1);
  const auto second = take_number(text);
  if (!second) return false;
  count = *second;
  return true;
}

/// What a model puts around a patch: a fence of backquotes, `apply_patch <<'EOF'` and its end.
struct Wrapping {
  size_t first = 0, last = 0;  ///< of the lines: [first, last)
};

Wrapping inside_wrapping(const std::vector<std::string_view>& lines) {
  Wrapping inside{0, lines.size()};
  const auto skip_blank = [&] {
    while (inside.first < inside.last && trimmed(lines[inside.first]).empty()) ++inside.first;
  };
  skip_blank();
  std::string_view fence, delimiter;
  if (inside.first < inside.last && trimmed(lines[inside.first]).starts_with("```")) {
    fence = "```";
    ++inside.first;
    skip_blank();
  }
  if (inside.first < inside.last) {
    const std::string_view line = trimmed(lines[inside.first]);
    if (const size_t at = line.find("<<"); line.starts_with("apply_patch") && at != line.npos) {
      delimiter = trimmed(line.substr(at + 2));
      const size_t begin = delimiter.find_first_not_of("-'\"\\ ");
      delimiter.remove_prefix(std::min(begin, delimiter.size()));
      delimiter = delimiter.substr(0, delimiter.find_first_of("'\" "));
      ++inside.first;
    }
  }
  const auto drop_last = [&](std::string_view mark) {
    size_t last = inside.last;
    while (last > inside.first && trimmed(lines[last - 1]).empty()) --last;
    if (last > inside.first && !mark.empty() && trimmed(lines[last - 1]) == mark) {
      inside.last = last - 1;
    }
  };
  drop_last(fence);
  drop_last(delimiter);
  return inside;
}

}  // namespace

tl::unexpected<Error> fail_at_line(size_t line, std::string_view why) {
  return fail(ErrorCode::invalid_input, fmt::format("line {} of the patch: {}", line, why));
}

std::optional<HunkRange> parse_hunk_range(std::string_view line) {
  if (!line.starts_with("@@ ")) return std::nullopt;
  line.remove_prefix(3);
  HunkRange range;
  size_t new_line = 0;
  if (!take_range(line, '-', range.old_line, range.n_old)) return std::nullopt;
  if (!line.starts_with(' ')) return std::nullopt;
  line.remove_prefix(1);
  if (!take_range(line, '+', new_line, range.n_new)) return std::nullopt;
  if (!line.starts_with(" @@")) return std::nullopt;
  return range;
}

Result<std::vector<FilePatch>> parse_patch(std::string_view text, const PatchLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the patch has {} bytes, more than the limit of {}; send it in parts",
                            text.size(), limits.bytes_max));
  }
  if (text.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_input, "the patch holds a NUL byte: only text can be patched");
  }
  auto lines = split_lines(text);
  for (auto& line : lines) {
    if (line.ends_with('\r')) line.remove_suffix(1);
  }
  const Wrapping inside = inside_wrapping(lines);
  const std::vector<std::string_view> body(lines.begin() + static_cast<ptrdiff_t>(inside.first),
                                           lines.begin() + static_cast<ptrdiff_t>(inside.last));
  if (body.empty()) return fail(ErrorCode::invalid_input, "the patch is empty");
  const bool envelope = begins_envelope(trimmed(body.front()));
  SABLE_TRY(auto files, envelope ? parse_envelope(body, inside.first + 1)
                                 : parse_unified(body, inside.first + 1));
  size_t n_hunks = 0;
  for (const auto& file : files) n_hunks += file.hunks.size();
  if (files.size() > limits.files_max || n_hunks > limits.hunks_max) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the patch has {} files and {} hunks; at most {} and {} can be applied "
                            "at once: send it in parts",
                            files.size(), n_hunks, limits.files_max, limits.hunks_max));
  }
  return files;
}

}  // namespace sable::tools
