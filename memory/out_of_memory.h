// Memory that runs out in work whose result is a Result.
#pragma once

#include <new>

#include "base/result.h"

namespace sable::memory {

/// Short enough to need no memory itself (a std::string of 15 bytes lies in place).
inline tl::unexpected<Error> fail_out_of_memory() {
  return fail(ErrorCode::exhausted, "out of memory");
}

/// What `work` returns; exhausted where it found no memory.
template <class Work>
auto unless_out_of_memory(Work&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail_out_of_memory();
  }
}

}  // namespace sable::memory
