# The emulator's tests: against the emulator alone, and (for code that LLVM compiles on the spot) codegen.
file(GLOB emulator_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/emulator/*.cpp)
list(REMOVE_ITEM emulator_tests ${PROJECT_SOURCE_DIR}/tests/emulator/compiler.cpp)
wavetile_program(test_emulator "${emulator_tests};${PROJECT_SOURCE_DIR}/tests/support/process.cpp")
target_link_libraries(test_emulator PRIVATE wavetile_emulator wavetile_emulator_compiler wavetile_emulator_fuzz fmt::fmt
                                            nlohmann_json::nlohmann_json GTest::gtest_main GTest::gmock)
target_compile_definitions(test_emulator PRIVATE WAVETILE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                 WAVETILE_EMU="$<TARGET_FILE:wavetile-emu>")
target_compile_definitions(test_emulator PRIVATE WAVETILE_MODEL_DIR="${PROJECT_BINARY_DIR}/lib/emulator")
add_dependencies(test_emulator wavetile_model)

# The HSA library is opened as any program would, never linked; rocminfo needs the files that a driver would supply.
add_library(wavetile_kfd_shim MODULE ${PROJECT_SOURCE_DIR}/tests/emulator/shim/kfd_shim.cpp)
target_link_libraries(wavetile_kfd_shim PRIVATE ${CMAKE_DL_LIBS})
target_compile_definitions(test_emulator PRIVATE WAVETILE_HSA_LIBRARY="$<TARGET_FILE:wavetile_hsa>"
                                                 WAVETILE_KFD_SHIM="$<TARGET_FILE:wavetile_kfd_shim>"
                                                 HSA_DEPRECATED=)
add_dependencies(test_emulator wavetile-emu wavetile_hsa wavetile_kfd_shim)
gtest_discover_tests(test_emulator TEST_PREFIX emulator. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60)
