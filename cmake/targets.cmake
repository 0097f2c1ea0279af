# How this project declares its libraries and programs.

# Gives wavetile_<name>, from every source of the folders that is not a program of its own.
function(wavetile_library name)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE patterns)
  list(TRANSFORM patterns APPEND /*.cpp)
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  list(FILTER sources EXCLUDE REGEX "_(main|bench)\\.cpp$")
  if(NOT sources)
    # A folder of headers alone, or one without sources yet.
    set(sources ${PROJECT_BINARY_DIR}/empty.cpp)
    file(TOUCH ${sources})
  endif()
  add_library(wavetile_${name} STATIC ${sources})
  add_library(wavetile::${name} ALIAS wavetile_${name})
  set_target_properties(wavetile_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(wavetile_${name} PUBLIC cxx_std_20)
  target_include_directories(
    wavetile_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/wavetile>)
endfunction()

function(wavetile_program name source)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
endfunction()

# wavetile_version.h (version, commit, data folders). Only targets that link wavetile_version can include it, and it
# changes only with the commit, so that a commit recompiles one or two files.
set(version_dir ${PROJECT_BINARY_DIR}/version)
add_custom_target(
  wavetile_version_header
  COMMAND ${CMAKE_COMMAND} -DVERSION=${PROJECT_VERSION} -DSOURCE_DIR=${PROJECT_SOURCE_DIR}
          -DDATA_DIR=${CMAKE_INSTALL_FULL_DATADIR}/wavetile -DOUTPUT=${version_dir}/wavetile_version.h -P
          ${PROJECT_SOURCE_DIR}/cmake/version.cmake
  BYPRODUCTS ${version_dir}/wavetile_version.h
  VERBATIM)
add_library(wavetile_version INTERFACE)
add_dependencies(wavetile_version wavetile_version_header)
target_include_directories(wavetile_version INTERFACE $<BUILD_INTERFACE:${version_dir}>)

# wavetile_build_id.h, for one target: what decides whether a compiled kernel on disk is that of this code. Looked at in
# every build; a new hash recompiles one file.
function(wavetile_build_id target)
  set(dir ${PROJECT_BINARY_DIR}/build_id)
  add_custom_target(
    wavetile_build_id_header
    COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DOUTPUT=${dir}/wavetile_build_id.h -P
            ${PROJECT_SOURCE_DIR}/cmake/build_id.cmake
    BYPRODUCTS ${dir}/wavetile_build_id.h
    VERBATIM)
  add_dependencies(${target} wavetile_build_id_header)
  target_include_directories(${target} PRIVATE ${dir})
endfunction()
