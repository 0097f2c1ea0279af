#include "models/gpt2/cli.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace wavetile {

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

void print_note(std::string_view text) {
  try {
    write_all(STDERR_FILENO, text, "standard error");
  } catch (...) {  // There is nowhere left to say so.
  }
}

void fill_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) == -1) (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

std::filesystem::path data_dir(const char* source, const char* installed) {
  std::error_code ignored;
  return std::filesystem::exists(source, ignored) ? source : installed;
}

}  // namespace wavetile
