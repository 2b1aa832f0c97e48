// Replacing files of the workspace: whole, several at once, without a moment in which somebody
// else's work can be lost.
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "sandbox/sandbox.h"
#include "tools/beneath.h"
#include "tools/shown_text.h"
#include "tools/staged_write.h"
#include "tools/workspace_files.h"

namespace sable::tools {

namespace {

/// Undoes the first `n` in reverse; the error says what could not be.
Error put_back(std::vector<StagedWrite>& staged, size_t n, Error error) {
  for (size_t i = n; i-- > 0;) {
    if (!staged[i].undo()) {
      error.message += fmt::format("; {} could not be put back and stays changed",
                                   shown_path(staged[i].place()));
    }
  }
  return error;
}

}  // namespace

Result<UniqueFd> WorkspaceFiles::make_folders(std::string_view path, MadeFolders& made) const {
  if (path.empty() || path == ".") return open_beneath(root_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (auto found = open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY);
      found || found.error().code != ErrorCode::not_found) {
    return found;
  }
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (name == "..") {
    return fail(ErrorCode::not_found,
                shown_path(path) + ": \"..\" behind a folder that does not exist");
  }
  SABLE_TRY(UniqueFd parent,
            make_folders(slash == std::string_view::npos ? "." : path.substr(0, slash), made));
  if (name.empty() || name == ".") return parent;
  SABLE_TRY(const std::string place, place_beneath(root_.get(), parent.get()));
  const std::string fresh = joined(place, name);
  if (const auto why = protection_->reason(fresh)) {
    return fail(ErrorCode::denied, fmt::format("{}: protected ({})", shown_path(fresh), *why));
  }
  if (::mkdirat(parent.get(), std::string(name).c_str(), 0777) == 0) {
    made.add(parent.get(), std::string(name));
  } else if (errno == EACCES || errno == EPERM || errno == EROFS) {
    return fail(ErrorCode::denied, shown_path(fresh) + ": this folder cannot be made");
  } else if (errno != EEXIST) {
    return fail_errno(shown_path(fresh), errno);
  }
  return open_beneath(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Result<WorkspaceFiles::Target> WorkspaceFiles::target_of(std::string_view path,
                                                         MadeFolders& made) const {
  const std::string whole = relative(path);
  const size_t slash = whole.rfind('/');
  const std::string name = slash == std::string::npos ? whole : whole.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return fail(ErrorCode::invalid_input, shown_path(path) + ": is a folder; name a file");
  }
  if (whole.find('\0') != std::string::npos || name.size() > 255) {
    return fail(ErrorCode::invalid_input, shown_path(path) + ": not a file name");
  }
  const std::string parent = slash == std::string::npos ? "." : whole.substr(0, slash);
  SABLE_TRY(UniqueFd folder, make_folders(parent, made));
  SABLE_TRY(const std::string place, place_beneath(root_.get(), folder.get()));
  return Target{.folder = std::move(folder), .name = name, .place = joined(place, name)};
}

Result<StagedWrite> WorkspaceFiles::stage(FileWrite write, MadeFolders& made) const {
  SABLE_TRY(Target target, target_of(write.path, made));
  const std::string& place = target.place;
  if (const auto why = protection_->reason(place)) {
    return fail(
        ErrorCode::denied,
        fmt::format("{}: protected ({}); tools may not write it, so ask the person to change it",
                    shown_path(place), *why));
  }
  SABLE_TRY_VOID(check_visible(place));
  return StagedWrite::prepare(std::move(target.folder), std::move(target.name),
                              std::move(target.place), std::move(write));
}

Result<std::string> WorkspaceFiles::write(std::string_view path, std::string_view content,
                                          const WriteBase& base) {
  std::vector<FileWrite> one;
  one.push_back({.path = std::string(path), .content = std::string(content), .base = base});
  SABLE_TRY(auto places, write_together(std::move(one)));
  return std::move(places.front());
}

Result<std::vector<std::string>> WorkspaceFiles::write_together(std::vector<FileWrite> writes) {
  if (!writable_) {
    return fail(ErrorCode::denied, "this session may only read; no file was written");
  }
  MadeFolders made;
  std::vector<StagedWrite> staged;
  for (auto& write : writes) {
    SABLE_TRY(auto ready, stage(std::move(write), made));
    staged.push_back(std::move(ready));
  }
  for (size_t i = 0; i < staged.size(); ++i) {
    if (auto put = staged[i].put(); !put) return fail(put_back(staged, i, std::move(put.error())));
  }
  made.keep();
  std::vector<std::string> places;
  Result<void> synced;
  for (auto& file : staged) {
    if (auto done = file.finish(); !done && synced) synced = std::move(done);
    if (const auto digest = file.digest()) {
      remember(file.place(), *digest);
    } else {
      forget(file.place());
    }
    places.push_back(file.place());
  }
  if (!synced) return fail(synced.error());
  return places;
}

}  // namespace sable::tools
