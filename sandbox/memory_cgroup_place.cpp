// Which folder of which cgroup file system: read off what the kernel says about our mounts and our
// cgroups.
#include <algorithm>
#include <optional>
#include <unistd.h>

#include "base/file.h"
#include "sandbox/memory_cgroup.h"

namespace sable::sandbox {

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

struct CgroupMount {
  fs::path root;  ///< the cgroup that is mounted
  fs::path point;
};

// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER_OPTIONS
std::optional<CgroupMount> mount_of(std::string_view mountinfo, int version) {
  for (const auto line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    const bool fits = version == 2 ? dash[1] == "cgroup2"
                                   : dash[1] == "cgroup" && has(split(dash[3], ','), "memory");
    if (fits) return CgroupMount{unescaped(fields[3]), unescaped(fields[4])};
  }
  return {};
}

// "4:memory:/path" of version 1, "0::/path" of version 2.
std::optional<fs::path> own_cgroup(std::string_view text, int version) {
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

/// Our own cgroup as a folder.
Result<fs::path> folder_of(const CgroupMount& mount, const fs::path& cgroup) {
  const auto ends =
      std::mismatch(mount.root.begin(), mount.root.end(), cgroup.begin(), cgroup.end());
  const bool is_root = mount.root == "/";
  if (!is_root && ends.first != mount.root.end()) {
    return unsupported("our cgroup " + cgroup.string() + " is not below the one that is mounted");
  }
  fs::path folder = mount.point;
  for (auto part = is_root ? ++cgroup.begin() : ends.second; part != cgroup.end(); ++part) {
    if (*part == "..") return unsupported("our cgroup lies outside of what is mounted");
    folder /= *part;
  }
  return folder.has_filename() ? folder : folder.parent_path();
}

bool may_write(const fs::path& path) { return ::access(path.c_str(), W_OK) == 0; }

/// Processes can only be where the controller is not handed on, so never in our own cgroup.
Result<CgroupPlace> place_above(const fs::path& own, const fs::path& top) {
  for (fs::path folder = own;; folder = folder.parent_path()) {
    const auto handed_on = read_file(folder / "cgroup.subtree_control", kTextBytesMax);
    if (!handed_on) return unsupported(handed_on.error().message);
    std::string words = *handed_on;
    std::replace(words.begin(), words.end(), '\n', ' ');
    if (has(split(words, ' '), "memory")) {
      if (may_write(folder) && may_write(folder / "cgroup.procs")) return CgroupPlace{2, folder};
      return unsupported(folder.string() + " is not ours to make cgroups in");
    }
    const auto limit = read_file(folder / "memory.max", kTextBytesMax);
    if (limit && !limit->starts_with("max")) {
      return unsupported(folder.string() +
                         " has a memory limit of its own, which a cgroup beside it would escape");
    }
    if (folder == top || folder == folder.parent_path()) {
      return unsupported("no cgroup above ours hands the memory controller on");
    }
  }
}

}  // namespace

Result<CgroupPlace> memory_cgroup_place(std::string_view mountinfo, std::string_view own_cgroups) {
  // A controller belongs to one version at a time; where version 1 has it, it is in our list.
  const int version = own_cgroup(own_cgroups, 1) ? 1 : 2;
  const auto own = own_cgroup(own_cgroups, version);
  const auto mount = mount_of(mountinfo, version);
  if (!own || !mount) return unsupported("no cgroup file system with a memory controller is there");
  SABLE_TRY(const auto folder, folder_of(*mount, *own));
  if (version == 2) return place_above(folder, mount->point);
  if (!may_write(folder)) return unsupported(folder.string() + " is not ours to make cgroups in");
  return CgroupPlace{1, folder};
}

Result<CgroupPlace> memory_cgroup_place() {
  SABLE_TRY(const auto mountinfo, read_file("/proc/self/mountinfo", kTextBytesMax));
  SABLE_TRY(const auto own, read_file("/proc/self/cgroup", kTextBytesMax));
  return memory_cgroup_place(mountinfo, own);
}

}  // namespace sable::sandbox
