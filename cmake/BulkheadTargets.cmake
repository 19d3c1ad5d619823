# The few functions that every module's CMakeLists uses, so that warnings, sanitizers and output
# folders are stated once.

find_program(BULKHEAD_CCACHE ccache)
if(BULKHEAD_CCACHE)  # the sloppiness is what its manual asks for with precompiled headers
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${BULKHEAD_CCACHE})
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# A translation unit costs a while before its first line of ours, and what two of them instantiate is compiled
# twice: sources of a target are compiled eight at a time. What is local to a file is therefore named so that
# its module has that name once; a target that cannot bear that says APART.
set(CMAKE_UNITY_BUILD ${BULKHEAD_UNITY})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)

# Usage requirements of everything that we compile ourselves; never exported.
add_library(bulkhead_build_flags INTERFACE)
target_compile_features(bulkhead_build_flags INTERFACE cxx_std_20)
target_compile_options(bulkhead_build_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wold-style-cast -Werror
  # No collection of the compiler's garbage below 1 GiB.
  $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-expand=100 --param=ggc-min-heapsize=1048576>
  # g++ 12 reports false uses in std::variant and false bounds in std::string; clang calls an enumerator a
  # shadow of a namespace's name.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overread
    -Wno-stringop-overflow -Wno-restrict -Wshadow>)
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_build_flags INTERFACE
    -fsanitize=${BULKHEAD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(bulkhead_build_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
  # What a sanitizer cannot see: an index beyond the size of a container, within its capacity.
  target_compile_definitions(bulkhead_build_flags INTERFACE _GLIBCXX_ASSERTIONS)
  # It does not model fences and says so at each one, Asio's included; ours order atomics only.
  target_compile_options(bulkhead_build_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
endif()

if(BULKHEAD_FUZZ)  # coverage for libFuzzer, which needs clang
  target_compile_options(bulkhead_build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Half of a translation unit's time is the reading of a few heavy headers: they are read once, for the
# libraries and programs and again for the tests. Sources still include what they use; a build with
# BULKHEAD_PRECOMPILE=OFF shows that they do.
function(bulkhead_precompiled name)
  if(BULKHEAD_PRECOMPILE)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${name}.cpp CONTENT "// Nothing: what counts is what it includes.\n")
    add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cpp)
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(${name} PRIVATE Boost::headers nlohmann_json::nlohmann_json bulkhead_build_flags)
    target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
    target_precompile_headers(${name} PRIVATE ${ARGN})
    # Not by ccache: it was seen to bring back what an older version of a header had been made into.
    set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF CXX_COMPILER_LAUNCHER "")
  endif()
endfunction()
set(heavy_headers <algorithm> <chrono> <filesystem> <functional> <map> <memory> <nlohmann/json.hpp> <string>
  <vector> <bulkhead/error.hpp>)
bulkhead_precompiled(bulkhead_heavy_headers ${heavy_headers})

function(bulkhead_use_precompiled target precompiled)
  if(BULKHEAD_PRECOMPILE)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
    target_precompile_headers(${target} REUSE_FROM ${precompiled})
  endif()
endfunction()

# bulkhead_library(name SOURCES ... LINK ...): a static library of one module.
function(bulkhead_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_features(${name} PUBLIC cxx_std_20)
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE $<BUILD_INTERFACE:bulkhead_build_flags>)
  bulkhead_use_precompiled(${name} bulkhead_heavy_headers)
endfunction()

add_custom_target(programs)  # what a user runs, without the tests

# bulkhead_program(name SOURCES ... LINK ...): an executable in bin/. The standard library is linked
# statically because a worker's start is part of every recovery: 0.7 ms instead of 1.2 ms; not with SHARED_RUNTIME.
function(bulkhead_program name)
  cmake_parse_arguments(ARG "SHARED_RUNTIME" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} bulkhead_build_flags)
  bulkhead_use_precompiled(${name} bulkhead_heavy_headers)
  if(NOT BULKHEAD_SANITIZE AND NOT ARG_SHARED_RUNTIME)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  set_property(GLOBAL APPEND PROPERTY BULKHEAD_PROGRAMS ${name})
endfunction()

# What is tested is optimised, the tests are not: that is a third of their compile time.
set(test_optimization -O0)

# bulkhead_test(name LABEL unit|conformance|process|crash|fuzz SOURCES ... LINK ... [TIMEOUT s] [APART]):
# one GoogleTest binary with one ctest entry per test case.
function(bulkhead_test name)
  cmake_parse_arguments(ARG "APART" "LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(ARG_APART)
    set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest bulkhead_build_flags)
  target_compile_options(${name} PRIVATE ${test_optimization})
  bulkhead_use_precompiled(${name} bulkhead_heavy_test_headers)
  if(NOT TARGET ${ARG_LABEL}_tests)
    add_custom_target(${ARG_LABEL}_tests)
  endif()
  add_dependencies(${ARG_LABEL}_tests ${name})
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()
