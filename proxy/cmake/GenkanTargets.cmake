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
# No file that matches: no program.
function(genkan_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LINKS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_SOURCES})
  if(NOT sources)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE genkan_options ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} TEST_PREFIX "${ARG_LABEL}." DISCOVERY_MODE PRE_TEST
                       PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
