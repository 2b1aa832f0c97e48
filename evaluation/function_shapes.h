// Small functions with a meaning: what made-up code computes, how it is tested, and how it can be
// wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace sable::evaluation {

enum class Language { python, c, cpp };

/// One mistake: in the line that holds `right`, that text is `wrong`.
struct Mistake {
  std::string right, wrong;
};

/// $a, $b and $c are the parameters, $K a constant. Lines are for Python and for C with C++.
struct FunctionShape {
  size_t n_parameters;
  const char* doc;
  std::vector<std::string> python, c;
  std::vector<Mistake> mistakes_python, mistakes_c;
  int64_t (*value)(int64_t a, int64_t b, int64_t c);
  /// Arguments that every mistake shows on.
  std::vector<int64_t> (*arguments)(Random& random);
};

const std::vector<FunctionShape>& function_shapes();

}  // namespace sable::evaluation
