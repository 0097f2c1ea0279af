# The HSA runtime on the emulator: what is exported is the HSA functions, under the version that AMD's library gives them.
file(GLOB hsa_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/emulator/hsa/*.cpp)
add_library(wavetile_hsa SHARED ${hsa_sources})
target_include_directories(wavetile_hsa PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(wavetile_hsa SYSTEM PRIVATE ${HSA_INCLUDE_DIR})
# The headers deprecate functions that are implemented all the same.
target_compile_definitions(wavetile_hsa PRIVATE HSA_EXPORT HSA_DEPRECATED=)
target_link_libraries(wavetile_hsa PRIVATE wavetile_emulator fmt::fmt)
if(WAVETILE_SANITIZE)  # a caller in C may pass any number for an enumerator: it is looked at and refused
  target_compile_options(wavetile_hsa PRIVATE -fno-sanitize=enum)
endif()
set(hsa_exports ${PROJECT_SOURCE_DIR}/emulator/hsa/exports.map)
target_link_options(wavetile_hsa PRIVATE -Wl,--version-script=${hsa_exports})
if(NOT WAVETILE_SANITIZE)  # the sanitizers' own functions come from the program
  target_link_options(wavetile_hsa PRIVATE -Wl,-z,defs)
endif()
set_target_properties(
  wavetile_hsa
  PROPERTIES OUTPUT_NAME hsa-runtime64
             SOVERSION 1
             LINK_DEPENDS ${hsa_exports}
             LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/emulator)
install(TARGETS wavetile_hsa LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/wavetile/emulator NAMELINK_SKIP)
