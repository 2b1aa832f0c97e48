// Any bytes are a patch or a refusal that names a line; a patch that fits changes only the places
// that it names.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "tools/patch_fit.h"

using namespace sable::tools;

namespace {

/// Where a patch would be put in a file, and that every byte outside of these places stays.
void try_on(const std::string& content, const std::vector<PatchHunk>& hunks) {
  const EditableText file(content);
  const PatchFit fit = fit_hunks(file, hunks);
  if (!fit.problems.empty()) {
    SABLE_CHECK(fit.replacements.empty());
    for (const auto& problem : fit.problems) SABLE_CHECK(sable::is_utf8(problem));
    return;
  }
  if (fit.replacements.empty()) return;
  size_t last = 0;
  for (const auto& replacement : fit.replacements) {
    SABLE_CHECK(replacement.begin >= last && replacement.end >= replacement.begin);
    SABLE_CHECK(replacement.end <= file.text().size());
    last = replacement.end;
  }
  const std::string after =
      apply_edit(content, file, {.kind = EditPlan::Kind::found, .replacements = fit.replacements});
  const size_t head = file.in_bytes(fit.replacements.front().begin);
  const size_t tail = content.size() - file.in_bytes(fit.replacements.back().end);
  SABLE_CHECK(after.size() >= tail);
  SABLE_CHECK(after.substr(0, head) == content.substr(0, head));
  SABLE_CHECK(after.substr(after.size() - tail) == content.substr(content.size() - tail));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The file, a byte 0xFF, the patch.
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t cut = bytes.find('\xFF');
  const std::string content(bytes.substr(0, cut));
  const std::string_view text =
      cut == std::string_view::npos ? std::string_view() : bytes.substr(cut + 1);
  const auto files = parse_patch(text, {.bytes_max = 1 << 20, .files_max = 20, .hunks_max = 50});
  if (!files) {
    SABLE_CHECK(!files.error().message.empty());
    return 0;
  }
  for (const auto& file : *files) {
    SABLE_CHECK(!file.path.empty());
    if (file.kind == FilePatch::Kind::change) try_on(content, file.hunks);
  }
  return 0;
}
