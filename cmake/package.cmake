# What only packages hold, and how CPack makes the Debian ones: onnxd (programs and service), libonnxd0 (the library)
# and libonnxd-dev (to build with it). `make deb` runs it; docs/debian.md tells how they are used.
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "the onnxd authors <onnxd@localhost>" CACHE STRING "Who answers for the packages")
set(DEBIAN ${CMAKE_SOURCE_DIR}/deploy/debian)

# The service, its configuration and its folders, of no use outside a package.
install(FILES deploy/systemd/onnxd.service deploy/systemd/onnxd.socket DESTINATION /lib/systemd/system
  COMPONENT onnxd EXCLUDE_FROM_ALL)
install(FILES ${DEBIAN}/onnxd.env DESTINATION /etc/onnxd COMPONENT onnxd EXCLUDE_FROM_ALL)
install(FILES models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx DESTINATION /usr/share/onnxd/models
  RENAME deepfm.onnx COMPONENT onnxd EXCLUDE_FROM_ALL)
install(DIRECTORY models/neat DESTINATION /usr/share/onnxd COMPONENT onnxd EXCLUDE_FROM_ALL)
install(DIRECTORY DESTINATION /var/lib/onnxd/models COMPONENT onnxd EXCLUDE_FROM_ALL)

# Each package brings its licence and history.
configure_file(${DEBIAN}/changelog.in debian/changelog @ONLY)
execute_process(COMMAND gzip -9nf ${CMAKE_BINARY_DIR}/debian/changelog COMMAND_ERROR_IS_FATAL ANY)
foreach(package onnxd libonnxd0 libonnxd-dev)
  install(FILES ${DEBIAN}/copyright ${CMAKE_BINARY_DIR}/debian/changelog.gz DESTINATION /usr/share/doc/${package}
    COMPONENT ${package} EXCLUDE_FROM_ALL)
endforeach()
install(CODE "file(GLOB pages \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/*.1)
execute_process(COMMAND gzip -9nf \${pages} COMMAND_ERROR_IS_FATAL ANY)" COMPONENT onnxd EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME onnxd)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_COMPONENTS_ALL onnxd libonnxd0 libonnxd-dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR})

set(CPACK_COMPONENT_ONNXD_DESCRIPTION "server for small ONNX models
 Serves click-through-rate rankers, tabular models and small policies over
 HTTP with sub-millisecond tails, and measures itself. Brings the programs
 onnxd, deepfm_train and neat_train, a systemd service and a bundled model.")
set(CPACK_DEBIAN_ONNXD_PACKAGE_NAME onnxd)
set(CPACK_DEBIAN_ONNXD_PACKAGE_SECTION net)
set(CPACK_DEBIAN_ONNXD_PACKAGE_DEPENDS "init-system-helpers (>= 1.54)")
set(CPACK_DEBIAN_ONNXD_PACKAGE_RECOMMENDS procps)
set(CPACK_DEBIAN_ONNXD_PACKAGE_CONTROL_EXTRA "${DEBIAN}/postinst;${DEBIAN}/prerm;${DEBIAN}/postrm;${DEBIAN}/conffiles")

set(CPACK_COMPONENT_LIBONNXD0_DESCRIPTION "runs small ONNX models inside a program
 The engine of onnxd as a C library.")
set(CPACK_DEBIAN_LIBONNXD0_PACKAGE_NAME libonnxd0)
set(CPACK_DEBIAN_LIBONNXD0_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBONNXD0_PACKAGE_CONTROL_EXTRA "${DEBIAN}/triggers")

set(CPACK_COMPONENT_LIBONNXD-DEV_DESCRIPTION "runs small ONNX models inside a program, development files
 Headers, static library, pkg-config and CMake files of libonnxd.")
set(CPACK_DEBIAN_LIBONNXD-DEV_PACKAGE_NAME libonnxd-dev)
set(CPACK_DEBIAN_LIBONNXD-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBONNXD-DEV_PACKAGE_DEPENDS "libonnxd0 (= ${PROJECT_VERSION}), libprotobuf-c-dev")
set(CPACK_DEBIAN_LIBONNXD-DEV_PACKAGE_SHLIBDEPS OFF)
include(CPack)
