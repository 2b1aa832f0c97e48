#include <fcntl.h>
#include <filesystem>
#include <system_error>
#include <unistd.h>

#include "base/last_words.h"
#include "runtime/runtime.h"

namespace {

// Whoever started us may have closed one of the standard streams. Nothing that we open may take its
// number: it would be read or written as one.
void fill_standard_streams() {
  int fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::dup(fd);
  if (fd > STDERR_FILENO) ::close(fd);
}

}  // namespace

int main(int argc, char** argv, char** environment) {
  fill_standard_streams();
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
