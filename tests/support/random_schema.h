// Random JSON Schemas of the keywords that the grammar of calls carries.
#pragma once

#include <random>

#include "base/json.h"

namespace sable::test {

/// A schema of an object of arguments, nested at most `depth` deep; some refer to themselves.
Json random_parameters(std::mt19937& random, int depth = 3);

}  // namespace sable::test
