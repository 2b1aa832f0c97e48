#include "tools/git_repository.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>
#include <git2/sys/odb_backend.h>

#include "base/folder_stream.h"
#include "base/text.h"
#include "tools/beneath.h"
#include "tools/git_loose_objects.h"
#include "tools/shown_text.h"

namespace sable::tools {

namespace {

constexpr size_t kFilesMax = 200'000;
constexpr size_t kTreeDepthMax = 64;
constexpr size_t kTreeBytesMax = 64 << 20;
constexpr size_t kCommitBytesMax = 4 << 20;
constexpr size_t kPackedRefsBytesMax = 64 << 20;
constexpr uint64_t kIndexBytesMax = uint64_t{512} << 20;
constexpr int kReferenceDepthMax = 5;

tl::unexpected<Error> fail_git(std::string_view what) {
  const git_error* error = git_error_last();
  return fail(ErrorCode::corrupt, fmt::format("{}: {}", what,
                                              error != nullptr && error->message != nullptr
                                                  ? escape_controls(error->message)
                                                  : "the repository cannot be read"));
}

std::string path_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

/// The names that git allows for references, more or less: enough that none leads elsewhere.
bool is_reference_name(std::string_view name) {
  return !name.empty() && name.size() <= 512 && !name.starts_with('/') && !name.ends_with('/') &&
         name.find("..") == std::string_view::npos && name.find("//") == std::string_view::npos &&
         name.find("/.") == std::string_view::npos && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) > 0x20 && c != 0x7F &&
                  std::string_view("~^:?*[\\").find(c) == std::string_view::npos;
         });
}

