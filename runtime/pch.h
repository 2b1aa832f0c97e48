// Precompiled: what base precompiles, and the command line's library.
#pragma once

#include "base/pch.h"

#include <CLI/CLI.hpp>
