// Where cgroups can be made, as far as the kernel lets us.
#include <sstream>
#include <string>
#include <unistd.h>

#include "base/control_group.h"
#include "base/file.h"
#include "sandbox/memory_cgroup.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

constexpr size_t kTextBytesMax = size_t{4} << 20;

bool has_word(const std::string& text, std::string_view wanted) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == wanted) return true;
  }
  return false;
}

tl::unexpected<Error> unsupported(std::string why) {
  return fail(ErrorCode::unsupported, std::move(why));
}

bool may_write(const fs::path& path) { return ::access(path.c_str(), W_OK) == 0; }

/// Processes can only be where the controller is not handed on, so never in our own cgroup.
Result<CgroupPlace> place_above(const fs::path& own, const fs::path& top) {
  for (fs::path folder = own;; folder = folder.parent_path()) {
    const auto handed_on = read_file(folder / "cgroup.subtree_control", kTextBytesMax);
    if (!handed_on) return unsupported(handed_on.error().message);
    if (has_word(*handed_on, "memory")) {
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

Result<CgroupPlace> place_for(const MemoryControlGroup& own) {
  if (own.version == 2) return place_above(own.folder, own.top);
  if (!may_write(own.folder)) {
    return unsupported(own.folder.string() + " is not ours to make cgroups in");
  }
  return CgroupPlace{1, own.folder};
}

}  // namespace

Result<CgroupPlace> memory_cgroup_place(std::string_view mountinfo, std::string_view own_cgroups) {
  SABLE_TRY(const auto own, memory_control_group(mountinfo, own_cgroups));
  return place_for(own);
}

Result<CgroupPlace> memory_cgroup_place() {
  SABLE_TRY(const auto own, memory_control_group());
  return place_for(own);
}

}  // namespace sable::sandbox
