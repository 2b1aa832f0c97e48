// Precompiled for every test program: the libraries that tests see, and what the parts precompile.
#pragma once

#include <catch2/catch.hpp>

#include "base/pch.h"
