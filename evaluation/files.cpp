#include "evaluation/files.h"

#include <fcntl.h>
#include <git2.h>
#include <memory>
#include <mutex>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"

namespace sable::evaluation {

namespace fs = std::filesystem;

namespace {

constexpr size_t kFilesMax = 10'000, kBytesMax = size_t{64} << 20;

tl::unexpected<Error> fail_at(const fs::path& path, const std::error_code& error) {
  return fail(ErrorCode::io, fmt::format("{}: {}", path.string(), error.message()));
}

bool leads_out(const fs::path& path) {
  if (path.empty() || path.is_absolute()) return true;
  for (const fs::path& part : path) {
    if (part == "..") return true;
  }
  return false;
}

template <class T, void (*free_function)(T*)>
struct GitFree {
  void operator()(T* object) const { free_function(object); }
};
template <class T, void (*free_function)(T*)>
using GitOwned = std::unique_ptr<T, GitFree<T, free_function>>;

/// What libgit2 says about the last failure.
tl::unexpected<Error> fail_git(const fs::path& folder) {
  const git_error* const error = git_error_last();
  return fail(ErrorCode::io, fmt::format("{}: git: {}", folder.string(),
                                         error != nullptr ? error->message : "unknown error"));
}

}  // namespace

Result<void> write_files(const Files& files, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail_at(folder, error);
  for (const auto& [path, content] : files) {
    if (leads_out(path)) return fail(ErrorCode::invalid_input, path + ": not below the folder");
    const fs::path file = folder / path;
    fs::create_directories(file.parent_path(), error);
    if (error) return fail_at(file.parent_path(), error);
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return fail_errno(file.string(), errno);
    SABLE_TRY_VOID(write_all(fd.get(), content));
  }
  return {};
}

Result<Files> read_files(const fs::path& folder) {
  Files files;
  size_t n_bytes = 0;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->path().filename() == ".git") {
      entry.disable_recursion_pending();
      continue;
    }
    std::string content;
    if (entry->is_symlink(error)) {
      content = "-> " + fs::read_symlink(entry->path(), error).string();
      if (error) break;
    } else if (entry->is_regular_file(error)) {
      SABLE_TRY(content, read_file(entry->path(), kBytesMax));
    } else {
      continue;
    }
    n_bytes += content.size();
    if (files.size() == kFilesMax || n_bytes > kBytesMax) {
      return fail(ErrorCode::exhausted, fmt::format("{}: more than {} files or {} bytes",
                                                    folder.string(), kFilesMax, kBytesMax));
    }
    files[entry->path().lexically_relative(folder).string()] = std::move(content);
  }
  if (error) return fail_at(folder, error);
  return files;
}

Result<void> commit_all(const fs::path& folder) {
  static std::once_flag started;  // libgit2 wants to be told once in a process
  std::call_once(started, [] { git_libgit2_init(); });
  git_repository* made = nullptr;
  git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
  options.flags = GIT_REPOSITORY_INIT_MKPATH;
  options.initial_head = "main";
  if (git_repository_init_ext(&made, folder.c_str(), &options) != 0) return fail_git(folder);
  const GitOwned<git_repository, git_repository_free> repository(made);
  git_index* opened = nullptr;
  if (git_repository_index(&opened, made) != 0) return fail_git(folder);
  const GitOwned<git_index, git_index_free> index(opened);
  git_oid tree_id;
  if (git_index_add_all(opened, nullptr, GIT_INDEX_ADD_DEFAULT, nullptr, nullptr) != 0 ||
      git_index_write(opened) != 0 || git_index_write_tree(&tree_id, opened) != 0) {
    return fail_git(folder);
  }
  git_tree* found = nullptr;
  if (git_tree_lookup(&found, made, &tree_id) != 0) return fail_git(folder);
  const GitOwned<git_tree, git_tree_free> tree(found);
  git_signature* signature = nullptr;
  if (git_signature_new(&signature, "Sable", "sable@localhost", 0, 0) != 0) return fail_git(folder);
  const GitOwned<git_signature, git_signature_free> author(signature);
  git_oid commit;
  if (git_commit_create(&commit, made, "HEAD", signature, signature, nullptr, "First commit", found,
                        0, nullptr) != 0) {
    return fail_git(folder);
  }
  return {};
}

}  // namespace sable::evaluation
