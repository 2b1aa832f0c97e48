// The program: its command line over everything below it.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sable::runtime {

inline constexpr const char* kVersion = "0.1.0";

/// What the process was started with, read once in main() and passed down; nothing else reads the
/// environment.
struct Invocation {
  std::vector<std::string> arguments;            ///< without the program's name
  std::map<std::string, std::string> variables;  ///< the environment
  std::string executable;                        ///< absolute path; its folder holds sable-launcher
};

/// Runs `sable ARGUMENTS…` and returns the exit status: 0 done; 1 failed; 2 wrong usage; 70 our own
/// bug; 128 + N stopped by signal N.
int run_program(const Invocation& invocation);

}  // namespace sable::runtime
