# The installed tree: libraries and headers as the CMake package `wavetile`, gpt2-dsl-run and its data.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wavetile)
install(TARGETS wavetile_dsl wavetile_codegen wavetile_runtime wavetile_kernels wavetile_gpt2 wavetile_version
        EXPORT wavetile)
if(TARGET gpt2-dsl-run)
  install(TARGETS gpt2-dsl-run)
endif()
install(EXPORT wavetile NAMESPACE wavetile:: FILE wavetileTargets.cmake DESTINATION ${package_dir})
foreach(folder dsl codegen runtime kernels models)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wavetile FILES_MATCHING
          PATTERN "*.h" PATTERN "*.def" PATTERN testing EXCLUDE PATTERN demo EXCLUDE PATTERN vocab EXCLUDE)
endforeach()
install(DIRECTORY models/gpt2/demo models/gpt2/vocab DESTINATION ${CMAKE_INSTALL_DATADIR}/wavetile)

configure_package_config_file(cmake/wavetileConfig.cmake.in ${PROJECT_BINARY_DIR}/wavetileConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wavetileConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wavetileConfig.cmake ${PROJECT_BINARY_DIR}/wavetileConfigVersion.cmake
        DESTINATION ${package_dir})
