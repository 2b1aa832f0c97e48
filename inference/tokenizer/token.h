// The number a model knows a token by.
#pragma once

#include <cstdint>

namespace sable::inference {

/// Index into the vocabulary; never negative in a valid token.
using TokenId = int32_t;

}  // namespace sable::inference
