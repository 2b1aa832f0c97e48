// Characters that are newer than the pattern library.
#pragma once

#include <string>
#include <string_view>

namespace sable::inference {

/// PCRE2 10.42 knows Unicode 14 and takes what came later (a pink heart, say) for unassigned, while
/// the tokenizers that models were made with know Unicode 16, so that ids would differ. Patterns
/// therefore see a stand-in in its place: a character of Unicode 14 with the same general category
/// (and script, for Han) and as many bytes, so that positions stay what they are.
///
/// Writes `text`, well-formed UTF-8, with stand-ins to `out`; false, and `out` as it was, when it
/// needs none.
bool write_stand_ins(std::string_view text, std::string& out);

}  // namespace sable::inference
