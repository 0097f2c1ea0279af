// What the programs of this folder have in common: standard output carries the result alone, everything else goes to
// standard error, and every failure is one line there and an exit code that --help lists.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace wavetile {

enum ExitCode { kFailure = 1, kUsage = 2, kBadModel = 3, kNoDevice = 4 };

struct Failure {
  ExitCode code;
  std::string text;
};

/// The reader of a pipe has gone.
struct ClosedPipe {};

/// Writes to a file descriptor without buffering: what is returned from is written. Throws ClosedPipe, or Failure
/// saying that `what` cannot be written.
void write_all(int fd, std::string_view bytes, const std::string& what);

/// To standard output, and to standard error; the latter never fails.
void print_text(std::string_view text);
void print_note(std::string_view text);

/// Opens what is closed of the standard streams, so that a file opened later does not become one of them.
void fill_standard_streams();

/// Files that come with the program: in the source tree it was built from, else where it was installed.
std::filesystem::path data_dir(const char* source, const char* installed);

}  // namespace wavetile
