# The Debian package: `cmake --build --preset release && (cd build/release && cpack)`.
include(GNUInstallDirs)

install(FILES LICENSE CHANGELOG.md README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(DIRECTORY conf/ DESTINATION share/genkan OPTIONAL PATTERN genkan.service EXCLUDE
        PATTERN genkan.1 EXCLUDE PATTERN completions EXCLUDE)
install(FILES conf/genkan.1 DESTINATION share/man/man1)
install(FILES conf/completions/genkan.bash DESTINATION share/bash-completion/completions RENAME genkan)
install(FILES conf/completions/_genkan DESTINATION share/zsh/vendor-completions)
install(FILES conf/genkan.service DESTINATION lib/systemd/system)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME genkan)
set(CPACK_PACKAGE_CONTACT "genkan authors <genkan@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION httpd)
# What the program links comes from dpkg-shlibdeps; the two others are what it opens by name.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates, adduser")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/deb/postinst)
include(CPack)
