// What an answer in plain English says: the facts in it, whatever the sentences around them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "evaluation/truth.h"

namespace sable::evaluation {

/// The lines of known files that the answer names, in order, each as often as it is named:
/// "a.py:3", "a.py, line 3", "line 3 of `a.py`", or a list of lines below a file's name.
std::vector<StatedPlace> places_in(std::string_view answer, const std::vector<std::string>& paths);

/// Where the first place begins; npos when there is none.
size_t first_place(std::string_view answer, const std::vector<std::string>& paths);

/// The numbers outside of `code` and places; words from "zero" to "twelve" where it has no digits.
std::vector<int64_t> numbers_in(std::string_view answer, const std::vector<std::string>& paths);

/// "exit code 3", "exited with status 3"; else 0 where it says that it succeeded and not that it
/// failed. What stands in `code` does not count.
std::optional<int64_t> exit_code_in(std::string_view answer);

/// Where it says that there is nothing of the kind; npos when it does not.
size_t denial(std::string_view answer);
/// That nothing had to be changed.
bool says_already(std::string_view answer);
/// That it cannot or will not do what was asked for.
bool refuses(std::string_view answer);

/// What a list in the answer names: the first name of each line that begins with a dash, a star or
/// a number, and the line number behind it (0 if there is none).
std::vector<StatedName> listed_names(std::string_view answer);

/// Whether `name` stands in the text as a whole word.
bool mentions(std::string_view text, std::string_view name);

}  // namespace sable::evaluation
