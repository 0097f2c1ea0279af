# The differential fuzzer: programs that LLVM compiles for the host and for AMD's chips, for the reference and for the
# emulator. A development tool.
wavetile_library(emulator_fuzz emulator/fuzz)
target_link_libraries(wavetile_emulator_fuzz PUBLIC wavetile_emulator wavetile_codegen_testing PRIVATE fmt::fmt nlohmann_json::nlohmann_json)
# Fibers, as above; and arithmetic of the reference's own must not be fused.
set_source_files_properties(${PROJECT_SOURCE_DIR}/emulator/fuzz/reference.cpp PROPERTIES COMPILE_OPTIONS
                                                                                         -U_FORTIFY_SOURCE)
target_compile_options(wavetile_emulator_fuzz PRIVATE -ffp-contract=off)
wavetile_program(wavetile-emu-fuzz emulator/fuzz/fuzz_main.cpp)
target_link_libraries(wavetile-emu-fuzz PRIVATE wavetile_emulator_fuzz CLI11::CLI11 fmt::fmt)
