// Where the repositories of tasks come from: made up (made_repository.h), or real code
// (real_code.h).
#pragma once

#include <optional>

#include "evaluation/made_repository.h"

namespace sable::evaluation {

class RepositorySource {
 public:
  virtual ~RepositorySource() = default;
  /// One repository, as close to the wish as the source can; none where it has nothing of the kind.
  /// Names are for what is new in it.
  virtual std::optional<MadeRepository> repository(const RepositoryWish& wish, Names& names,
                                                   Random& random) const = 0;
};

/// Every repository is made up.
class MadeUpCode final : public RepositorySource {
 public:
  std::optional<MadeRepository> repository(const RepositoryWish& wish, Names& names,
                                           Random& random) const override {
    return make_repository(wish, names, random);
  }
};

}  // namespace sable::evaluation