/// Whether all packs are plain files: libgit2 opens them by name, and a FIFO would hold it up for
/// ever. (Whoever can swap one for a FIFO just then can hold up one worker.)
Result<void> check_packs(int objects) {
  UniqueFd fd(::openat(objects, "pack", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    return fail(ErrorCode::unsupported, ".git/objects/pack is not a plain folder");
  }
  FolderStream stream(std::move(fd));
  if (!stream) return fail_errno(".git/objects", errno);
  while (const dirent* entry = stream.next()) {
    bool plain = entry->d_type == DT_REG;
    if (entry->d_type == DT_UNKNOWN) {
      struct stat info;
      plain = ::fstatat(stream.fd(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
              S_ISREG(info.st_mode);
    }
    if (!plain) {
      return fail(ErrorCode::unsupported, fmt::format(".git/objects/pack/{} is not a plain file",
                                                      shown_path(entry->d_name)));
    }
  }
  return {};
}

/// Walks a tree depth first.
class TreeWalk {
 public:
  TreeWalk(git_repository* repository, git_odb* odb) : repository_(repository), odb_(odb) {}

  Result<GitFiles> walk(const git_oid& root) {
    SABLE_TRY_VOID(walk_below("", root, 0));
    return std::move(found_);
  }

 private:
  Result<void> walk_below(const std::string& folder, const git_oid& id, size_t depth) {
    size_t n_bytes = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    if (git_odb_read_header(&n_bytes, &type, odb_, &id) != 0) return fail_git("a tree is missing");
    n_bytes_ += n_bytes;
    if (depth > kTreeDepthMax || n_bytes_ > kTreeBytesMax) {
      found_.cut = true;
      return {};
    }
    git_tree* raw = nullptr;
    if (git_tree_lookup(&raw, repository_, &id) != 0) return fail_git("a tree cannot be read");
    const GitTree tree(raw);
    for (size_t i = 0; i < git_tree_entrycount(tree.get()) && !found_.cut; ++i) {
      const git_tree_entry* entry = git_tree_entry_byindex(tree.get(), i);
      const std::string path = joined(folder, git_tree_entry_name(entry));
      const git_oid& entry_id = *git_tree_entry_id(entry);
      if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
        SABLE_TRY_VOID(walk_below(path, entry_id, depth + 1));
      } else if (found_.files.size() >= kFilesMax) {
        found_.cut = true;
      } else {
        found_.files[path] = {.id = entry_id,
                              .mode = static_cast<uint32_t>(git_tree_entry_filemode(entry))};
      }
    }
    return {};
  }

  git_repository* repository_;
  git_odb* odb_;
  GitFiles found_;
  size_t n_bytes_ = 0;
};

}  // namespace

std::string short_id(const git_oid& id) {
  char text[8];
  git_oid_tostr(text, sizeof text, &id);
  return text;
}

Result<GitRepository> GitRepository::open(const WorkspaceFiles& files) {
  GitRepository repository(files);
  SABLE_TRY_VOID(repository.check_layout());
  SABLE_TRY_VOID(repository.open_objects());
  return repository;
}

Result<void> GitRepository::check_layout() {
  auto folder = files_->open_folder(".git");
  if (!folder) {
    if (folder.error().code == ErrorCode::not_found) {
      return fail(ErrorCode::not_found,
                  "there is no git repository in the workspace's root (no .git folder)");
    }
    if (folder.error().code == ErrorCode::invalid_input) {
      return fail(ErrorCode::unsupported,
                  ".git is a file that names another folder (a linked work tree or submodule); use "
                  "git in the shell");
    }
    return fail(folder.error());
  }
  folder_ = std::move(*folder);
  struct stat info;
  for (const char* other : {"commondir", "objects/info/alternates", "reftable"}) {
    if (::fstatat(folder_.get(), other, &info, AT_SYMLINK_NOFOLLOW) == 0) {
      return fail(ErrorCode::unsupported,
                  fmt::format(".git/{} is there: the repository keeps parts of itself elsewhere or "
                              "in another form; use git in the shell",
                              other));
    }
  }
  return {};
}

Result<void> GitRepository::open_objects() {
  objects_ =
      UniqueFd(::openat(folder_.get(), "objects", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!objects_) return fail(ErrorCode::corrupt, ".git/objects is not a plain folder");
  if (::faccessat(objects_.get(), "pack", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    SABLE_TRY_VOID(check_packs(objects_.get()));
  }
  git_odb* odb = nullptr;
  if (git_odb_new(&odb) != 0) return fail_git("git");
  odb_.reset(odb);
  // By hand, since opening a folder of objects as a whole also follows its alternates.
  git_odb_backend* packed = nullptr;
  git_odb_backend* loose = make_loose_objects(objects_.get());
  if (git_odb_add_backend(odb, loose, 1) != 0) {
    loose->free(loose);
    return fail_git(".git/objects");
  }
  const std::string path = path_of(objects_.get());
  if (git_odb_backend_pack(&packed, path.c_str()) != 0 ||
      git_odb_add_backend(odb, packed, 2) != 0) {
    return fail_git(".git/objects/pack");
  }
  git_repository* repository = nullptr;
  if (git_repository_wrap_odb(&repository, odb) != 0) return fail_git("git");
  repository_.reset(repository);
  return {};
}

Result<std::string> GitRepository::target_of(const std::string& reference) const {
  auto file = files_->load(".git/" + reference, 4096);
  if (file) {
    std::string text = std::move(file->content);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
  }
  if (file.error().code != ErrorCode::not_found && file.error().code != ErrorCode::invalid_input) {
    return fail(file.error());
  }
  const auto packed = files_->load(".git/packed-refs", kPackedRefsBytesMax);
  if (packed) {
    for (const std::string_view line : split_lines(packed->content)) {
      const size_t space = line.find(' ');
      if (space == std::string_view::npos || line.starts_with('#')) continue;
      if (line.substr(space + 1) == reference) return std::string(line.substr(0, space));
    }
  }
  return fail(ErrorCode::not_found, reference);
}

Result<GitRepository::Head> GitRepository::head() const {
  SABLE_TRY(const std::string target, target_of("HEAD"));
  Head head;
  if (target.starts_with("ref: ")) {
    const std::string name = target.substr(5);
    if (!is_reference_name(name)) return fail(ErrorCode::corrupt, ".git/HEAD names no reference");
    head.branch = name.starts_with("refs/heads/") ? name.substr(11) : name;
    const auto id = id_of(name);
    if (id) {
      head.commit = *id;
    } else if (id.error().code != ErrorCode::not_found) {
      return fail(id.error());
    }
    return head;
  }
  SABLE_TRY(head.commit, id_of("HEAD"));
  return head;
}

Result<git_oid> GitRepository::id_of(std::string_view name) const {
  std::string at(name);
  for (int depth = 0; depth < kReferenceDepthMax; ++depth) {
    SABLE_TRY(const std::string target, target_of(at));
    if (target.starts_with("ref: ")) {
      at = target.substr(5);
      if (!is_reference_name(at)) break;
      continue;
    }
    git_oid id;
    if (target.size() == 64 && is_hex(target)) {
      return fail(ErrorCode::unsupported,
                  "a repository with SHA-256 object names; use git in the shell");
    }
    if (target.size() != 40 || !is_hex(target) || git_oid_fromstr(&id, target.c_str()) != 0) break;
    return id;
  }
  return fail(ErrorCode::corrupt, fmt::format("the reference {} cannot be read", shown_path(at)));
}

Result<void> GitRepository::check_size(const git_oid& id, size_t bytes_max) const {
  size_t n_bytes = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  if (git_odb_read_header(&n_bytes, &type, odb_.get(), &id) != 0) return fail_git("an object");
  if (n_bytes > bytes_max) {
    return fail(ErrorCode::exhausted,
                fmt::format("an object of {} bytes is larger than is read here", n_bytes));
  }
  return {};
}

Result<GitCommit> GitRepository::peeled(const git_oid& id, std::string_view name) const {
  SABLE_TRY_VOID(check_size(id, kCommitBytesMax));
  git_object* raw = nullptr;
  if (git_object_lookup(&raw, repository_.get(), &id, GIT_OBJECT_ANY) != 0) {
    return fail_git(shown_path(name));
  }
  const GitObject object(raw);
  git_object* commit = nullptr;
  if (git_object_peel(&commit, object.get(), GIT_OBJECT_COMMIT) != 0) {
    return fail(ErrorCode::invalid_input, shown_path(name) + ": is not a commit");
  }
  return GitCommit(reinterpret_cast<git_commit*>(commit));
}

Result<GitCommit> GitRepository::commit(std::string_view revision) const {
  const std::string_view base = revision.substr(0, revision.find_first_of("~^"));
  std::string_view steps = revision.substr(base.size());
  const std::string name = base.empty() || base == "@" ? "HEAD" : std::string(base);
  if (!is_reference_name(name)) {
    return fail(ErrorCode::invalid_input,
                fmt::format("\"{}\" is no revision; give HEAD, a branch, a tag or a commit's id, "
                            "with ~N or ^ behind it if need be",
                            shown_path(revision)));
  }
  std::optional<git_oid> id;
  for (const char* folder : {"", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"}) {
    // Other files right in .git are no references.
    const std::string reference = folder + name;
    if (*folder == '\0' && !name.starts_with("refs/") && name.find("HEAD") == std::string::npos) {
      continue;
    }
    if (auto found = id_of(reference)) {
      id = *found;
      break;
    } else if (found.error().code == ErrorCode::unsupported) {
      return fail(found.error());
    }
  }
  if (!id && name.size() >= 4 && name.size() <= 40 && is_hex(name)) {
    git_oid prefix, full;
    if (git_oid_fromstrn(&prefix, name.c_str(), name.size()) == 0) {
      const int error = git_odb_exists_prefix(&full, odb_.get(), &prefix, name.size());
      if (error == GIT_EAMBIGUOUS) {
        return fail(ErrorCode::invalid_input, name + ": several objects begin like that");
      }
      if (error == 0) id = full;
    }
  }
  if (!id) {
    return fail(ErrorCode::not_found,
                fmt::format("there is no revision \"{}\" in this repository", shown_path(name)));
  }
  SABLE_TRY(GitCommit at, peeled(*id, name));
  while (!steps.empty()) {
    const bool nth_parent = steps.front() == '^';
    steps.remove_prefix(1);
    size_t n = 0, digits = 0;
    while (digits < steps.size() && digits < 6 && steps[digits] >= '0' && steps[digits] <= '9') {
      n = n * 10 + static_cast<size_t>(steps[digits++] - '0');
    }
    steps.remove_prefix(digits);
    if (digits == 0) n = 1;
    if (!steps.empty() && steps.front() != '~' && steps.front() != '^') {
      return fail(ErrorCode::invalid_input, shown_path(revision) + ": is no revision");
    }
    for (size_t i = 0; i < (nth_parent ? std::min<size_t>(n, 1) : n); ++i) {
      const git_oid* parent =
          git_commit_parent_id(at.get(), nth_parent ? static_cast<unsigned>(n - 1) : 0);
      auto next = parent == nullptr ? std::nullopt : commit(*parent);
      if (!next) {
        return fail(ErrorCode::not_found,
                    fmt::format("{}: the history does not go back so far", shown_path(revision)));
      }
      at = std::move(*next);
    }
  }
  return at;
}

std::optional<GitCommit> GitRepository::commit(const git_oid& id) const {
  if (!check_size(id, kCommitBytesMax)) return std::nullopt;
  git_commit* commit = nullptr;
  if (git_commit_lookup(&commit, repository_.get(), &id) != 0) return std::nullopt;
  return GitCommit(commit);
}

Result<GitFiles> GitRepository::files_of(const git_commit& commit) const {
  return TreeWalk(repository_.get(), odb_.get()).walk(*git_commit_tree_id(&commit));
}

std::optional<git_oid> GitRepository::entry_at(const git_commit& commit,
                                               const std::string& path) const {
  git_oid at = *git_commit_tree_id(&commit);
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::string name(rest.substr(0, rest.find('/')));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (!check_size(at, kTreeBytesMax)) return std::nullopt;
    git_tree* raw = nullptr;
    if (git_tree_lookup(&raw, repository_.get(), &at) != 0) return std::nullopt;
    const GitTree tree(raw);
    const git_tree_entry* entry = git_tree_entry_byname(tree.get(), name.c_str());
    if (entry == nullptr) return std::nullopt;
    at = *git_tree_entry_id(entry);
  }
  return at;
}

Result<std::string> GitRepository::blob(const git_oid& id, size_t bytes_max) const {
  SABLE_TRY_VOID(check_size(id, bytes_max));
  git_odb_object* raw = nullptr;
  if (git_odb_read(&raw, odb_.get(), &id) != 0) return fail_git("a file's content");
  const GitOwned<git_odb_object, git_odb_object_free> object(raw);
  return std::string(static_cast<const char*>(git_odb_object_data(raw)), git_odb_object_size(raw));
}

Result<GitIndex> GitRepository::index() const {
  const auto file = files_->open_file(".git/index");
  if (!file) {
    if (file.error().code == ErrorCode::not_found) return GitIndex();
    return fail(file.error());
  }
  if (file->bytes > kIndexBytesMax) return fail(ErrorCode::exhausted, ".git/index is too large");
  git_index* index = nullptr;
  // By the descriptor: whatever has that name by now, this is the file that was looked at.
  if (git_index_open(&index, path_of(file->fd.get()).c_str()) != 0) return fail_git(".git/index");
  return GitIndex(index);
}

std::string GitRepository::excludes() const {
  auto file = files_->load(".git/info/exclude", 1 << 20);
  return file ? std::move(file->content) : std::string();
}

}  // namespace sable::tools
