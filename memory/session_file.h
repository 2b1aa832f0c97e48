// A session in one file, to carry elsewhere: the format is in docs/durability.md.
#pragma once

#include <filesystem>
#include <fstream>
#include <variant>

#include "memory/log_database.h"

namespace sable::memory {

/// Writes the file beside `file`, syncs it and renames it into place. Blobs come before events, so
/// that an importer has them first.
Result<void> write_session_file(LogDatabase& database, const SessionRow& session,
                                const std::filesystem::path& blobs,
                                const std::filesystem::path& file);

struct FileHeader {
  std::string id;
  Seq n_events = 0;
  Digest head{};
};

struct FileBlob {
  std::string digest, bytes;
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

/// Reads such a file record by record; memory is bounded by the largest record.
class SessionFileReader {
 public:
  /// Errors: not_found, unsupported (newer format), corrupt.
  static Result<SessionFileReader> open(const std::filesystem::path& file);

  const FileHeader& header() const { return header_; }
  /// FileEnd once, at the end. Errors: corrupt, also when the file was cut short.
  Result<std::variant<FileBlob, FileEvent, FileEnd>> next();

 private:
  tl::unexpected<Error> fail_corrupt(std::string_view how) const;
  Result<Json> next_line();
  Result<std::string> payload(uint64_t n_bytes);

  std::filesystem::path path_;
  std::ifstream in_;
  uint64_t bytes_left_ = 0;
  FileHeader header_;
};

}  // namespace sable::memory
