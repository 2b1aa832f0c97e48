// Server-sent events (WHATWG HTML, section 9.2), cut from a byte stream as it arrives.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::agent {

/// Splits a stream into the data of its events. Bytes may be cut anywhere.
class SseParser {
 public:
  explicit SseParser(size_t event_bytes_max = size_t{16} << 20)
      : event_bytes_max_(event_bytes_max) {}

  /// Feeds a piece; `on_data` gets each complete event's data, lines joined by newlines. An event
  /// over the limit is corrupt; an error of `on_data` is passed on.
  Result<void> feed(std::string_view piece,
                    const std::function<Result<void>(std::string_view data)>& on_data);

  /// Whether bytes of an unfinished event are held back.
  bool pending() const { return !line_.empty() || has_data_; }

 private:
  Result<void> take_line(std::string_view line,
                         const std::function<Result<void>(std::string_view data)>& on_data);

  size_t event_bytes_max_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

}  // namespace sable::agent
