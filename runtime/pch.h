// Precompiled: what base precompiles, and the command line's library.
#pragma once

#include <CLI/CLI.hpp>

#include "base/pch.h"
