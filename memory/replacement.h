// Putting a repaired database in the damaged one's place so that a crash at any point loses
// neither.
#pragma once

#include "memory/home.h"

namespace sable::memory {

/// A repaired database under this name is whole and synced, and waits to take its place.
std::filesystem::path repaired_database(const Home& home);

/// A fresh folder HOME/damaged/N.
Result<std::filesystem::path> make_damaged_folder(const Home& home);

/// If a repaired database waits: moves the damaged files to HOME/damaged/N and puts it in place.
/// Returns that folder, or an empty path when nothing waited. The home is held alone.
Result<std::filesystem::path> finish_replacement(const Home& home);

}  // namespace sable::memory
