#include "memory/git_objects.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <git2.h>
#include <mutex>
#include <unistd.h>
#include <zlib.h>

#include <fmt/format.h>
#include <git2/sys/odb_backend.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "memory/home.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

constexpr int kCompression = 1;  // of zlib: the store is for speed
constexpr size_t kFileBytesMax = size_t{1} << 30;

tl::unexpected<Error> fail_git(std::string_view what, int code) {
  const git_error* last = git_error_last();
  const std::string text = last && last->message ? to_utf8(last->message) : "unknown error";
  if (code == GIT_ENOTFOUND) {
    return fail(ErrorCode::not_found, fmt::format("{}: not in the store of checkpoints", what));
  }
  if (text.find("No space left") != std::string::npos ||
      text.find("Disk quota") != std::string::npos) {
    return fail(ErrorCode::exhausted, fmt::format("{}: the disk is full", what));
  }
  const bool damaged = last && (last->klass == GIT_ERROR_ODB || last->klass == GIT_ERROR_ZLIB ||
                                last->klass == GIT_ERROR_OBJECT);
  return fail(damaged ? ErrorCode::corrupt : ErrorCode::io, fmt::format("{}: {}", what, text));
}

git_oid raw(const ObjectId& id) {
  git_oid oid{};
  std::copy_n(id.begin(), std::min<size_t>(id.size(), GIT_OID_RAWSZ), oid.id);
  return oid;
}

ObjectId id_of(const git_oid& oid) {
  return {reinterpret_cast<const char*>(oid.id), GIT_OID_RAWSZ};
}

/// Whether an object's file holds a zlib stream up to its end.
bool is_whole_stream(std::string_view file) {
  z_stream stream{};
  if (::inflateInit(&stream) != Z_OK) return false;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file.data()));
  stream.avail_in = static_cast<unsigned>(file.size());
  std::array<Bytef, 1 << 14> thrown_away;
  int state = Z_OK;
  while (state == Z_OK) {  // without progress it is Z_BUF_ERROR
    stream.next_out = thrown_away.data();
    stream.avail_out = thrown_away.size();
    state = ::inflate(&stream, Z_NO_FLUSH);
  }
  ::inflateEnd(&stream);
  return state == Z_STREAM_END;
}

git_object_t type_of(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::blob:
      return GIT_OBJECT_BLOB;
    case ObjectKind::tree:
      return GIT_OBJECT_TREE;
    case ObjectKind::commit:
      break;
  }
  return GIT_OBJECT_COMMIT;
}

std::string_view digits_of(TreeMode mode) {
  switch (mode) {
    case TreeMode::file:
      return "100644";
    case TreeMode::program:
      return "100755";
    case TreeMode::link:
      return "120000";
    case TreeMode::folder:
      break;
  }
  return "40000";
}

}  // namespace

std::string_view name_of(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::blob:
      return "blob";
    case ObjectKind::tree:
      return "tree";
    case ObjectKind::commit:
      break;
  }
  return "commit";
}

std::optional<ObjectKind> object_kind(std::string_view name) {
  for (const auto kind : {ObjectKind::blob, ObjectKind::tree, ObjectKind::commit}) {
    if (name == name_of(kind)) return kind;
  }
  return std::nullopt;
}

std::string hex_of(const ObjectId& id) {
  return to_hex(std::span(reinterpret_cast<const uint8_t*>(id.data()), id.size()));
}

Result<ObjectId> object_id(std::string_view hex) {
  git_oid oid;
  if (hex.size() != GIT_OID_HEXSZ || git_oid_fromstrn(&oid, hex.data(), hex.size()) != 0) {
    return fail(ErrorCode::invalid_input, "not the name of a file checkpoint");
  }
  return id_of(oid);
}

void GitObjects::Free::operator()(git_odb* odb) const { git_odb_free(odb); }

