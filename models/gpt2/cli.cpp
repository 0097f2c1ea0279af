#include "models/gpt2/cli.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

namespace wavetile::cli {

void write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw ClosedPipe{};
    if (n < 0)
      throw Failure{kFailure, fmt::format("cannot write to {}: {}; free some space or write elsewhere", what,
                                          std::strerror(errno))};
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void print_text(std::string_view text) { write_all(STDOUT_FILENO, text, "standard output"); }

void print_note(std::string_view text) noexcept {
  try {
    write_all(STDERR_FILENO, text, "standard error");
  } catch (...) {  // There is nowhere left to say so.
  }
}

std::string read_file(const std::string& path, const std::string& option) {
  const bool input = path == "-";
  int fd = input ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  char block[1 << 16];
  ssize_t n = fd < 0 ? -1 : 1;
  while (n > 0) {
    n = ::read(fd, block, sizeof block);
    if (n < 0 && errno == EINTR)
      n = 1;
    else if (n > 0)
      text.append(block, static_cast<size_t>(n));
  }
  int error = errno;
  if (fd >= 0) close(fd);
  if (n < 0)
    throw Failure{kUsage,
                  fmt::format("{}: cannot read it: {}; give {} a file that can be read, or - for standard input",
                              input ? "standard input" : path, std::strerror(error), option)};
  return text;
}

ResultFile::ResultFile(std::string path, std::string what, std::string option)
    : path_(std::move(path)), what_(std::move(what)), option_(std::move(option)) {
  if (path_.empty()) return;
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(kUsage);
}
ResultFile::~ResultFile() {
  if (fd_ >= 0) close(fd_);
}
void ResultFile::write(std::string_view bytes) {
  if (fd_ < 0) return;
  write_all(fd_, bytes, path_);
  int fd = std::exchange(fd_, -1);
  if (close(fd) != 0) fail(kFailure);
}
void ResultFile::fail(ExitCode code) const {
  throw Failure{code, fmt::format("{}: cannot write the {}: {}; give {} a file that can be written", path_, what_,
                                  std::strerror(errno), option_)};
}

std::filesystem::path data_dir(const char* source, const char* installed) {
  std::error_code ignored;
  return std::filesystem::exists(source, ignored) ? source : installed;
}

// A file opened later must not become one of the standard streams.
static void fill_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) == -1) (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int run_program(const std::string& name, int (*body)(int, char**), int argc, char** argv) {
  auto fail = [&](int code, const std::string& text) {
    print_note(fmt::format("{}: {}\n", name, text));
    return code;
  };
  fill_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return body(argc, argv);
  } catch (const CLI::ParseError& e) {
    return fail(kUsage, fmt::format("{}; see --help", e.what()));
  } catch (const Failure& f) {
    return fail(f.code, f.text);
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return fail(kFailure, "out of memory; use a smaller model, or a type of 16 bits (--dtype bf16)");
  } catch (const std::exception& e) {
    return fail(kFailure, e.what());
  }
}

}  // namespace wavetile::cli
