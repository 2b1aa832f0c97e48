// The tests build launchers that leave one layer out each, to see what the others hold. The real
// launcher leaves out none: this is a constant of the build, and nothing at run time changes it.
#pragma once

namespace sable::sandbox {

enum class LeftOut {
  none,
  landlock,
  seccomp,
  network_namespace,
  capability_drop,
  read_only_mounts,
  namespace_limits,
};

#ifndef SABLE_TEST_LEAVES_OUT
#define SABLE_TEST_LEAVES_OUT none
#endif
inline constexpr LeftOut kLeftOut = LeftOut::SABLE_TEST_LEAVES_OUT;

}  // namespace sable::sandbox
