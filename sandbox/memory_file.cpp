#include "sandbox/memory_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/file.h"

namespace sable::sandbox {

Result<UniqueFd> memory_file() {
  UniqueFd file(::memfd_create("sable", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return fail_errno("memfd_create", errno);
  return file;
}

Result<UniqueFd> memory_file_of(std::span<const uint8_t> bytes) {
  SABLE_TRY(UniqueFd file, memory_file());
  SABLE_TRY_VOID(
      write_all(file.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  seal(file);
  return file;
}

void seal(const UniqueFd& file) {
  ::lseek(file.get(), 0, SEEK_SET);
  ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

}  // namespace sable::sandbox
