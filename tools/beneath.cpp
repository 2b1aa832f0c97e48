#include "tools/beneath.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <fmt/format.h>

#include "tools/shown_text.h"

namespace sable::tools {

namespace {

/// EAGAIN means that a rename or mount elsewhere raced the walk (openat2(2)); a storm must end.
constexpr int kTriesMax = 64;

tl::unexpected<Error> refusal(std::string_view path, int error) {
  const std::string name = shown_path(path);
  switch (error) {
    case ENOENT:
      return fail(ErrorCode::not_found, name + ": no such file or folder");
    case EXDEV:
      return fail(ErrorCode::denied, name +
                                         ": leads out of the workspace; only files below its root "
                                         "can be reached, and absolute links are not followed");
    case ELOOP:
      return fail(ErrorCode::denied,
                  name + ": a symbolic link that must not be followed, or a loop of links");
    case ENOTDIR:
      return fail(ErrorCode::invalid_input, name + ": a part of this path is not a folder");
    case EISDIR:
      return fail(ErrorCode::invalid_input, name + ": is a folder");
    case ENAMETOOLONG:
      return fail(ErrorCode::invalid_input, name + ": the path is too long");
    case EACCES:
    case EPERM:
    case EROFS:
      return fail(ErrorCode::denied, name + ": permission denied");
    case EAGAIN:
      return fail(ErrorCode::io, name + ": folders on this path keep moving; try again later");
    case ENOSYS:
      return fail(ErrorCode::unsupported,
                  "this kernel lacks openat2(2); Linux 5.6 or newer is needed");
    default:
      return fail_errno(name, error);
  }
}

Result<std::string> real_path_of(int fd) {
  std::array<char, 4097> buffer;
  const auto link = fmt::format("/proc/self/fd/{}", fd);
  const ssize_t n = ::readlink(link.c_str(), buffer.data(), buffer.size());
  if (n < 0) return fail_errno(link, errno);
  if (static_cast<size_t>(n) == buffer.size()) {
    return fail(ErrorCode::invalid_input, "the path is too long");
  }
  return std::string(buffer.data(), static_cast<size_t>(n));
}

}  // namespace

Result<UniqueFd> open_beneath(int root, std::string_view path, int flags, unsigned mode) {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_input, "a path must not be empty or hold a NUL byte");
  }
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const std::string name(path);
  int error = EAGAIN;
  for (int i = 0; i < kTriesMax && (error == EAGAIN || error == EINTR); ++i) {
    const long fd = ::syscall(SYS_openat2, root, name.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    error = errno;
  }
  return refusal(path, error);
}

Result<std::string> place_beneath(int root, int fd) {
  SABLE_TRY(const std::string top, real_path_of(root));
  SABLE_TRY(std::string place, real_path_of(fd));
  if (place == top) return std::string(".");
  const std::string prefix = top == "/" ? top : top + "/";
  if (!place.starts_with(prefix)) {
    return fail(ErrorCode::denied, shown_path(place) + ": not below the workspace's root");
  }
  return place.substr(prefix.size());
}

std::string joined(std::string_view folder, std::string_view name) {
  if (folder.empty() || folder == ".") return std::string(name);
  return fmt::format("{}/{}", folder, name);
}

}  // namespace sable::tools
