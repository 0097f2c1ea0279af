# Everything that is not part of this repository. On Debian 12, scripts/setup installs all of it.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
# LLD finds the LLVM of its own version. (Their packages refuse a request for "22" when they are 22.1.)
find_package(LLD CONFIG REQUIRED HINTS /usr/lib/llvm-22)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "Wavetile needs LLVM 22, and ${LLD_DIR} is LLVM ${LLVM_VERSION}: install llvm-22-dev and "
                      "liblld-22-dev, or set LLD_DIR to the folder of LLVM 22's LLDConfig.cmake")
endif()
# These come without a CMake package.
find_library(PCRE2_LIBRARY pcre2-8 REQUIRED)
find_library(XXHASH_LIBRARY xxhash REQUIRED)
find_path(HSA_INCLUDE_DIR hsa/hsa.h REQUIRED)
mark_as_advanced(PCRE2_LIBRARY XXHASH_LIBRARY HSA_INCLUDE_DIR)
