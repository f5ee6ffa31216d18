# What every target of the house shares: warnings, sanitizers, the include root, and the two shapes of target.

add_library(genkan_options INTERFACE)
target_include_directories(genkan_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(genkan_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                       -Woverloaded-virtual -Wno-missing-field-initializers)
if(GENKAN_WERROR)
  target_compile_options(genkan_options INTERFACE -Werror)
endif()
if(GENKAN_SANITIZE)
  target_compile_options(genkan_options INTERFACE -fsanitize=${GENKAN_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(genkan_options INTERFACE -fsanitize=${GENKAN_SANITIZE})
endif()

# Which build this is, for the tests' names and labels: the plain one, or a variant that repeats
# some of its tests and must not be mistaken for it when one ctest runs several builds.
set(GENKAN_VARIANT "")
if(GENKAN_FUZZERS)
  set(GENKAN_VARIANT fuzzer)
elseif(GENKAN_SANITIZE MATCHES thread)
  set(GENKAN_VARIANT tsan)
elseif(GENKAN_SANITIZE)
  set(GENKAN_VARIANT asan)
endif()

# genkan_layer(NAME LINKS targets…): the static library genkan_NAME from proxy/NAME/*.cc. Its links are
# its row of the table in proxy/README.md; tests/style/layers_test holds the #includes against it.
function(genkan_layer name)
  cmake_parse_arguments(ARG "" "" "LINKS;PRIVATE_LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/proxy/${name}/*.cc)
  if(sources)
    add_library(genkan_${name} STATIC ${sources})
    target_link_libraries(genkan_${name} PUBLIC genkan_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  else()
    add_library(genkan_${name} INTERFACE)
    target_link_libraries(genkan_${name} INTERFACE genkan_options ${ARG_LINKS} ${ARG_PRIVATE_LINKS})
  endif()
endfunction()

# genkan_test(NAME LABEL label SOURCES glob… LINKS targets…): one GoogleTest program, each TEST a ctest test.
# No file that matches: no program. A sanitizer's build labels its tests with its own name instead.
function(genkan_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LINKS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_SOURCES})
  if(ARG_EXCLUDE)
    file(GLOB excluded CONFIGURE_DEPENDS ${ARG_EXCLUDE})
    list(REMOVE_ITEM sources ${excluded})
  endif()
  if(NOT sources)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set(prefix "${ARG_LABEL}.")
  set(labels "${ARG_LABEL}")
  if(GENKAN_VARIANT)
    set(prefix "${GENKAN_VARIANT}.${ARG_LABEL}.")
    set(labels "${GENKAN_VARIANT}")
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 3")
  endif()
  if(GENKAN_VARIANT STREQUAL tsan)
    # One label that `-L tsan` and `-L long` both find; a list would not survive the discovery.
    set(labels "tsan-long")
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE genkan_options ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} TEST_PREFIX "${prefix}" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT}
                       ENVIRONMENT TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp)
endfunction()

# Every target below a folder, for `check` to depend on.
function(genkan_targets_below folder result)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(children DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(child IN LISTS children)
    genkan_targets_below(${child} below)
    list(APPEND targets ${below})
  endforeach()
  set(${result} ${targets} PARENT_SCOPE)
endfunction()

# `cmake --build --preset dev --target check`: builds all, runs every test but the long ones.
function(genkan_add_check)
  genkan_targets_below(${PROJECT_SOURCE_DIR} targets)
  add_custom_target(check COMMAND ${CMAKE_CTEST_COMMAND} -j2 --output-on-failure -LE long
                    WORKING_DIRECTORY ${PROJECT_BINARY_DIR} USES_TERMINAL VERBATIM)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    if(NOT type STREQUAL INTERFACE_LIBRARY)
      add_dependencies(check ${target})
    endif()
  endforeach()
endfunction()