Result<GitObjects> GitObjects::open(const fs::path& folder, bool sync_each) {
  static std::once_flag started;  // libgit2 wants to be told once in a process
  std::call_once(started, [] { git_libgit2_init(); });
  GitObjects objects;
  objects.folder_ = folder;
  objects.sync_each_ = sync_each;
  git_odb* odb = nullptr;
  if (const int code = git_odb_new(&odb); code != 0) return fail_git("object store", code);
  objects.odb_.reset(odb);
  git_odb_backend* backend = nullptr;
  int code = git_odb_backend_loose(&backend, folder.c_str(), kCompression, sync_each, 0700, 0400);
  if (code == 0) code = git_odb_add_backend(odb, backend, /*priority=*/1);
  if (code != 0) return fail_git(folder.string(), code);
  return objects;
}

Result<ObjectId> GitObjects::write(std::string_view bytes, ObjectKind kind) {
  git_oid oid;
  const int code = git_odb_write(&oid, odb_.get(), bytes.data(), bytes.size(), type_of(kind));
  if (code != 0) return fail_git("file checkpoint", code);
  auto id = id_of(oid);
  if (used_folders_.insert(id.front()).second) has_unsynced_folders_ = true;
  return id;
}

Result<ObjectId> GitObjects::write_blob(std::string_view bytes) {
  return write(bytes, ObjectKind::blob);
}

Result<ObjectId> GitObjects::write_tree(std::vector<TreeEntry> entries) {
  // Git's order: by name, where a folder's name ends in a slash.
  const auto key = [](const TreeEntry& entry) {
    return entry.mode == TreeMode::folder ? entry.name + "/" : entry.name;
  };
  std::sort(entries.begin(), entries.end(),
            [&](const TreeEntry& a, const TreeEntry& b) { return key(a) < key(b); });
  std::string bytes;
  for (const TreeEntry& entry : entries) {
    bytes.append(digits_of(entry.mode)).append(" ").append(entry.name);
    bytes.push_back('\0');
    bytes.append(entry.id);
  }
  return write(bytes, ObjectKind::tree);
}

Result<ObjectId> GitObjects::write_commit(const CommitRecord& commit, std::string_view message) {
  std::string text = "tree " + hex_of(commit.tree) + "\n";
  if (!commit.parent.empty()) text += "parent " + hex_of(commit.parent) + "\n";
  // No clock: the log knows when.
  text += "author Sable <sable@localhost> 0 +0000\ncommitter Sable <sable@localhost> 0 +0000\n\n";
  SABLE_TRY(auto id, write(text.append(message), ObjectKind::commit));
  if (sync_each_ && has_unsynced_folders_) {
    SABLE_TRY_VOID(sync_folder(folder_));
    has_unsynced_folders_ = false;
  }
  return id;
}

fs::path GitObjects::file_of(const ObjectId& id) const {
  const std::string hex = hex_of(id);
  return folder_ / hex.substr(0, 2) / hex.substr(2);
}

bool GitObjects::is_missing(const ObjectId& id) const {
  std::error_code error;
  return !fs::exists(file_of(id), error) && !error;
}

Result<ObjectId> GitObjects::name_of(ObjectKind kind, std::string_view bytes) {
  git_oid oid;
  const int code = git_odb_hash(&oid, bytes.data(), bytes.size(), type_of(kind));
  if (code != 0) return fail_git("file checkpoint", code);
  return id_of(oid);
}

Result<void> GitObjects::write_whole(ObjectKind kind, const ObjectId& id, std::string_view bytes) {
  if (const auto there = read(id, kind); there) return {};
  std::error_code ignored;  // libgit2 would leave a damaged one as it is
  fs::remove(file_of(id), ignored);
  SABLE_TRY_VOID(write(bytes, kind));
  return {};
}

