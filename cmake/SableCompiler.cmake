# How every target of ours is compiled: C++20, warnings as errors, sanitizers by preset.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

set(SABLE_SANITIZE "" CACHE STRING "Sanitizers for every target, e.g. address,undefined or thread")

add_library(sable_flags INTERFACE)
add_library(sable::flags ALIAS sable_flags)
target_include_directories(sable_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(sable_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror
  # Designated initialisers name what differs from the default; the rest is meant to be left out.
  -Wno-missing-field-initializers
  # Floating point exactly as written: results must not depend on what the optimiser fuses.
  -ffp-contract=off)

# For what waits most of its time, for models, processes and people: inlining less makes such code cheaper
# to build, and nobody can measure it in use.
set(SABLE_WAITING_OPTIONS -O1 -mllvm -inline-threshold=25)
set(SABLE_TEST_OPTIONS -O0)
if(SABLE_SANITIZE AND NOT SABLE_FUZZ)
  set(SABLE_WAITING_OPTIONS -O0)  # a third of the time to compile, and readable in a debugger
endif()

# sable_calculates(TARGET): what a test waits for; optimised a little even under sanitizers.
function(sable_calculates target)
  if(SABLE_SANITIZE)
    target_compile_options(${target} PRIVATE -O1)
    set_target_properties(${target} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

# Clang 16 builds the house in a bit more than half of GCC 12's time, and its coroutines are sound: GCC 12
# copies unnamed temporaries of a co_await expression bit by bit and destroys them twice.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "Sable is built with clang++-16: use a preset, e.g. cmake --preset release")
endif()
find_program(SABLE_LLD NAMES ld.lld-16 ld.lld)
if(SABLE_LLD)
  add_link_options(-fuse-ld=${SABLE_LLD})
endif()

if(SABLE_SANITIZE)
  add_compile_options(-fsanitize=${SABLE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SABLE_SANITIZE})
  if(SABLE_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(SABLE_SANITIZE MATCHES "thread")
    # ThreadSanitizer does not model fences; Asio then uses plain atomics.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

option(SABLE_FUZZ "Build the fuzzers in tests/fuzz (needs clang); all code is instrumented for them" OFF)
if(SABLE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "SABLE_FUZZ needs clang++: use the preset fuzz")
  endif()
  # The function sanitizer of clang 14 emits what the assembler refuses for coroutines.
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize=function)
endif()
