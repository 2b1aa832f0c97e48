#include <filesystem>
#include <system_error>

#include "base/last_words.h"
#include "runtime/runtime.h"

int main(int argc, char** argv, char** environment) {
  sable::end_with_last_words();
  sable::runtime::Invocation invocation;
  invocation.arguments.assign(argv + std::min(argc, 1), argv + argc);
  for (char** entry = environment; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string::npos) {
      invocation.variables[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  std::error_code ignored;
  invocation.executable = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  return sable::runtime::run_program(invocation);
}