Result<std::string> GitObjects::read(const ObjectId& id, ObjectKind kind) {
  // libgit2 waits for ever for the rest of a file that was cut short (1.5).
  const std::string hex = hex_of(id);
  const auto file = read_file(file_of(id), kFileBytesMax);
  if (!file && file.error().code != ErrorCode::not_found) return fail(file.error());
  if (file && !is_whole_stream(*file)) return fail(ErrorCode::corrupt, hex + ": cut short");
  const git_oid oid = raw(id);
  git_odb_object* object = nullptr;
  if (const int code = git_odb_read(&object, odb_.get(), &oid); code != 0) {
    return fail_git(hex, code);
  }
  const std::unique_ptr<git_odb_object, void (*)(git_odb_object*)> owned(object,
                                                                         git_odb_object_free);
  if (git_odb_object_type(object) != type_of(kind)) {
    return fail(ErrorCode::corrupt, hex + ": not the kind of object that it should be");
  }
  return std::string(static_cast<const char*>(git_odb_object_data(object)),
                     git_odb_object_size(object));
}

Result<std::string> GitObjects::read_blob(const ObjectId& id) { return read(id, ObjectKind::blob); }

Result<std::vector<TreeEntry>> GitObjects::read_tree(const ObjectId& id) {
  SABLE_TRY(const auto bytes, read(id, ObjectKind::tree));
  std::vector<TreeEntry> entries;
  for (std::string_view left = bytes; !left.empty();) {
    const size_t space = left.find(' '), end = left.find('\0');
    if (end == std::string_view::npos || space > end || left.size() - end - 1 < GIT_OID_RAWSZ) {
      return fail(ErrorCode::corrupt, hex_of(id) + ": not a tree");
    }
    TreeEntry entry{TreeMode::file, std::string(left.substr(space + 1, end - space - 1)),
                    ObjectId(left.substr(end + 1, GIT_OID_RAWSZ))};
    bool known = false;
    for (const auto mode : {TreeMode::file, TreeMode::program, TreeMode::link, TreeMode::folder}) {
      if (left.substr(0, space) != digits_of(mode)) continue;
      entry.mode = mode;
      known = true;
    }
    // Whoever restores it builds paths of these names.
    if (!known || entry.name.empty() || entry.name == "." || entry.name == ".." ||
        entry.name == ".git" || entry.name.find('/') != std::string::npos) {
      return fail(ErrorCode::corrupt, hex_of(id) + ": not a tree of ours");
    }
    entries.push_back(std::move(entry));
    left.remove_prefix(end + 1 + GIT_OID_RAWSZ);
  }
  return entries;
}

Result<CommitRecord> GitObjects::read_commit(const ObjectId& id) {
  SABLE_TRY(const auto text, read(id, ObjectKind::commit));
  CommitRecord commit;
  for (const auto line : split_lines(text)) {
    if (line.empty()) break;
    if (line.starts_with("tree ")) {
      SABLE_TRY(commit.tree, object_id(line.substr(5)));
    } else if (line.starts_with("parent ")) {
      SABLE_TRY(commit.parent, object_id(line.substr(7)));
    }
  }
  if (commit.tree.empty()) return fail(ErrorCode::corrupt, hex_of(id) + ": a commit without tree");
  return commit;
}

Result<void> GitObjects::sync() {
  const UniqueFd fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::syncfs(fd.get()) != 0) return fail_errno(folder_.string() + ": syncfs", errno);
  return {};
}

Result<void> GitObjects::keep_only(const std::set<ObjectId>& needed) {
  std::error_code error;
  std::vector<fs::path> unneeded;
  for (fs::recursive_directory_iterator it(folder_, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    const auto hex = it->path().parent_path().filename().string() + it->path().filename().string();
    const auto id = object_id(hex);
    // What is no object is what a process left that died while it wrote.
    if (!id || !needed.contains(*id)) unneeded.push_back(it->path());
  }
  if (error) return fail_errno(folder_.string(), error.value());
  for (const auto& file : unneeded) fs::remove(file, error);
  return {};
}

}  // namespace sable::memory
