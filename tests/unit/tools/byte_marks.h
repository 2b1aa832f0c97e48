// Bytes that a text file of test cases writes as marks.
#pragma once

#include <string>

namespace sable {

/// "<CR>", "<TAB>", "<BOM>", "<NUL>" and "<xE4>" as the bytes that they stand for.
std::string bytes_of_marks(std::string line);

}  // namespace sable
