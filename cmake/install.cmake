# The installed tree: libraries and headers as the CMake package `wavetile`, the programs and their data.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wavetile)
install(TARGETS wavetile_dsl wavetile_codegen wavetile_runtime wavetile_kernels wavetile_gpt2 wavetile_version
        EXPORT wavetile)
install(TARGETS gpt2-dsl-run gpt2-dsl-make-checkpoint wavetile)
install(TARGETS wavetile_hsa LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/wavetile/emulator NAMELINK_SKIP)
install(EXPORT wavetile NAMESPACE wavetile:: FILE wavetileTargets.cmake DESTINATION ${package_dir})
# The promised headers, and no others: nothing here needs LLVM.
foreach(header
        dsl/check.h dsl/dsl.h dsl/dtype.h dsl/error.h dsl/functions.def dsl/interpret.h dsl/ir.h dsl/schedule.h
        dsl/tensor_view.h codegen/caps.h codegen/compile.h codegen/layout.h codegen/matrix.h codegen/passes.h
        runtime/compiler.h runtime/device.h runtime/hazards.h runtime/kernel_cache.h runtime/program.h runtime/thread_pool.h
        runtime/verify.h kernels/kernels.h kernels/sampling.h kernels/schedules.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wavetile/${folder})
endforeach()
install(DIRECTORY models/gpt2/demo models/gpt2/vocab DESTINATION ${CMAKE_INSTALL_DATADIR}/wavetile)

configure_package_config_file(cmake/wavetileConfig.cmake.in ${PROJECT_BINARY_DIR}/wavetileConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wavetileConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wavetileConfig.cmake ${PROJECT_BINARY_DIR}/wavetileConfigVersion.cmake
        DESTINATION ${package_dir})
