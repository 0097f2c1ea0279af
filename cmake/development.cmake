# Benchmarks, examples and tests: what is built here and not installed.
include(CTest)
find_package(benchmark REQUIRED)

# LLVM IR -> code objects, for the emulator's tests and benchmark.
add_library(wavetile_emulator_compiler STATIC ${PROJECT_SOURCE_DIR}/tests/emulator/compiler.cpp)
target_link_libraries(wavetile_emulator_compiler PRIVATE wavetile_codegen LLVM)
target_include_directories(wavetile_emulator_compiler PUBLIC ${PROJECT_SOURCE_DIR})
target_include_directories(wavetile_emulator_compiler SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})

file(GLOB bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*_bench.cpp)
foreach(source IN LISTS bench_sources)
  cmake_path(GET source STEM name)
  wavetile_program(${name} ${source})
  target_link_libraries(${name} PRIVATE wavetile_bench wavetile_gpt2 benchmark::benchmark CLI11::CLI11 wavetile_version)
endforeach()
target_link_libraries(emulator_bench PRIVATE wavetile_emulator wavetile_emulator_compiler)
# bench/machine_main.cpp gives wavetile-machine.
file(GLOB bench_programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*_main.cpp)
foreach(source IN LISTS bench_programs)
  cmake_path(GET source STEM name)
  string(REGEX REPLACE "^(.*)_main$" "wavetile-\\1" name ${name})
  wavetile_program(${name} ${source})
  target_link_libraries(${name} PRIVATE wavetile_bench wavetile_gpt2 CLI11::CLI11 nlohmann_json::nlohmann_json
                                        wavetile_version)
endforeach()

file(GLOB example_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM name)
  wavetile_program(example_${name} ${source})
  set_target_properties(example_${name} PROPERTIES OUTPUT_NAME examples/${name})
  target_link_libraries(example_${name} PRIVATE wavetile_kernels)
endforeach()

if(NOT BUILD_TESTING)
  return()
endif()
find_package(GTest REQUIRED)
include(GoogleTest)

# Targets that exist to test the lowering; like codegen itself, compiled against LLVM.
wavetile_library(codegen_testing codegen/testing)
target_link_libraries(wavetile_codegen_testing PUBLIC wavetile_codegen PRIVATE LLVM)
target_include_directories(wavetile_codegen_testing SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_precompile_headers(wavetile_codegen_testing REUSE_FROM wavetile_codegen)
# Its fibers jump from stack to stack, which the checked longjmp of hardened compilers takes for a mistake.
set_source_files_properties(${PROJECT_SOURCE_DIR}/codegen/testing/virtual_machine.cpp
                            PROPERTIES SKIP_PRECOMPILE_HEADERS ON COMPILE_OPTIONS -U_FORTIFY_SOURCE)

include(${PROJECT_SOURCE_DIR}/emulator/fuzz/fuzz.cmake OPTIONAL)

# What tests share.
wavetile_library(test_support tests/support)
target_compile_definitions(wavetile_test_support PUBLIC WAVETILE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(wavetile_test_support PUBLIC wavetile_gpt2 wavetile_checks wavetile_bench wavetile_codegen_testing
                                                   nlohmann_json::nlohmann_json GTest::gmock)

# One program for tests/ and one for each folder of tests in it: what a test needs decides where it stands. ctest runs
# each case in a process of its own.
function(wavetile_tests name folder)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  wavetile_program(${name} "${sources}")
  target_link_libraries(${name} PRIVATE wavetile_test_support GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES ENVIRONMENT "WAVETILE_CACHE_DIR=")  # what is tested is compiled
endfunction()

wavetile_tests(test_host ${PROJECT_SOURCE_DIR}/tests)
file(GLOB test_folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/tests/*)
# tests/emulator needs nothing of the rest.
list(REMOVE_ITEM test_folders ${PROJECT_SOURCE_DIR}/tests/emulator)
include(${PROJECT_SOURCE_DIR}/tests/emulator/tests.cmake)
foreach(folder IN LISTS test_folders)
  if(IS_DIRECTORY ${folder})
    cmake_path(GET folder FILENAME name)
    wavetile_tests(test_${name} ${folder})
  endif()
endforeach()
# The kernels once more, as machine code of AMD GPUs.
add_dependencies(test_hsa wavetile_hsa gpt2-dsl-run)
target_include_directories(test_hsa SYSTEM PRIVATE ${HSA_INCLUDE_DIR})
target_compile_definitions(test_hsa PRIVATE GPT2_DSL_RUN="$<TARGET_FILE:gpt2-dsl-run>"
                                            WAVETILE_HSA_ONCE="$<TARGET_FILE:wavetile_hsa_once>")
# The emulator's library, but for one life of it in a process.
add_library(wavetile_hsa_once MODULE ${PROJECT_SOURCE_DIR}/tests/hsa/once/hsa_once.cpp)
target_include_directories(wavetile_hsa_once SYSTEM PRIVATE ${HSA_INCLUDE_DIR})
target_link_libraries(wavetile_hsa_once PRIVATE wavetile_hsa ${CMAKE_DL_LIBS})
target_link_options(wavetile_hsa_once PRIVATE -Wl,--no-as-needed)
target_compile_definitions(wavetile_hsa_once PRIVATE WAVETILE_HSA_LIBRARY="$<TARGET_FILE:wavetile_hsa>")
add_dependencies(test_hsa wavetile_hsa_once)
add_dependencies(test_kernels wavetile_hsa)
foreach(chip gfx1151 gfx1100 gfx942)
  gtest_discover_tests(test_kernels DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX ${chip}.
                       TEST_LIST test_kernels_${chip}
                       TEST_FILTER "RowKernels.*:ElementKernels.*:FullBlocksOfRows.*:*FullBlocks.*:*Copies.*:*Embedding.*:*Products.*:*Attention*.*:MatrixUnits*.*:Stages.*:Sampling.*"
                       PROPERTIES ENVIRONMENT "WAVETILE_TEST_CHIP=${chip}")
endforeach()
if(TARGET test_tools)
  target_link_libraries(test_tools PRIVATE wavetile_tools)
  target_compile_definitions(test_tools PRIVATE WAVETILE_PROGRAM="$<TARGET_FILE:wavetile>"
                                                WAVETILE_REPORT="$<TARGET_FILE:wavetile-report>"
                                                WAVETILE_PEER="$<TARGET_FILE:wavetile-peer>")
  add_dependencies(test_tools wavetile wavetile-report wavetile-peer)
endif()
if(TARGET test_gpt2)
  target_compile_definitions(test_gpt2 PRIVATE GPT2_DSL_RUN="$<TARGET_FILE:gpt2-dsl-run>"
                                               GPT2_DSL_MAKE_CHECKPOINT="$<TARGET_FILE:gpt2-dsl-make-checkpoint>")
  add_dependencies(test_gpt2 gpt2-dsl-run gpt2-dsl-make-checkpoint)
endif()

# The installed package builds and runs the examples, as an author's project would.
if(example_sources AND NOT WAVETILE_SANITIZE)
  add_test(NAME install.examples COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR}
                                         -DBUILD_DIR=${PROJECT_BINARY_DIR} -DGENERATOR=${CMAKE_GENERATOR}
                                         -DCXX=${CMAKE_CXX_COMPILER} -P ${PROJECT_SOURCE_DIR}/cmake/install_test.cmake)
endif()
