#include "memory/session_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "memory/blob_files.h"
#include "memory/checkpoint_carry.h"
#include "memory/session_id.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormat = "sable-session";
constexpr int kVersion = 2;
constexpr int kVersionWithoutCheckpoints = 1;  // which older programs read, too
constexpr size_t kLineMax = 4096;
constexpr size_t kPieceBytes = size_t{1} << 20;

/// A file under a temporary name that is removed unless it is put in place.
class NewFile {
 public:
  static Result<NewFile> beside(const fs::path& file) {
    NewFile made(file);
    made.temporary_ = file.string() + ".XXXXXX";
    made.fd_ = UniqueFd(::mkostemp(made.temporary_.data(), O_CLOEXEC));
    if (!made.fd_) return fail_errno(file.string(), errno);
    return made;
  }
  NewFile(NewFile&&) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (fd_) ::unlink(temporary_.c_str());
  }

  /// One record: a JSON line, then as many bytes as it announces and a newline.
  Result<void> record(const Json& line, std::string_view payload) {
    SABLE_TRY_VOID(begin_record(line));
    SABLE_TRY_VOID(add(payload));
    return payload.empty() ? Result<void>() : add("\n");
  }

  Result<void> begin_record(const Json& line) { return add(dump_json(line) + "\n"); }

  Result<void> add(std::string_view bytes) {
    buffer_ += bytes;
    return buffer_.size() < kPieceBytes ? Result<void>() : flush();
  }

  Result<void> put_in_place() {
    SABLE_TRY_VOID(flush());
    if (::fsync(fd_.get()) != 0) return fail_errno(file_.string() + ": fsync", errno);
    if (::rename(temporary_.c_str(), file_.c_str()) != 0) return fail_errno(file_.string(), errno);
    fd_.reset();
    return sync_folder(file_.parent_path());
  }

 private:
  explicit NewFile(fs::path file) : file_(std::move(file)) {}
  Result<void> flush() {
    auto written = write_all(fd_.get(), buffer_);
    buffer_.clear();
    if (!written) return fail_in(file_.string(), written.error());
    return {};
  }

  fs::path file_;
  std::string temporary_;
  std::string buffer_;
  UniqueFd fd_;
};

Result<void> write_blobs(LogDatabase& database, const SessionRow& session, const fs::path& blobs,
                         NewFile& out) {
  SABLE_TRY(const auto digests, database.blobs_of(session.number));
  for (const auto& digest : digests) {
    bool empty = true;
    const auto written = read_blob_in_pieces(
        blobs, digest,
        [&](uint64_t n_bytes) {
          empty = n_bytes == 0;
          return out.begin_record({{"blob", digest}, {"bytes", n_bytes}});
        },
        [&](std::string_view piece) { return out.add(piece); });
    if (!written) {
      if (written.error().code == ErrorCode::not_found) continue;  // named, never stored
      return written;
    }
    if (!empty) {
      SABLE_TRY_VOID(out.add("\n"));
    }
  }
  return {};
}

Result<void> write_events(LogDatabase& database, const SessionRow& session, NewFile& out) {
  Digest previous = kChainStart;
  Seq n_events = 0;
  const auto copy = [&](const StoredEvent& row) -> Result<void> {
    SABLE_TRY_VOID(checked_event(session.id, row, n_events + 1, previous));
    ++n_events;
    return out.record({{"event", row.seq},
                       {"time", row.time_ms},
                       {"type", row.type},
                       {"version", row.version},
                       {"hash", to_hex(row.hash)},
                       {"bytes", row.data.size()}},
                      row.data);
  };
  SABLE_TRY_VOID(database.visit_events(session.number, 1, SIZE_MAX, copy));
  if (previous != session.view.head) {
    return fail_damaged(session.id, n_events, "is not the one that was acknowledged");
  }
  return {};
}

