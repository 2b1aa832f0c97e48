// Values rounded to what the shipped checkpoint can hold.
#pragma once

#include <cstddef>

#include "training/parameters.h"

namespace sable::training {

/// out = values, each tensor through its stored format (Parameter::stored) and back: exactly the
/// numbers that the converter writes. Whole parameters [first, last) of the list. out may be
/// values.
void round_to_shipped(const Parameters& parameters, size_t first, size_t last, const float* values,
                      float* out);

}  // namespace sable::training
