// What the command-line programs share: exit codes, streams and how a failure is told. Standard output carries results
// alone; everything else goes to standard error.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dsl/error.h"

namespace wavetile::cli {

enum ExitCode { kFailure = 1, kUsage = 2, kBadModel = 3, kNoDevice = 4, kInterrupted = 130 };

/// Ends the program: one line on standard error, and the code.
struct Failure {
  ExitCode code;
  std::string text;
};

/// The reader of standard output has gone: nobody is left to tell.
struct ClosedPipe {};

/// Unbuffered: what is returned from is written, and an error is that of this text. Throws Failure, ClosedPipe.
void write_all(int fd, std::string_view bytes, const std::string& what);
void print_text(std::string_view text);           // to standard output
void print_note(std::string_view text) noexcept;  // to standard error

/// A file of bytes that the user named with `option`, or standard input for "-". Throws Failure(kUsage).
std::string read_file(const std::string& path, const std::string& option);

/// The bytes of a file that is written at once, so that it is known to be writable before the work begins.
class ResultFile {
 public:
  /// Creates the file, unless the path is empty. Throws Failure(kUsage).
  ResultFile(std::string path, std::string what, std::string option);
  ~ResultFile();
  ResultFile(const ResultFile&) = delete;
  void write(std::string_view bytes);

 private:
  [[noreturn]] void fail(ExitCode code) const;
  std::string path_, what_, option_;
  int fd_ = -1;
};

/// Runs a part of the program in which an Error means one exit code.
template <class F>
auto stage(ExitCode code, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    throw Failure{code, e.what()};
  }
}

/// The files that come with the program: in the source tree it was built from, else where it was installed.
std::filesystem::path data_dir(const char* source, const char* installed);

/// main() of a program: `body` returns an exit code or throws; failures become one line that begins with `name`.
int run_program(const std::string& name, int (*body)(int argc, char** argv), int argc, char** argv);

}  // namespace wavetile::cli
