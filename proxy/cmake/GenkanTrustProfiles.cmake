# conf/trust/*.profile as a source file: the program has them wherever it is installed.
# genkan_embed_trust_profiles(TARGET)
function(genkan_embed_trust_profiles target)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/conf/trust/*.profile)
  list(SORT files)
  set(entries "")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} text)
    get_filename_component(name ${file} NAME_WE)
    string(APPEND entries "      {\"${name}\", R\"profile(${text})profile\"},\n")
  endforeach()
  set(source ${PROJECT_BINARY_DIR}/builtin_trust_profiles.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT "#include \"proxy/tls/trust_profiles.h\"

namespace genkan::tls {

const std::vector<TrustProfileText>& BuiltinTrustProfiles() {
  static const std::vector<TrustProfileText> kProfiles = {
${entries}  };
  return kProfiles;
}

}  // namespace genkan::tls
")
  target_sources(${target} PRIVATE ${source})
endfunction()
