#include "evaluation/task_folder.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "evaluation/files.h"

namespace sable::evaluation {

namespace fs = std::filesystem;

namespace {

constexpr size_t kInstructionBytesMax = size_t{1} << 20;
constexpr size_t kCheckBytesMax = size_t{64} << 10;
constexpr size_t kTasksMax = 10'000;

Result<std::string> read_part(const fs::path& folder, const char* name, size_t bytes_max) {
  auto text = read_file(folder / name, bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::invalid_input,
                fmt::format("task {}: {} is missing", folder.string(), name));
  }
  if (!text) return fail_in("task " + folder.string(), std::move(text.error()));
  if (!is_utf8(*text) || text->find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid_input,
                fmt::format("task {}: {} is not UTF-8 text", folder.string(), name));
  }
  if (text->find_first_not_of(" \t\r\n") == std::string::npos) {
    return fail(ErrorCode::invalid_input,
                fmt::format("task {}: {} is empty", folder.string(), name));
  }
  return text;
}

Result<TaskFolder> read_task(const fs::path& folder) {
  TaskFolder task{.name = folder.filename().string(), .folder = folder};
  SABLE_TRY(task.instruction, read_part(folder, "instruction.md", kInstructionBytesMax));
  SABLE_TRY(task.check, read_part(folder, "check.sh", kCheckBytesMax));
  const size_t begin = task.instruction.find_first_not_of(" \t\r\n");
  const size_t end = task.instruction.find_last_not_of(" \t\r\n") + 1;
  task.instruction = task.instruction.substr(begin, end - begin);
  std::error_code error;
  if (!fs::is_directory(task.repository(), error)) {
    return fail(ErrorCode::invalid_input,
                fmt::format("task {}: there is no folder repository/", folder.string()));
  }
  return task;
}

}  // namespace

Result<std::vector<TaskFolder>> read_task_folders(const fs::path& folder) {
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return fail(ErrorCode::not_found, folder.string() + ": " + error.message());
  std::vector<TaskFolder> tasks;
  if (fs::exists(root / "instruction.md", error)) {
    SABLE_TRY(auto task, read_task(root));
    tasks.push_back(std::move(task));
    return tasks;
  }
  fs::directory_iterator entry(root, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!entry->is_directory(error) || entry->path().filename().string().starts_with(".")) continue;
    if (tasks.size() == kTasksMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: more than {} tasks", root.string(), kTasksMax));
    }
    SABLE_TRY(auto task, read_task(entry->path()));
    tasks.push_back(std::move(task));
  }
  if (error) return fail(ErrorCode::io, root.string() + ": " + error.message());
  if (tasks.empty()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: no tasks; each is a folder with instruction.md, check.sh and "
                            "repository/",
                            root.string()));
  }
  std::sort(tasks.begin(), tasks.end(),
            [](const TaskFolder& a, const TaskFolder& b) { return a.name < b.name; });
  return tasks;
}

Result<void> copy_repository(const TaskFolder& task, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  if (!error) {
    fs::copy(task.repository(), to, fs::copy_options::recursive | fs::copy_options::copy_symlinks,
             error);
  }
  if (error) {
    return fail(ErrorCode::io, fmt::format("task {}: repository cannot be copied: {}", task.name,
                                           error.message()));
  }
  if (fs::exists(to / ".git", error)) return {};
  return commit_all(to);
}

}  // namespace sable::evaluation
