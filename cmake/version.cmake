# Writes OUTPUT from VERSION, SOURCE_DIR, DATA_DIR and the commit; leaves a file that is up to date alone.
set(COMMIT "unknown")
if(EXISTS ${SOURCE_DIR}/.git)
  # safe.directory: the checkout may belong to another user, for example in a container.
  execute_process(
    COMMAND git -c safe.directory=* -C ${SOURCE_DIR} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE head
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
    RESULT_VARIABLE result)
  if(result EQUAL 0)
    set(COMMIT ${head})
  endif()
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/wavetile_version.h.in ${OUTPUT} @ONLY)