/// Objects first; only the name behind them makes them count. An error is one of the new file.
Result<void> write_checkpoints(const fs::path& folder, const ObjectId& newest, NewFile& out,
                               ExportReport& report) {
  SABLE_TRY(const auto lock, use_checkpoints(folder));
  SABLE_TRY(auto objects, GitObjects::open(folder / "objects", /*sync_each=*/false));
  Result<void> written;
  const auto carried = visit_checkpoint_objects(
      objects, newest,
      [&](ObjectKind kind, const ObjectId& id, std::string_view bytes) -> Result<void> {
        written = out.record(
            {{"object", hex_of(id)}, {"kind", name_of(kind)}, {"bytes", bytes.size()}}, bytes);
        if (written) ++report.n_checkpoint_objects;
        return written;
      });
  if (!written) return written;
  if (!carried) {
    report.files_left_out = carried.error().message;
    report.n_checkpoint_objects = 0;
    return {};
  }
  return out.record({{"checkpoint", hex_of(newest)}}, "");
}

std::optional<uint64_t> count_in(const Json& line, const char* key) {
  const auto it = line.find(key);
  if (it == line.end() || !it->is_number_unsigned()) return std::nullopt;
  return it->get<uint64_t>();
}

}  // namespace

Result<ExportReport> write_session_file(LogDatabase& database, const SessionRow& session,
                                        const Home& home, const fs::path& file) {
  const fs::path checkpoints = checkpoint_folder(home.path(), session.view.working_directory);
  ExportReport report{.n_events = session.view.n_events};
  auto newest = newest_checkpoint(checkpoints, session.id);
  if (!newest) {
    report.files_left_out = newest.error().message;
    newest = std::nullopt;
  }
  SABLE_TRY(auto out, NewFile::beside(file));
  SABLE_TRY_VOID(out.record({{"format", kFormat},
                             {"version", *newest ? kVersion : kVersionWithoutCheckpoints},
                             {"id", session.id},
                             {"n_events", session.view.n_events},
                             {"head", to_hex(session.view.head)}},
                            ""));
  SABLE_TRY_VOID(write_blobs(database, session, home.blobs(), out));
  SABLE_TRY_VOID(write_events(database, session, out));
  if (*newest) {
    SABLE_TRY_VOID(write_checkpoints(checkpoints, **newest, out, report));
  }
  SABLE_TRY_VOID(out.record({{"end", true}}, ""));
  SABLE_TRY_VOID(out.put_in_place());
  return report;
}

tl::unexpected<Error> SessionFileReader::fail_corrupt(std::string_view how) const {
  return fail(ErrorCode::corrupt, fmt::format("{}: {}", path_.string(), how));
}

Result<SessionFileReader> SessionFileReader::open(const fs::path& file) {
  SessionFileReader reader;
  reader.path_ = file;
  struct stat info;
  if (::stat(file.c_str(), &info) != 0) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, file.string() + ": no such file");
    return fail_errno(file.string(), errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_input, file.string() + ": not a regular file");
  }
  reader.bytes_left_ = static_cast<uint64_t>(info.st_size);
  reader.in_.open(file, std::ios::binary);
  SABLE_TRY(const auto line, reader.next_line());
  if (string_or(line, "format", "") != kFormat) {
    return reader.fail_corrupt("not an exported session");
  }
  const auto version = count_in(line, "version"), n_events = count_in(line, "n_events");
  if (version && *version > kVersion) {
    return fail(ErrorCode::unsupported,
                fmt::format("{}: written by a newer Sable (format {})", file.string(), *version));
  }
  const auto head = digest_from_hex(string_or(line, "head", ""));
  reader.header_.id = string_or(line, "id", "");
  if (!version || !n_events || !head || !may_be_session_id(reader.header_.id)) {
    return reader.fail_corrupt("the first line is damaged");
  }
  reader.header_.n_events = *n_events;
  reader.header_.head = *head;
  return reader;
}

Result<Json> SessionFileReader::next_line() {
  std::string text;
  for (char c; text.size() <= kLineMax && in_.get(c);) {
    --bytes_left_;
    if (c == '\n') {
      auto line = parse_json(text);
      if (!line || !line->is_object()) return fail_corrupt("a line is not a JSON object");
      return line;
    }
    text.push_back(c);
  }
  return fail_corrupt(text.size() > kLineMax ? "a line is too long" : "the file is cut short");
}

