// What a sweep took away, for people and for programs.
#pragma once

#include <string>

#include "memory/memory.h"

namespace sable::runtime {

Json to_json(const memory::Swept& swept);

/// A line; empty where there was nothing.
std::string text_of(const memory::Swept& swept);

}  // namespace sable::runtime
