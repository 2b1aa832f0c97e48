# sable_test(NAME SOURCES... LIBRARIES... [HAS_SLOW [LONG]] [TIMEOUT seconds]): one Catch2 program, one ctest
# entry. Cases tagged [slow] run only under the entry NAME.slow (label slow), hidden ones ([.]) not at all. LONG
# says that the slow ones take more than a few minutes (label long): they are in no slice of --slow.
# SLOW_TAGS tag... splits them: an entry NAME.slow.TAG for each, which run side by side.
# The tests' own code is not optimised (SABLE_TEST_OPTIONS): it is compiled often and runs once. The parts
# they test are. MANY_CASES says that it is a loop over thousands, and worth it.

macro(sable_slow_entry entry tags)
  add_test(NAME ${entry} COMMAND ${name} "${tags}" --warn NoTests)
  set_tests_properties(${entry} PROPERTIES LABELS "${labels}" TIMEOUT 3600 ENVIRONMENT "${ARG_ENVIRONMENT}")
endmacro()

function(sable_test name)
  cmake_parse_arguments(ARG "HAS_SLOW;LONG;MANY_CASES" "TIMEOUT" "SOURCES;LIBRARIES;ENVIRONMENT;SLOW_TAGS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(SABLE_SANITIZE)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE sable_test_main ${ARG_LIBRARIES})
  if(ARG_MANY_CASES AND NOT SABLE_SANITIZE)
    target_compile_options(${name} PRIVATE -O2)
  else()
    target_compile_options(${name} PRIVATE ${SABLE_TEST_OPTIONS})
    target_precompile_headers(${name} REUSE_FROM sable_test_main)
  endif()
  add_test(NAME ${name} COMMAND ${name} "~[slow]~[.]" --warn NoTests)
  set_tests_properties(${name} PROPERTIES LABELS fast TIMEOUT ${ARG_TIMEOUT}
                       ENVIRONMENT "${ARG_ENVIRONMENT}")
  if(ARG_HAS_SLOW)
    set(labels slow)
    if(ARG_LONG)
      list(APPEND labels long)
    endif()
    if(NOT ARG_SLOW_TAGS)
      sable_slow_entry(${name}.slow "[slow]")
    endif()
    foreach(tag IN LISTS ARG_SLOW_TAGS)
      sable_slow_entry(${name}.slow.${tag} "[slow][${tag}]")
      set_tests_properties(${name}.slow.${tag} PROPERTIES COST 1000)  # the longest begin first
    endforeach()
  endif()
endfunction()
