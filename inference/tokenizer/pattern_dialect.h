// Expressions as tokenizer files write them, turned into what PCRE2 reads.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::inference {

/// Tokenizer files write their expressions for Oniguruma with its Ruby syntax (kkos/oniguruma,
/// doc/RE), which is what huggingface/tokenizers runs. PCRE2 reads the same text differently in
/// places: `\s` would include U+180E, `\h` and `\v` are other classes, `\w` lacks marks, `\p{Han}`
/// would mean script extensions, `(?m)` another flag. The result matches what the file's author
/// meant.
///
/// What has no counterpart (nested or intersected classes, callouts, absent operators,
/// subexpression calls, ...) is refused with `unsupported`, which names the construct and its byte.
Result<std::string> pcre2_from_oniguruma(std::string_view expression);

}  // namespace sable::inference
