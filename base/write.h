// Bytes to a descriptor, to the last one.
#pragma once

#include <string_view>

namespace sable {

/// write(2) until everything is written, EINTR included; waits where a non-blocking descriptor
/// takes no more. 0, or the errno of the write that failed: for callers to whom the cause matters.
/// Others take write_all (base/file.h).
int write_all_or_errno(int fd, std::string_view bytes);

}  // namespace sable
