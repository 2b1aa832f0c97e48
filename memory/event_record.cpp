#include "memory/event_record.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::memory {

namespace {

constexpr size_t kTypeBytesMax = 64;

void update_integer(Sha256& hash, uint64_t value) {
  std::array<uint8_t, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  hash.update(std::span<const uint8_t>(bytes));
}

bool is_dotted_words(std::string_view type) {
  if (type.empty() || type.size() > kTypeBytesMax) return false;
  bool in_word = false;
  size_t n_dots = 0;
  for (const char c : type) {
    if (c == '.') {
      if (!in_word) return false;
      in_word = false;
      ++n_dots;
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') {
      in_word = true;
    } else {
      return false;
    }
  }
  return in_word && n_dots > 0;
}

/// Walks the document no deeper than stored events may be. `exact` becomes false when the text
/// would not read back as the same document.
bool within_depth(const Json& value, size_t depth_left, bool& exact) {
  if (value.is_structured()) {
    if (depth_left == 0) return false;
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (value.is_object() && !is_utf8(it.key())) exact = false;
      if (!within_depth(it.value(), depth_left - 1, exact)) return false;
    }
  } else if (value.is_string()) {
    exact = exact && is_utf8(value.get_ref<const std::string&>());
  } else if (value.is_number_float()) {
    exact = exact && std::isfinite(value.get<double>());
  } else if (value.is_binary()) {
    exact = false;
  }
  return !value.is_discarded();
}

}  // namespace

Json to_json(const Event& event) {
  return Json{{"session", event.session},       {"seq", event.seq},
              {"time", to_rfc3339(event.time)}, {"type", event.type},
              {"version", event.version},       {"data", event.data}};
}

Result<void> check_understood(const Event& event) {
  if (event.version <= kEventVersion) return {};
  return fail(ErrorCode::unsupported,
              fmt::format("session {}: event {} ({}) has version {}, this program understands {}; "
                          "go on with a newer Sable",
                          event.session, event.seq, event.type, event.version, kEventVersion));
}

Digest chain_hash(const Digest& previous, Seq seq, std::string_view type, int version,
                  WallTime time, std::string_view data) {
  Sha256 hash;
  hash.update(std::span<const uint8_t>(previous));
  update_integer(hash, seq);
  update_integer(hash, type.size());
  hash.update(type);
  update_integer(hash, static_cast<uint64_t>(version));
  update_integer(hash, static_cast<uint64_t>(time.time_since_epoch().count()));
  hash.update(data);
  return hash.finish();
}

std::optional<Digest> digest_from_hex(std::string_view hex) {
  const auto nibble = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  Digest digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (size_t i = 0; i < digest.size(); ++i) {
    const int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return digest;
}

Digest session_seal(int64_t number, std::string_view id) {
  Sha256 hash;
  update_integer(hash, static_cast<uint64_t>(number));
  hash.update(id);
  return hash.finish();
}

Result<std::string> render_data(NewEvent& event) {
  if (!is_dotted_words(event.type)) {
    return fail(ErrorCode::invalid_input,
                fmt::format("event type \"{}\" is not dotted words such as \"turn.started\"",
                            escape_controls(event.type.substr(0, kTypeBytesMax))));
  }
  if (event.version < 1) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: version must be at least 1", event.type));
  }
  bool exact = true;
  if (!within_depth(event.data, JsonLimits{}.depth_max, exact)) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: data is nested deeper than {} levels",
                                                      event.type, JsonLimits{}.depth_max));
  }
  std::string text = dump_json(event.data);
  if (text.size() > kEventBytesMax) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: data of {} bytes is larger than {}; store it as a blob",
                            event.type, text.size(), kEventBytesMax));
  }
  if (!exact) {
    SABLE_TRY(event.data, parse_json(text));
    text = dump_json(event.data);
  }
  return text;
}

tl::unexpected<Error> fail_damaged(const std::string& session, Seq seq, std::string_view how) {
  return fail(
      ErrorCode::corrupt,
      fmt::format("session {}: event {} {}; run `sable doctor --repair`", session, seq, how));
}

Result<Event> checked_event(const std::string& session, const StoredEvent& row, Seq expected,
                            Digest& previous) {
  if (row.seq != expected) return fail_damaged(session, expected, "is missing");
  Event event{session,
              row.seq,
              WallTime(std::chrono::milliseconds(row.time_ms)),
              std::string(row.type),
              static_cast<int>(row.version),
              {}};
  const Digest hash = chain_hash(previous, row.seq, row.type, event.version, event.time, row.data);
  if (!std::equal(hash.begin(), hash.end(), row.hash.begin(), row.hash.end())) {
    return fail_damaged(session, row.seq, "is damaged (its hash does not match)");
  }
  auto data = parse_json(row.data);
  if (!data) return fail_damaged(session, row.seq, "holds " + data.error().message);
  event.data = std::move(*data);
  previous = hash;
  return event;
}

std::vector<std::string> blob_digests_in(std::string_view data) {
  constexpr size_t kHexBytes = 64;
  std::vector<std::string> digests;
  for (size_t at = data.find(kBlobPrefix); at != std::string_view::npos;
       at = data.find(kBlobPrefix, at + 1)) {
    const auto hex = data.substr(at + kBlobPrefix.size(), kHexBytes);
    const bool is_hex = std::all_of(hex.begin(), hex.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    });
    if (hex.size() == kHexBytes && is_hex) digests.emplace_back(hex);
  }
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  return digests;
}

}  // namespace sable::memory
