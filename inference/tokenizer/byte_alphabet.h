// How tokenizer files write bytes: every byte as one printable character.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sable::inference {

/// The byte-to-character table of GPT-2 (openai/gpt-2, src/encoder.py, bytes_to_unicode): the
/// printable bytes of Latin-1 stand for themselves, the 68 others for U+0100 and up, in order. A
/// space becomes U+0120, for instance.
std::string to_byte_alphabet(std::string_view bytes);

/// The bytes again; nothing when the text has a character outside the alphabet or is not UTF-8.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace sable::inference
