// What a program's own error messages tell of things that its policy forbids.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// One sentence for each path or address in `output` that `policy` denied: what, by which rule,
/// held by which layer. Each once, at most kDenialsMax. A program can print what it likes, so these
/// are explanations, never facts that something is decided by. `working_directory`: where the
/// program ran; relative paths begin there.
std::vector<std::string> explain_denials(const Policy& policy,
                                         const std::filesystem::path& working_directory,
                                         std::string_view output);

inline constexpr size_t kDenialsMax = 5;

/// Adds what the proxy refused, by `result.network_decisions`, to its denials.
void add_refusals(RunResult& result);

}  // namespace sable::sandbox
