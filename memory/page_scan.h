// Finds the rows of events and sessions in the bytes of a database file, whatever has become of its
// trees. Format: https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::memory {

struct ScannedEvent {
  int64_t time_ms = 0;
  int64_t version = 0;
  std::string type, data;
  Digest hash{};
};

/// Where something that looks like an event row begins. Only the hash chain tells whether it is
/// one.
struct EventPlace {
  int64_t key;
  uint32_t page;    ///< from 1
  uint16_t offset;  ///< of the cell
};

class PageScan {
 public:
  /// Reads every page once. Errors: io.
  static Result<PageScan> of(const std::filesystem::path& database);

  const std::map<int64_t, std::string>& session_ids() const { return session_ids_; }  ///< by number
  const std::vector<EventPlace>& events() const { return events_; }  ///< sorted by key

  /// The row at a place, overflow pages followed; empty when it is not whole. Errors: io.
  Result<std::optional<ScannedEvent>> read(const EventPlace& place) const;

 private:
  UniqueFd file_;
  std::map<int64_t, std::string> session_ids_;
  std::vector<EventPlace> events_;
};

}  // namespace sable::memory
