#include "base/control_group.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace sable {

namespace {

namespace fs = std::filesystem;

constexpr size_t kTextBytesMax = size_t{4} << 20;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool has(const std::vector<std::string_view>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Spaces and the like are "\040" in mountinfo.
std::string unescaped(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct Mount {
  fs::path root;  ///< the group that is mounted
  fs::path point;
};

// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER_OPTIONS
std::optional<Mount> mount_of(std::string_view mountinfo, int version) {
  for (const auto line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    const bool fits = version == 2 ? dash[1] == "cgroup2"
                                   : dash[1] == "cgroup" && has(split(dash[3], ','), "memory");
    if (fits) return Mount{unescaped(fields[3]), unescaped(fields[4])};
  }
  return {};
}

// "4:memory:/path" of version 1, "0::/path" of version 2.
std::optional<fs::path> own_group(std::string_view text, int version) {
  for (const auto line : split(text, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const bool fits = version == 2 ? line.starts_with("0:") && controllers.empty()
                                   : has(split(controllers, ','), "memory");
    if (fits) return fs::path(line.substr(second + 1));
  }
  return {};
}

tl::unexpected<Error> unsupported(std::string why) {
  return fail(ErrorCode::unsupported, std::move(why));
}

/// The group as a folder.
Result<fs::path> folder_of(const Mount& mount, const fs::path& group) {
  if (!group.is_absolute()) return unsupported("our cgroup is no path: " + group.string());
  const auto ends = std::mismatch(mount.root.begin(), mount.root.end(), group.begin(), group.end());
  const bool is_root = mount.root == "/";
  if (!is_root && ends.first != mount.root.end()) {
    return unsupported("our cgroup " + group.string() + " is not below the one that is mounted");
  }
  fs::path folder = mount.point;
  for (auto part = is_root ? ++group.begin() : ends.second; part != group.end(); ++part) {
    if (*part == "..") return unsupported("our cgroup lies outside of what is mounted");
    folder /= *part;
  }
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace

Result<MemoryControlGroup> memory_control_group(std::string_view mountinfo,
                                                std::string_view own_groups) {
  const int version = own_group(own_groups, 1) ? 1 : 2;
  const auto own = own_group(own_groups, version);
  const auto mount = mount_of(mountinfo, version);
  if (!own || !mount) return unsupported("no cgroup file system with a memory controller is there");
  SABLE_TRY(auto folder, folder_of(*mount, *own));
  return MemoryControlGroup{version, mount->point, std::move(folder)};
}

Result<MemoryControlGroup> memory_control_group(const fs::path& root) {
  SABLE_TRY(const auto mountinfo, read_file(root / "proc/self/mountinfo", kTextBytesMax));
  SABLE_TRY(const auto own, read_file(root / "proc/self/cgroup", kTextBytesMax));
  SABLE_TRY(auto group, memory_control_group(mountinfo, own));
  group.top = root / group.top.relative_path();
  group.folder = root / group.folder.relative_path();
  return group;
}

}  // namespace sable
