#include "base/last_words.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>
#include <unistd.h>

namespace sable {

namespace {

constexpr int kSoftwareError = 70;  // sysexits.h

constexpr std::string_view kOutOfMemory =
    "sable: out of memory; everything that was acknowledged is kept, start again to go on\n";

thread_local bool memory_is_needed = false;

// Nothing here may need memory.
[[noreturn]] void end_out_of_memory() {
  (void)!::write(STDERR_FILENO, kOutOfMemory.data(), kOutOfMemory.size());
  ::_exit(kSoftwareError);
}

[[noreturn]] void on_no_memory() {
  if (memory_is_needed) end_out_of_memory();
  throw std::bad_alloc();
}

[[noreturn]] void on_uncaught() {
  try {
    if (const auto failure = std::current_exception()) std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    end_out_of_memory();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sable: internal error: %s\n", error.what());
  } catch (...) {
    std::fputs("sable: internal error\n", stderr);
  }
  std::abort();
}

}  // namespace

void end_with_last_words() {
  std::set_terminate(on_uncaught);
  std::set_new_handler(on_no_memory);
}

void need_memory_on_this_thread() { memory_is_needed = true; }

}  // namespace sable
