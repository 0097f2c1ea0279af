# The emulator of AMD GPUs: a core (decoder, instructions, memory, checks), and what stands on it. It needs nothing of
# the DSL, and LLVM only to read machine code.

# The instructions are compiled twice on x86-64, for any processor and for those with AVX2, FMA and F16C; which of the
# two runs is decided at start. Without FMA a fused multiply-add is a call a lane.
if(NOT EXISTS ${PROJECT_BINARY_DIR}/empty.cpp)
  file(TOUCH ${PROJECT_BINARY_DIR}/empty.cpp)
endif()
file(GLOB emulator_ops CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/emulator/ops/*.cpp)
function(wavetile_emulator_ops level)
  add_library(wavetile_emulator_${level} OBJECT ${PROJECT_BINARY_DIR}/empty.cpp ${emulator_ops})
  target_include_directories(wavetile_emulator_${level} PRIVATE ${PROJECT_SOURCE_DIR})
  # Rows of registers are read as integers and as floats; nothing but the instruction itself may be fused.
  target_compile_options(wavetile_emulator_${level} PRIVATE -fno-strict-aliasing -ffp-contract=off -fno-math-errno
                                                            -fno-trapping-math $<$<CONFIG:Release>:-O3> ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    # WAVETILE_LANES_APART allows a loop to be vectorized; some are better not.
    target_compile_options(wavetile_emulator_${level} PRIVATE -Wno-pass-failed)
  endif()
  target_compile_definitions(wavetile_emulator_${level} PRIVATE WAVETILE_EMULATOR_LEVEL=${level})
endfunction()
wavetile_emulator_ops(baseline)
set(emulator_objects $<TARGET_OBJECTS:wavetile_emulator_baseline>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  wavetile_emulator_ops(avx2 -mavx2 -mfma -mf16c -mbmi2)
  list(APPEND emulator_objects $<TARGET_OBJECTS:wavetile_emulator_avx2>)
endif()

wavetile_library(emulator emulator emulator/checks)
target_sources(wavetile_emulator PRIVATE ${emulator_objects})
target_link_libraries(wavetile_emulator PUBLIC Threads::Threads PRIVATE fmt::fmt nlohmann_json::nlohmann_json LLVM)
target_include_directories(wavetile_emulator SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_compile_options(wavetile_emulator PRIVATE $<$<CONFIG:Release>:-O2>)
if(TARGET wavetile_emulator_avx2)
  target_compile_definitions(wavetile_emulator PRIVATE WAVETILE_EMULATOR_AVX2)
endif()

wavetile_library(emulator_cli emulator/cli)
target_link_libraries(wavetile_emulator_cli PUBLIC wavetile_emulator PRIVATE fmt::fmt)
wavetile_program(wavetile-emu emulator/cli/emu_main.cpp)
install(TARGETS wavetile-emu)
target_link_libraries(wavetile-emu PRIVATE wavetile_emulator_cli CLI11::CLI11 fmt::fmt
                                           wavetile_version)

include(${PROJECT_SOURCE_DIR}/emulator/hsa/hsa.cmake)
include(${PROJECT_SOURCE_DIR}/emulator/model/model.cmake)
