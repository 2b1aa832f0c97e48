// A model with random weights that babbles, and that comes across calls often enough to test them.
#pragma once

#include <filesystem>

namespace sable::test {

/// Writes a copy of a miniature checkpoint into the new folder `output`, with a tokenizer whose
/// last placeholders are whole tags of calls, each one token, and room for long prompts. Returns
/// `output`.
std::filesystem::path babbling_checkpoint(const std::filesystem::path& output);

/// One of them for all tests of a program.
const std::filesystem::path& babbling_model();

}  // namespace sable::test