Result<void> SessionFileReader::end_of_payload() {
  char newline = 0;
  if (!in_.get(newline) || newline != '\n') {
    return fail_corrupt("a record has not the length that it announces");
  }
  --bytes_left_;
  return {};
}

Result<std::string> SessionFileReader::payload(uint64_t n_bytes) {
  if (n_bytes == 0) return std::string();
  if (n_bytes >= bytes_left_) return fail_corrupt("the file is cut short");
  std::string bytes(static_cast<size_t>(n_bytes), '\0');
  if (!in_.read(bytes.data(), static_cast<std::streamsize>(n_bytes))) {
    return fail_corrupt("a record has not the length that it announces");
  }
  bytes_left_ -= n_bytes;
  SABLE_TRY_VOID(end_of_payload());
  return bytes;
}

Result<std::string_view> SessionFileReader::next_piece() {
  SABLE_CHECK(in_blob_);
  const auto n = static_cast<size_t>(std::min<uint64_t>(blob_left_, kPieceBytes));
  if (n == 0) {
    in_blob_ = false;
    return std::string_view();
  }
  piece_.resize(n);
  if (!in_.read(piece_.data(), static_cast<std::streamsize>(n))) {
    return fail_corrupt("the file is cut short");
  }
  bytes_left_ -= n;
  blob_left_ -= n;
  if (blob_left_ == 0) {
    SABLE_TRY_VOID(end_of_payload());
  }
  return std::string_view(piece_);
}

Result<FileRecord> SessionFileReader::next() {
  SABLE_CHECK(!in_blob_);
  SABLE_TRY(const auto line, next_line());
  if (line.contains("end")) return FileRecord(FileEnd{});
  if (line.contains("checkpoint")) {
    const auto id = object_id(string_or(line, "checkpoint", ""));
    if (!id) return fail_corrupt("the name of a file checkpoint is damaged");
    return FileRecord(FileCheckpointName{*id});
  }
  const auto n_bytes = count_in(line, "bytes");
  if (!n_bytes) return fail_corrupt("a record has no length");
  if (line.contains("object")) return next_object(line, *n_bytes);
  if (!line.contains("blob")) return next_event(line, *n_bytes);
  FileBlob blob{string_or(line, "blob", ""), *n_bytes};
  if (!digest_from_hex(blob.digest)) return fail_corrupt("the name of a blob is damaged");
  if (*n_bytes >= bytes_left_) return fail_corrupt("the file is cut short");
  in_blob_ = true;
  blob_left_ = *n_bytes;
  return FileRecord(std::move(blob));
}

Result<FileRecord> SessionFileReader::next_object(const Json& line, uint64_t n_bytes) {
  const auto kind = object_kind(string_or(line, "kind", ""));
  auto id = object_id(string_or(line, "object", ""));
  if (!kind || !id || n_bytes > kCarriedObjectBytesMax) {
    return fail_corrupt("an object's line is damaged");
  }
  SABLE_TRY(auto bytes, payload(n_bytes));
  return FileRecord(FileObject{*kind, std::move(*id), std::move(bytes)});
}

Result<FileRecord> SessionFileReader::next_event(const Json& line, uint64_t n_bytes) {
  const auto seq = count_in(line, "event"), version = count_in(line, "version");
  const auto hash = digest_from_hex(string_or(line, "hash", ""));
  const auto time = line.find("time");
  if (!seq || !version || !hash || time == line.end() || !time->is_number_integer() ||
      n_bytes > kEventBytesMax) {
    return fail_corrupt("an event's line is damaged");
  }
  SABLE_TRY(auto data, payload(n_bytes));
  return FileRecord(FileEvent{*seq, time->get<int64_t>(), string_or(line, "type", ""),
                              static_cast<int64_t>(*version), std::move(data), *hash});
}

}  // namespace sable::memory
