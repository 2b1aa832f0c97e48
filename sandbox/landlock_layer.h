// What Landlock of one ABI enforces, in words.
#pragma once

#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// `error`: the errno of trying it, 0 when it works. ABI 0: the kernel has none.
Layer landlock_layer(int abi, int error);

}  // namespace sable::sandbox
