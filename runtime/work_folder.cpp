#include "runtime/work_folder.h"

#include <cstdlib>
#include <system_error>

namespace sable::runtime {

namespace fs = std::filesystem;

Result<std::unique_ptr<WorkFolder>> WorkFolder::temporary(const std::string& parent) {
  std::string pattern = (parent.empty() ? "/tmp" : parent) + "/sable-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return fail_errno(pattern, errno);
  std::error_code error;
  auto real = fs::canonical(pattern, error);
  if (error) return fail(ErrorCode::io, pattern + ": " + error.message());
  return std::unique_ptr<WorkFolder>(new WorkFolder(std::move(real), true));
}

Result<std::unique_ptr<WorkFolder>> WorkFolder::named(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail(ErrorCode::io, path.string() + ": " + error.message());
  auto real = fs::canonical(path, error);
  const bool empty = !error && fs::is_empty(real, error);
  if (error) return fail(ErrorCode::io, path.string() + ": " + error.message());
  if (!empty) {
    return fail(ErrorCode::invalid_input, path.string() + ": not empty; name a new folder");
  }
  return std::unique_ptr<WorkFolder>(new WorkFolder(std::move(real), false));
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (ours_) fs::remove_all(path_, ignored);
}

}  // namespace sable::runtime
