#include "memory/page_scan.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <span>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>

#include "memory/event_record.h"
#include "memory/session_id.h"

namespace sable::memory {

namespace {

constexpr size_t kPageBytes = 4096;  // of every database that we make
constexpr size_t kPayloadMax = kEventBytesMax + 4096;

// Serial types of record fields.
constexpr uint64_t kNull = 0;
constexpr uint64_t kHashBlob = 2 * 32 + 12;
constexpr bool is_integer(uint64_t type) { return type >= 1 && type <= 9 && type != 7; }
constexpr bool is_text(uint64_t type) { return type >= 13 && type % 2 == 1; }

using Page = std::array<uint8_t, kPageBytes>;
using Bytes = std::span<const uint8_t>;

/// False for none, and behind the last one. Errors: io; a page that cannot be read now may hold
/// what would be given up with it.
Result<bool> read_page(int fd, uint32_t number, Page& page) {
  if (number == 0) return false;
  const auto offset = static_cast<off_t>(number - 1) * static_cast<off_t>(kPageBytes);
  while (true) {
    const ssize_t n = ::pread(fd, page.data(), page.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(fmt::format("page {} of the database", number), errno);
    return n == static_cast<ssize_t>(page.size());
  }
}

/// Takes a variable-length integer from the front; empty when there is none.
std::optional<uint64_t> take_varint(Bytes& bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 9 && i < bytes.size(); ++i) {
    const uint8_t byte = bytes[i];
    if (i == 8) {
      bytes = bytes.subspan(9);
      return value << 8 | byte;
    }
    value = value << 7 | (byte & 0x7fu);
    if ((byte & 0x80u) == 0) {
      bytes = bytes.subspan(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

uint64_t field_bytes(uint64_t type) {
  constexpr std::array<uint64_t, 10> kFixed = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
  if (type < kFixed.size()) return kFixed[type];
  return type < 12 ? 0 : (type - 12) / 2;
}

int64_t integer_of(uint64_t type, Bytes bytes) {
  if (type == 8 || type == 9) return type == 9 ? 1 : 0;
  uint64_t value = !bytes.empty() && (bytes[0] & 0x80u) != 0 ? ~uint64_t{0} : 0;
  for (const uint8_t byte : bytes) value = value << 8 | byte;
  return static_cast<int64_t>(value);
}

/// A cell of a table's leaf page, and how much of its payload lies in the page itself.
struct Cell {
  uint64_t payload_bytes;
  int64_t key;
  Bytes local;
  uint32_t overflow_page;  // 0: none
};

std::optional<Cell> cell_at(const Page& page, size_t offset) {
  if (offset >= kPageBytes) return std::nullopt;
  Bytes bytes = Bytes(page).subspan(offset);
  const auto payload = take_varint(bytes);
  const auto key = payload ? take_varint(bytes) : std::nullopt;
  if (!key || *payload > kPayloadMax) return std::nullopt;
  size_t local = static_cast<size_t>(*payload);
  constexpr size_t kLocalMax = kPageBytes - 35;
  const bool overflows = local > kLocalMax;
  if (overflows) {
    constexpr size_t kLocalMin = (kPageBytes - 12) * 32 / 255 - 23;
    const size_t fitted = kLocalMin + (local - kLocalMin) % (kPageBytes - 4);
    local = fitted <= kLocalMax ? fitted : kLocalMin;
  }
  if (bytes.size() < local + (overflows ? 4 : 0)) return std::nullopt;
  uint32_t next = 0;
  if (overflows) {
    for (size_t i = 0; i < 4; ++i) next = next << 8 | bytes[local + i];
  }
  return Cell{*payload, static_cast<int64_t>(*key), bytes.first(local), next};
}

/// A record's serial types and where its fields begin; empty when the header is not whole.
struct RecordHeader {
  std::vector<uint64_t> types;
  size_t body = 0;
};

std::optional<RecordHeader> header_of(const Cell& cell) {
  Bytes bytes = cell.local;
  const auto header_bytes = take_varint(bytes);
  if (!header_bytes || *header_bytes > cell.local.size() || *header_bytes > 100) {
    return std::nullopt;
  }
  RecordHeader header{{}, static_cast<size_t>(*header_bytes)};
  const size_t taken = cell.local.size() - bytes.size();
  if (taken > header.body) return std::nullopt;
  bytes = cell.local.subspan(taken, header.body - taken);
  uint64_t total = header.body;
  while (!bytes.empty()) {
    const auto type = take_varint(bytes);
    if (!type || *type == 10 || *type == 11) return std::nullopt;
    header.types.push_back(*type);
    total += field_bytes(*type);
  }
  return total == cell.payload_bytes ? std::optional(header) : std::nullopt;
}

bool is_event(const RecordHeader& header) {
  const auto& types = header.types;
  return types.size() == 6 && types[0] == kNull && is_integer(types[1]) && is_text(types[2]) &&
         is_integer(types[3]) && is_text(types[4]) && types[5] == kHashBlob;
}

bool is_session(const RecordHeader& header) {
  const auto& types = header.types;
  return types.size() == 5 && types[0] == kNull && is_text(types[1]) && is_integer(types[2]) &&
         is_integer(types[3]) && types[4] == kHashBlob;
}

/// Splits a record's body into its fields.
class Fields {
 public:
  Fields(const RecordHeader& header, Bytes payload)
      : types_(header.types), rest_(payload.subspan(header.body)) {}
  int64_t integer() {
    const uint64_t type = types_[index_];
    return integer_of(type, next());
  }
  std::string text() {
    const Bytes bytes = next();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  Bytes next() {
    const auto bytes = rest_.first(static_cast<size_t>(field_bytes(types_[index_++])));
    rest_ = rest_.subspan(bytes.size());
    return bytes;
  }

 private:
  const std::vector<uint64_t>& types_;
  Bytes rest_;
  size_t index_ = 0;
};

std::optional<std::string> session_id_of(const Cell& cell, const RecordHeader& header) {
  if (cell.overflow_page != 0) return std::nullopt;
  Fields fields(header, cell.local);
  fields.next();
  auto id = fields.text();
  fields.next();
  fields.next();
  const Bytes seal = fields.next();
  const Digest expected = session_seal(cell.key, id);
  if (!std::equal(seal.begin(), seal.end(), expected.begin(), expected.end())) return std::nullopt;
  return may_be_session_id(id) ? std::optional(id) : std::nullopt;
}

}  // namespace

Result<PageScan> PageScan::of(const std::filesystem::path& database) {
  PageScan scan;
  scan.file_ = UniqueFd(::open(database.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!scan.file_) return fail_errno(database.string(), errno);
  Page page;
  for (uint32_t number = 1;; ++number) {
    SABLE_TRY(const bool there, read_page(scan.file_.get(), number, page));
    if (!there) break;
    // The page's type byte is not asked: it may be the damaged one, and the chain decides anyway.
    const size_t n_cells =
        std::min<size_t>(static_cast<size_t>(page[3] << 8 | page[4]), (kPageBytes - 8) / 2);
    for (size_t i = 0; i < n_cells; ++i) {
      const auto offset = static_cast<uint16_t>(page[8 + 2 * i] << 8 | page[9 + 2 * i]);
      const auto cell = cell_at(page, offset);
      const auto header = cell ? header_of(*cell) : std::nullopt;
      if (!header) continue;
      if (is_event(*header)) {
        scan.events_.push_back({cell->key, number, offset});
      } else if (is_session(*header)) {
        if (auto id = session_id_of(*cell, *header)) scan.session_ids_[cell->key] = std::move(*id);
      }
    }
  }
  std::stable_sort(scan.events_.begin(), scan.events_.end(),
                   [](const EventPlace& a, const EventPlace& b) { return a.key < b.key; });
  return scan;
}

Result<std::optional<ScannedEvent>> PageScan::read(const EventPlace& place) const {
  constexpr std::nullopt_t kNotWhole = std::nullopt;
  Page page;
  SABLE_TRY(const bool there, read_page(file_.get(), place.page, page));
  if (!there) return kNotWhole;
  const auto cell = cell_at(page, place.offset);
  const auto header = cell ? header_of(*cell) : std::nullopt;
  if (!header || !is_event(*header)) return kNotWhole;
  std::vector<uint8_t> payload(cell->local.begin(), cell->local.end());
  const auto payload_bytes = static_cast<size_t>(cell->payload_bytes);
  payload.reserve(payload_bytes);
  Page overflow;
  for (uint32_t next = cell->overflow_page; payload.size() < payload_bytes;) {
    SABLE_TRY(const bool more, read_page(file_.get(), next, overflow));
    if (!more) return kNotWhole;
    next = 0;
    for (size_t i = 0; i < 4; ++i) next = next << 8 | overflow[i];
    const size_t n = std::min(payload_bytes - payload.size(), kPageBytes - 4);
    payload.insert(payload.end(), overflow.begin() + 4,
                   overflow.begin() + 4 + static_cast<ptrdiff_t>(n));
  }
  Fields fields(*header, payload);
  fields.next();
  ScannedEvent event;
  event.time_ms = fields.integer();
  event.type = fields.text();
  event.version = fields.integer();
  event.data = fields.text();
  const Bytes hash = fields.next();
  std::copy(hash.begin(), hash.end(), event.hash.begin());
  return std::optional(std::move(event));
}

}  // namespace sable::memory
