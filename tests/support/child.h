// Functions in a process of their own.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <string>

namespace wavetile {

/// Gtest's expectations do not cross over, so `f` says what is wrong.
inline std::string in_child(const std::function<std::string()>& f) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  pid_t child = fork();
  if (child == 0) {
    std::string problem;
    try {
      problem = f();
    } catch (const std::exception& e) {
      problem = e.what();
    }
    bool told = write(ends[1], problem.data(), problem.size()) == static_cast<ssize_t>(problem.size());
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  std::string said(1 << 12, 0);
  ssize_t n = read(ends[0], said.data(), said.size());
  said.resize(n > 0 ? static_cast<size_t>(n) : 0);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "the process died of " + std::to_string(status);
  return said;
}
/// Root may write everywhere: what file modes forbid is tried as nobody.
inline bool drop_rights() {
  return geteuid() != 0 || (setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
}

}  // namespace wavetile
