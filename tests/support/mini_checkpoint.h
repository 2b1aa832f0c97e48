// The miniature DeepSeek-V4 checkpoints of tests/golden/oracle, written when a test asks for them.
#pragma once

#include <filesystem>
#include <string>

namespace sable::test {

/// Runs tests/golden/oracle/make_mini.py with `arguments` (what the oracle's JSON files call
/// make_mini_args, e.g. "--dtype official --gain --shards 3") and returns the folder that it wrote.
/// Kept in the build folder, so that only the first test to ask pays for it; processes may ask at
/// the same time. Throws std::runtime_error when there is no Python with numpy or the script fails.
std::filesystem::path mini_checkpoint(const std::string& arguments = "");

/// tests/golden/oracle.
std::filesystem::path oracle_folder();

}  // namespace sable::test
