#include "runtime/server/token_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/file.h"

namespace sable::runtime {

namespace {

constexpr size_t kTokenBytes = 32;
constexpr size_t kTokenCharsMin = 16;
constexpr size_t kTokenCharsMax = 512;

Result<std::string> fresh_token() {
  std::array<uint8_t, kTokenBytes> bytes;
  const ssize_t n = ::getrandom(bytes.data(), bytes.size(), 0);
  if (n != static_cast<ssize_t>(bytes.size())) return fail_errno("getrandom", errno);
  return to_hex(bytes);
}

/// Characters that both a header and a subprotocol's name can carry.
bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

Result<std::string> load(const std::filesystem::path& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return fail_errno(path.string(), errno);
  if ((info.st_mode & 077) != 0) {
    return fail(ErrorCode::denied,
                fmt::format("{} can be read or written by others; run: chmod 600 {}", path.string(),
                            path.string()));
  }
  SABLE_TRY(const std::string content, read_file(path, 4096));
  const auto end = content.find_last_not_of("\r\n");
  const std::string_view token = std::string_view(content).substr(0, end + 1);
  if (token.size() < kTokenCharsMin || token.size() > kTokenCharsMax ||
      !std::all_of(token.begin(), token.end(), is_token_char)) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{} must hold {} to {} letters, digits, '-', '_', '.' or '~'; delete it "
                    "and a fresh one is made",
                    path.string(), kTokenCharsMin, kTokenCharsMax));
  }
  return std::string(token);
}

/// Puts the whole token in place at once, unless somebody was faster.
Result<void> create(const std::filesystem::path& path) {
  SABLE_TRY(std::string token, fresh_token());
  token.push_back('\n');
  std::string temporary = path.string() + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return fail_errno(temporary, errno);
  auto written = write_all(fd.get(), token);
  if (written && ::fsync(fd.get()) != 0) written = fail_errno(temporary, errno);
  if (written && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    written = fail_errno(path.string(), errno);
  }
  ::unlink(temporary.c_str());
  return written;
}

}  // namespace

Result<std::string> load_or_create_token(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
    SABLE_TRY_VOID(create(path));
  }
  return load(path);
}

bool same_secret(std::string_view given, std::string_view expected) {
  if (expected.empty()) return false;
  unsigned difference = given.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(expected[i % expected.size()]);
  }
  return difference == 0;
}

}  // namespace sable::runtime
