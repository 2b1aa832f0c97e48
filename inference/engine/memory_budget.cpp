#include "inference/engine/memory_budget.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/control_group.h"
#include "base/file.h"

namespace sable::inference {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
constexpr size_t kSmallFile = size_t{64} << 10;  // what the kernel writes about memory is short

std::optional<uint64_t> number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return {};
  return value;
}

/// The number behind `label` at the start of a line.
std::optional<uint64_t> labelled(std::string_view text, std::string_view label) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (text.starts_with(label)) return number(text.substr(label.size(), end - label.size()));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return {};
}

std::string text_of(const fs::path& path) {
  const auto text = read_file(path, kSmallFile);
  return text ? *text : std::string();
}

/// The files in which a version of control groups says what it knows of memory.
struct GroupFiles {
  std::string_view limit, used;
  std::string_view idle_label;  ///< of page cache that nobody uses now, in memory.stat
};
constexpr GroupFiles kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file "};
constexpr GroupFiles kVersion2 = {"memory.max", "memory.current", "inactive_file "};

/// What one control group has left; page cache that nobody uses now counts as left.
uint64_t left_in_group(const fs::path& group, const GroupFiles& files) {
  const auto limit = number(text_of(group / files.limit));
  const auto used = number(text_of(group / files.used));
  if (!limit || !used) return kNoLimit;
  const uint64_t idle = labelled(text_of(group / "memory.stat"), files.idle_label).value_or(0);
  const uint64_t held = *used - std::min(*used, idle);
  return *limit - std::min(*limit, held);
}

/// The least that the process's control group and those above it leave. A container may not see
/// its own group, but only the outermost: then that one counts.
uint64_t left_in_groups(const fs::path& root) {
  const auto own = memory_control_group(root);
  if (!own) return kNoLimit;
  const GroupFiles& files = own->version == 1 ? kVersion1 : kVersion2;
  fs::path group = own->folder;
  uint64_t left = left_in_group(group, files);
  while (group != own->top && group.has_relative_path()) {
    group = group.parent_path();
    left = std::min(left, left_in_group(group, files));
  }
  return left;
}

std::string mebibytes(uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

/// The longest sequence whose caches fit.
uint64_t tokens_that_fit(uint64_t bytes, const CacheLayout& layout) {
  uint64_t low = 0, high = uint64_t{1} << 40;
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    if (layout.bytes_for(middle) <= bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

uint64_t available_memory(const fs::path& root) {
  const auto kibibytes = labelled(text_of(root / "proc/meminfo"), "MemAvailable:");
  const uint64_t machine = kibibytes ? *kibibytes << 10 : kNoLimit;
  return std::min(machine, left_in_groups(root));
}

Result<uint64_t> cache_budget(const MemoryWish& wish, const CacheLayout& layout) {
  if (wish.scratch >= wish.available) {
    const uint64_t per_token = wish.scratch / std::max<uint64_t>(1, wish.rows_in_step);
    return fail(
        ErrorCode::exhausted,
        fmt::format("steps of {} tokens are computed in {}, but only {} of memory can be spared; "
                    "steps of {} tokens would fit",
                    wish.rows_in_step, mebibytes(wish.scratch), mebibytes(wish.available),
                    wish.available / 2 / std::max<uint64_t>(1, per_token)));
  }
  const uint64_t left = wish.available - wish.scratch;
  if (wish.caches == 0) return left / 2;
  if (wish.caches <= left) return wish.caches;
  return fail(
      ErrorCode::exhausted,
      fmt::format("caches of {} beside {} to compute in do not fit into the {} of memory "
                  "that can be spared; caches of {} would, for {} tokens of context",
                  mebibytes(wish.caches), mebibytes(wish.scratch), mebibytes(wish.available),
                  mebibytes(left), tokens_that_fit(left, layout)));
}

}  // namespace sable::inference
