#include "tests/support/process.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "tests/support/temp_dir.h"

namespace wavetile {
namespace {

constexpr unsigned kNobody = 65534;
constexpr int kCannotStart = 127;

// In the child: only calls that are safe after fork().
void become(const ProcessOptions& o, int out, int err, char* const* argv) {
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  if (o.file_limit >= 0) {
    rlimit limit{static_cast<rlim_t>(o.file_limit), static_cast<rlim_t>(o.file_limit)};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(kCannotStart);
  }
  if (o.without_root && geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0))
    _exit(kCannotStart);
  execv(argv[0], argv);
  _exit(kCannotStart);
}

int open_output(const std::string& path) {
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error("cannot open " + path);
  return fd;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& command, const ProcessOptions& options) {
  TempDir dir;
  const std::string out_path = options.out.empty() ? (dir / "out").string() : options.out;
  const std::string err_path = (dir / "err").string();
  int out = -1, pipe_ends[2];
  if (options.closed_pipe) {
    if (pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    close(pipe_ends[0]);
    out = pipe_ends[1];
  } else {
    out = open_output(out_path);
  }
  int err = open_output(err_path);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) become(options, out, err, argv.data());
  close(out);
  close(err);
  if (child > 0 && options.interrupt_after_ms > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(options.interrupt_after_ms));
    kill(child, SIGINT);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) throw std::runtime_error("cannot run " + command[0]);
  ProcessResult r;
  r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (r.code == kCannotStart) throw std::runtime_error("cannot start " + command[0]);
  if (options.out.empty() && !options.closed_pipe) r.out = read_file(out_path);
  r.err = read_file(err_path);
  return r;
}

}  // namespace wavetile
