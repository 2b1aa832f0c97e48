#include "agent/openai/sse.h"

#include <fmt/format.h>

namespace sable::agent {

Result<void> SseParser::feed(std::string_view piece,
                             const std::function<Result<void>(std::string_view)>& on_data) {
  while (!piece.empty()) {
    // A line ends with LF, CR or CRLF; the LF of a CRLF may come in the next piece.
    if (after_cr_ && piece.front() == '\n') piece.remove_prefix(1);
    after_cr_ = false;
    const size_t end = piece.find_first_of("\r\n");
    line_.append(piece.substr(0, end));
    if (line_.size() + data_.size() > event_bytes_max_) {
      return fail(ErrorCode::corrupt,
                  fmt::format("an event of the stream is larger than {} bytes", event_bytes_max_));
    }
    if (end == std::string_view::npos) return {};
    after_cr_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    SABLE_TRY_VOID(take_line(line, on_data));
  }
  return {};
}

Result<void> SseParser::take_line(std::string_view line,
                                  const std::function<Result<void>(std::string_view)>& on_data) {
  if (line.empty()) {
    if (!std::exchange(has_data_, false)) return {};
    const std::string data = std::exchange(data_, {});
    return on_data(data);
  }
  if (!line.starts_with("data:")) return {};  // comments and fields that we do not use
  line.remove_prefix(5);
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (has_data_) data_.push_back('\n');
  data_.append(line);
  has_data_ = true;
  return {};
}

}  // namespace sable::agent
