// Foreign text made safe to show and to store: UTF-8 checks, escapes, cuts at code points.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sable {

/// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7).
bool is_utf8(std::string_view bytes);

/// Replaces every maximal ill-formed part by U+FFFD (Unicode 15, section 3.9).
std::string to_utf8(std::string_view bytes);

/// The length of the longest prefix of at most `bytes_max` bytes that does not cut a code point.
size_t utf8_prefix(std::string_view text, size_t bytes_max);

/// Whether two texts are the same but for the case of ASCII letters.
bool equal_ignoring_case(std::string_view a, std::string_view b);
/// Where `words` first stands in `text`, ASCII letters in either case; npos: nowhere.
size_t find_ignoring_case(std::string_view text, std::string_view words);

/// Makes text inert on a terminal: control characters except newline and tab (C0, DEL, C1, and the
/// bidirectional overrides) appear as visible escapes; ill-formed UTF-8 as U+FFFD.
std::string escape_controls(std::string_view text);

/// Edit distance with transpositions (Damerau, adjacent), for "did you mean".
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, or empty when none is near enough to be worth naming.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace sable
