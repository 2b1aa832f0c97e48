// What the right end of a task is, as facts and not as sentences.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "evaluation/files.h"

namespace sable::evaluation {

/// A line of a file, as an answer names it.
struct StatedPlace {
  std::string path;
  size_t line = 0;
  auto operator<=>(const StatedPlace&) const = default;
};

struct StatedName {
  std::string name;
  size_t line = 0;  ///< of its definition
};

struct Truth {
  enum class Answer {
    free,       ///< anything: the files say whether the task is done
    places,     ///< all of `places`; of other lines only those of `also`, behind the first
    absent,     ///< that there is nothing of the kind
    already,    ///< that nothing had to be changed
    number,     ///< `number`, and no other
    names,      ///< all of `names` and no others; a line that is named is the right one
    exit_code,  ///< `number`, as the exit code of a command
    refusal,    ///< that it cannot be done
  };
  Answer answer = Answer::free;
  std::vector<StatedPlace> places, also;
  std::vector<StatedName> names;
  int64_t number = 0;

  /// The file in which a mistake is to be corrected. It may be corrected in other words than
  /// `files` has, if `check`, a shell script, then passes in the repository.
  std::string mended, check;

  Files files;                      ///< what the repository holds in the end
  std::set<std::string> left_over;  ///< files that running a command leaves there; may be missing
};

}  // namespace sable::evaluation
