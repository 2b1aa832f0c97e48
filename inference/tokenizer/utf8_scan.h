// Single code points of a byte string, well-formed or not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sable::inference {

/// Bytes of the well-formed UTF-8 sequence (Unicode 15, table 3-7) at the start of `bytes`; 0 when
/// there is none.
size_t utf8_length(std::string_view bytes);

/// Whether the bytes, which hold no whole sequence, could become one if more bytes followed.
bool utf8_could_continue(std::string_view bytes);

/// The code point of one well-formed sequence, exactly as long as utf8_length says.
char32_t utf8_code_point(std::string_view sequence);

/// The last well-formed sequence if the text ends with one, else empty.
std::string_view utf8_last(std::string_view text);

/// Length of the longest well-formed prefix.
size_t utf8_valid_prefix(std::string_view bytes);

/// The Unicode property White_Space (PropList.txt; unchanged since Unicode 6.3).
bool is_white_space(char32_t c);

}  // namespace sable::inference
