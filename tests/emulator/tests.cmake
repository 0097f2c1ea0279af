# The emulator's tests: against the emulator alone, and (for code that LLVM compiles on the spot) codegen.
file(GLOB emulator_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/emulator/*.cpp)
list(REMOVE_ITEM emulator_tests ${PROJECT_SOURCE_DIR}/tests/emulator/compiler.cpp)
wavetile_program(test_emulator "${PROJECT_BINARY_DIR}/empty.cpp;${emulator_tests}")
target_link_libraries(test_emulator PRIVATE wavetile_emulator wavetile_emulator_compiler fmt::fmt
                                            nlohmann_json::nlohmann_json GTest::gtest_main GTest::gmock)
target_compile_definitions(test_emulator PRIVATE WAVETILE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_compile_definitions(test_emulator PRIVATE WAVETILE_MODEL_DIR="${PROJECT_BINARY_DIR}/lib/emulator")
add_dependencies(test_emulator wavetile_model)
gtest_discover_tests(test_emulator TEST_PREFIX emulator. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60)
