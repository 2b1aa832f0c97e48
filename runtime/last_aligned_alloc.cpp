// What Asio allocates with aligned_alloc ends like what is allocated with operator new where there
// is no memory (base/last_words.h). The linker sends the program's calls here (--wrap).
#include <cstddef>
#include <new>

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* __real_aligned_alloc(size_t alignment, size_t n);
void* __wrap_aligned_alloc(size_t alignment, size_t n) {
  while (true) {
    if (void* memory = __real_aligned_alloc(alignment, n)) return memory;
    const auto handler = std::get_new_handler();
    if (handler == nullptr) return nullptr;
    handler();
  }
}
}
// NOLINTEND(bugprone-reserved-identifier)
