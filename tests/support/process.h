// Programs as a shell would run them.
#pragma once

#include <string>
#include <vector>

namespace wavetile {

struct ProcessResult {
  int code = -1;  ///< exit status; 128 + the signal's number if a signal ended it
  std::string out, err;
};

struct ProcessOptions {
  bool without_root = false;   ///< as the user "nobody", where the caller is root
  std::string out = {};        ///< standard output goes to this path instead of ProcessResult::out
  long long file_limit = -1;   ///< bytes that a file may have (RLIMIT_FSIZE)
  int interrupt_after_ms = 0;  ///< SIGINT after so long; 0: none
  bool closed_pipe = false;    ///< standard output is a pipe that nobody reads
};

/// Runs a program (a path, and its arguments) to its end. Throws std::runtime_error if it cannot be started.
ProcessResult run_process(const std::vector<std::string>& command, const ProcessOptions& options = {});

}  // namespace wavetile
