#include "tools/git_loose_objects.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <zlib.h>

#include <git2/sys/odb_backend.h>

#include "base/folder_stream.h"
#include "base/unique_fd.h"
#include "tools/beneath.h"

namespace sable::tools {

namespace {

constexpr uint64_t kCompressedBytesMax = uint64_t{128} << 20;
constexpr size_t kObjectBytesMax = size_t{128} << 20;
/// "commit 18446744073709551615" and its NUL.
constexpr size_t kHeaderBytesMax = 32;
constexpr size_t kObjectNamesMax = 100'000;

/// "01/23456...", and its folder alone for a prefix.
std::string name_of(const git_oid& id) {
  char text[GIT_OID_HEXSZ + 1];
  git_oid_tostr(text, sizeof text, &id);
  return std::string(text, 2) + "/" + (text + 2);
}

std::optional<UniqueFd> open_plain(int objects, const std::string& name) {
  auto fd = open_beneath(objects, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
  if (!fd) return std::nullopt;
  struct stat info;
  if (::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<uint64_t>(info.st_size) > kCompressedBytesMax) {
    return std::nullopt;
  }
  return std::move(*fd);
}

/// Inflates a file as far as it is asked to. Every call takes in bytes, gives out bytes or ends.
class Inflater {
 public:
  explicit Inflater(UniqueFd fd) : fd_(std::move(fd)) { good_ = ::inflateInit(&stream_) == Z_OK; }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(&stream_); }

  /// Up to `size` bytes; how many came. Fewer only at the end or where the stream is damaged.
  size_t read(char* out, size_t size) {
    size_t n_made = 0;
    while (good_ && !ended_ && n_made < size) {
      if (stream_.avail_in == 0) {
        const ssize_t n = ::read(fd_.get(), input_, sizeof input_);
        if (n <= 0) break;
        stream_.next_in = input_;
        stream_.avail_in = static_cast<unsigned>(n);
      }
      const size_t room = std::min<size_t>(size - n_made, 1 << 20);
      stream_.next_out = reinterpret_cast<Bytef*>(out + n_made);
      stream_.avail_out = static_cast<unsigned>(room);
      const int state = ::inflate(&stream_, Z_NO_FLUSH);
      n_made += room - stream_.avail_out;
      ended_ = state == Z_STREAM_END;
      good_ = state == Z_OK || state == Z_STREAM_END;
    }
    return n_made;
  }

  bool ended() const { return ended_; }

 private:
  UniqueFd fd_;
  z_stream stream_{};
  Bytef input_[1 << 14];
  bool good_ = false, ended_ = false;
};

struct Header {
  git_object_t type = GIT_OBJECT_INVALID;
  size_t n_bytes = 0;  ///< of the content
  std::string rest;    ///< the content's first bytes, read along with the header
};

std::optional<Header> read_header(Inflater& inflater) {
  char head[kHeaderBytesMax];
  const size_t n = inflater.read(head, sizeof head);
  const std::string_view text(head, n);
  const size_t space = text.find(' '), end = text.find('\0');
  if (space == std::string_view::npos || end == std::string_view::npos || space > end) {
    return std::nullopt;
  }
  Header header{.type = git_object_string2type(std::string(text.substr(0, space)).c_str()),
                .rest = std::string(text.substr(end + 1))};
  const auto [stop, error] = std::from_chars(head + space + 1, head + end, header.n_bytes);
  if (error != std::errc() || stop != head + end || header.type == GIT_OBJECT_INVALID ||
      header.rest.size() > header.n_bytes) {
    return std::nullopt;
  }
  return header;
}

struct LooseObjects {
  git_odb_backend base;  ///< first: libgit2 knows this part
  int objects;
};

int objects_of(git_odb_backend* backend) {
  return reinterpret_cast<LooseObjects*>(backend)->objects;
}

int read_size(size_t* n_bytes, git_object_t* type, git_odb_backend* backend, const git_oid* id) {
  auto fd = open_plain(objects_of(backend), name_of(*id));
  if (!fd) return GIT_ENOTFOUND;
  Inflater inflater(std::move(*fd));
  const auto header = read_header(inflater);
  if (!header) {
    git_error_set_str(GIT_ERROR_ODB, "a loose object is damaged");
    return -1;
  }
  *n_bytes = header->n_bytes;
  *type = header->type;
  return 0;
}

int read_whole(void** data, size_t* n_bytes, git_object_t* type, git_odb_backend* backend,
               const git_oid* id) {
  auto fd = open_plain(objects_of(backend), name_of(*id));
  if (!fd) return GIT_ENOTFOUND;
  Inflater inflater(std::move(*fd));
  const auto header = read_header(inflater);
  if (!header || header->n_bytes > kObjectBytesMax) {
    git_error_set_str(GIT_ERROR_ODB, "a loose object is damaged or too large");
    return -1;
  }
  // One byte more: some readers expect text to end in a NUL.
  auto* content = static_cast<char*>(git_odb_backend_data_alloc(backend, header->n_bytes + 1));
  if (content == nullptr) return -1;
  std::memcpy(content, header->rest.data(), header->rest.size());
  const size_t n_rest = header->n_bytes - header->rest.size();
  char beyond = 0;
  if (inflater.read(content + header->rest.size(), n_rest) != n_rest ||
      inflater.read(&beyond, 1) != 0 || !inflater.ended()) {
    git_odb_backend_data_free(backend, content);
    git_error_set_str(GIT_ERROR_ODB, "a loose object is damaged");
    return -1;
  }
  content[header->n_bytes] = '\0';
  *data = content;
  *n_bytes = header->n_bytes;
  *type = header->type;
  return 0;
}

int exists(git_odb_backend* backend, const git_oid* id) {
  return open_plain(objects_of(backend), name_of(*id)) ? 1 : 0;
}

int exists_prefix(git_oid* found, git_odb_backend* backend, const git_oid* prefix, size_t length) {
  const std::string wanted = name_of(*prefix).substr(0, length + 1);
  if (length < 2) return GIT_EAMBIGUOUS;
  auto folder =
      open_beneath(objects_of(backend), wanted.substr(0, 2), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder) return GIT_ENOTFOUND;
  FolderStream stream(std::move(*folder));
  if (!stream) return GIT_ENOTFOUND;
  int n_found = 0;
  for (size_t n_seen = 0; n_seen < kObjectNamesMax; ++n_seen) {
    const dirent* entry = stream.next();
    if (entry == nullptr) break;
    const std::string name = wanted.substr(0, 2) + entry->d_name;
    const std::string begin = wanted.substr(0, 2) + wanted.substr(3);
    git_oid id;
    if (name.size() != GIT_OID_HEXSZ || !name.starts_with(begin) ||
        git_oid_fromstr(&id, name.c_str()) != 0) {
      continue;
    }
    *found = id;
    ++n_found;
  }
  return n_found == 0 ? GIT_ENOTFOUND : n_found == 1 ? 0 : GIT_EAMBIGUOUS;
}

int read_prefix(git_oid* found, void** data, size_t* n_bytes, git_object_t* type,
                git_odb_backend* backend, const git_oid* prefix, size_t length) {
  git_oid id = *prefix;
  if (length < GIT_OID_HEXSZ) {
    if (const int error = exists_prefix(&id, backend, prefix, length); error != 0) return error;
  }
  *found = id;
  return read_whole(data, n_bytes, type, backend, &id);
}

void release(git_odb_backend* backend) { delete reinterpret_cast<LooseObjects*>(backend); }

}  // namespace

git_odb_backend* make_loose_objects(int objects) {
  auto* loose = new LooseObjects{};
  git_odb_init_backend(&loose->base, GIT_ODB_BACKEND_VERSION);
  loose->base.read = read_whole;
  loose->base.read_prefix = read_prefix;
  loose->base.read_header = read_size;
  loose->base.exists = exists;
  loose->base.exists_prefix = exists_prefix;
  loose->base.free = release;
  loose->objects = objects;
  return &loose->base;
}

}  // namespace sable::tools
