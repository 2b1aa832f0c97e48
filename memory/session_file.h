// A session in one file, to carry elsewhere: the format is in docs/durability.md.
#pragma once

#include <filesystem>
#include <fstream>
#include <variant>

#include "memory/git_objects.h"
#include "memory/log_database.h"

namespace sable::memory {

/// Writes the file beside `file`, syncs it and renames it into place: blobs, then events, then file
/// checkpoints, so that an importer has each when it needs it. Memory is bounded by the largest
/// event or object. File checkpoints that cannot be read are left out; the report says why.
Result<ExportReport> write_session_file(LogDatabase& database, const SessionRow& session,
                                        const Home& home, const std::filesystem::path& file);

struct FileHeader {
  std::string id;
  Seq n_events = 0;
  Digest head{};
};

/// Its content follows: take it before the next record is read.
struct FileBlob {
  std::string digest;
  uint64_t n_bytes = 0;
};

/// One of those that file checkpoints are made of.
struct FileObject {
  ObjectKind kind{};
  ObjectId id;
  std::string bytes;
};

/// The session's newest checkpoint; all its objects came before.
struct FileCheckpointName {
  ObjectId id;
};

struct FileEvent {
  Seq seq = 0;
  int64_t time_ms = 0;
  std::string type;
  int64_t version = 1;
  std::string data;
  Digest hash{};

  StoredEvent stored() const { return {seq, time_ms, type, version, data, hash}; }
};

struct FileEnd {};

using FileRecord = std::variant<FileBlob, FileEvent, FileObject, FileCheckpointName, FileEnd>;

/// Reads such a file record by record. Memory is bounded by the largest event or object that there
/// may be, whatever the file says.
class SessionFileReader {
 public:
  /// Errors: not_found, unsupported (newer format), corrupt.
  static Result<SessionFileReader> open(const std::filesystem::path& file);

  const FileHeader& header() const { return header_; }
  /// FileEnd once, at the end. Errors: corrupt, also when the file was cut short.
  Result<FileRecord> next();
  /// The next piece of a blob's content; empty at its end.
  Result<std::string_view> next_piece();

 private:
  tl::unexpected<Error> fail_corrupt(std::string_view how) const;
  Result<Json> next_line();
  Result<std::string> payload(uint64_t n_bytes);
  Result<void> end_of_payload();
  Result<FileRecord> next_object(const Json& line, uint64_t n_bytes);
  Result<FileRecord> next_event(const Json& line, uint64_t n_bytes);

  std::filesystem::path path_;
  std::ifstream in_;
  uint64_t bytes_left_ = 0;
  uint64_t blob_left_ = 0;  ///< of the content that comes next
  bool in_blob_ = false;
  std::string piece_;
  FileHeader header_;
};

}  // namespace sable::memory
