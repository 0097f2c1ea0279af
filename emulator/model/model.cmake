# The library that AMD's HSA runtime loads as a software model of its GPUs, and a topology folder for each chip.
file(GLOB model_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/emulator/model/*.cpp)
find_path(HSA_INCLUDE_DIR hsa/hsa.h REQUIRED)
mark_as_advanced(HSA_INCLUDE_DIR)
add_library(wavetile_model MODULE ${model_sources} ${PROJECT_SOURCE_DIR}/emulator/hsa/packet_format.cpp)
target_include_directories(wavetile_model PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(wavetile_model SYSTEM PRIVATE ${HSA_INCLUDE_DIR})
target_link_libraries(wavetile_model PRIVATE wavetile_emulator fmt::fmt)
target_link_options(wavetile_model PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/emulator/model/exports.map)
set_target_properties(
  wavetile_model
  PROPERTIES OUTPUT_NAME wavetile-rocm-model
             LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/emulator
             LINK_DEPENDS ${PROJECT_SOURCE_DIR}/emulator/model/exports.map)

include(${PROJECT_SOURCE_DIR}/emulator/model/topology.cmake)
set(topology_dir ${PROJECT_BINARY_DIR}/lib/emulator/topology)
wavetile_topology(${topology_dir}/gfx1151 VERSION 110501 DEVICE 5510 COMPUTE_UNITS 40 SIMDS 2 WAVES 16 LANES 32
                  SHADER_ENGINES 2 ARRAYS 4 DIES 1 SDMA_ENGINES 1)
wavetile_topology(${topology_dir}/gfx1100 VERSION 110000 DEVICE 29772 COMPUTE_UNITS 96 SIMDS 2 WAVES 16 LANES 32
                  SHADER_ENGINES 6 ARRAYS 12 DIES 1 SDMA_ENGINES 2)
wavetile_topology(${topology_dir}/gfx942 VERSION 90402 DEVICE 29857 COMPUTE_UNITS 304 SIMDS 4 WAVES 8 LANES 64
                  SHADER_ENGINES 32 ARRAYS 32 DIES 8 SDMA_ENGINES 2)

install(TARGETS wavetile_model LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/wavetile/emulator)
install(DIRECTORY ${topology_dir} DESTINATION ${CMAKE_INSTALL_LIBDIR}/wavetile/emulator)
