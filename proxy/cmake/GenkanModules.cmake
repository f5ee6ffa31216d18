# Modules as shared objects: the ABI tag that they are held against, how they are built, and what the program must export
# for them.

# The SDK's headers: api.h and everything of ours that it includes, in the order they are met.
function(genkan_sdk_headers result)
  set(waiting proxy/module/api.h)
  set(seen "")
  while(waiting)
    list(POP_FRONT waiting header)
    if(header IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${header})
    file(STRINGS ${PROJECT_SOURCE_DIR}/${header} includes REGEX "^#include \"proxy/")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
      list(APPEND waiting ${included})
    endforeach()
  endwhile()
  set(${result} ${seen} PARENT_SCOPE)
endfunction()

# genkan_abi_tag.h: a hash over those headers, and of the compiler what decides on layouts.
genkan_sdk_headers(sdk_headers)
set(hashes "")
foreach(header IN LISTS sdk_headers)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
  file(SHA256 ${PROJECT_SOURCE_DIR}/${header} hash)
  string(APPEND hashes "${header} ${hash}\n")
endforeach()
string(SHA256 GENKAN_SDK_HASH "${hashes}")
string(SUBSTRING ${GENKAN_SDK_HASH} 0 16 GENKAN_SDK_HASH)
configure_file(${PROJECT_SOURCE_DIR}/proxy/module/abi_tag.h.in ${PROJECT_BINARY_DIR}/genkan_abi_tag.h @ONLY)

# genkan_shared_module(NAME SOURCE): NAME.so to load with load_modules. It links nothing of ours: those symbols are the
# program's.
function(genkan_shared_module name source)
  add_library(${name} MODULE ${source})
  set_target_properties(${name} PROPERTIES PREFIX "")
  target_compile_definitions(${name} PRIVATE GENKAN_MODULE_SHARED)
  target_link_libraries(${name} PRIVATE genkan_options fmt::fmt)
endfunction()

# genkan_exports_sdk(EXECUTABLE): all of the SDK is in the program and can be seen by loaded modules, also what the
# program itself does not use.
function(genkan_exports_sdk target)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
  foreach(layer base http module)
    target_link_options(${target} PRIVATE
                        "LINKER:--whole-archive,$<TARGET_FILE:genkan_${layer}>,--no-whole-archive")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS $<TARGET_FILE:genkan_${layer}>)
  endforeach()
endfunction()
