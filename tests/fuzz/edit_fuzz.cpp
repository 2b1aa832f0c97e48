// An edit of any bytes changes only the places that it names: what lies outside keeps every byte.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tools/edit_match.h"

using namespace sable::tools;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Three texts, separated by bytes 0xFF; the first byte chooses replace_all.
  if (size == 0) return 0;
  const bool all = (data[0] & 1) != 0;
  std::vector<std::string> parts(1);
  for (size_t i = 1; i < size; ++i) {
    if (data[i] == 0xFF && parts.size() < 3) {
      parts.emplace_back();
    } else {
      parts.back() += static_cast<char>(data[i]);
    }
  }
  parts.resize(3);
  const EditableText file(parts[0]);
  const EditPlan plan =
      plan_edit(file, {.old_text = parts[1], .new_text = parts[2], .replace_all = all});
  if (plan.kind != EditPlan::Kind::found) {
    SABLE_CHECK(plan.replacements.empty());
    return 0;
  }
  const std::string after = apply_edit(parts[0], file, plan);
  SABLE_CHECK(!plan.replacements.empty());
  size_t last = 0;
  for (const auto& replacement : plan.replacements) {
    SABLE_CHECK(replacement.begin >= last && replacement.end >= replacement.begin);
    SABLE_CHECK(replacement.end <= file.text().size());
    last = replacement.end;
  }
  const size_t head = file.in_bytes(plan.replacements.front().begin);
  const size_t tail = parts[0].size() - file.in_bytes(plan.replacements.back().end);
  SABLE_CHECK(after.substr(0, head) == parts[0].substr(0, head));
  SABLE_CHECK(after.size() >= tail);
  SABLE_CHECK(after.substr(after.size() - tail) == parts[0].substr(parts[0].size() - tail));
  return 0;
}
