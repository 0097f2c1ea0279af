#include "emulator/fuzz/session.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emulator/fuzz/chunk.h"

namespace wavetile::fuzz {

// What a chunk's process says at its end.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Failure, number, configuration, level, kind, words, file)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Summary, programs, runs, instructions, failures, of_llvm)

namespace {

constexpr unsigned kMostSeconds = 600;  // of a chunk: longer is a program that never ends

struct Child {
  pid_t pid = 0;
  int pipe = -1;
  ChunkOrder order;
  volatile Whereabouts* at = nullptr;  // shared with it
  std::string said;
};

class Session {
 public:
  Session(const Settings& settings, const std::function<void(std::uint64_t)>& progress)
      : settings_(settings), progress_(progress) {}

  Summary run() {
    for (std::uint64_t n = 0; n < settings_.programs;) {
      ChunkOrder order;
      order.first = settings_.first + n;
      // Chunks begin where level_of() changes.
      order.programs = std::min(kChunk - order.first % kChunk, settings_.programs - n);
      n += order.programs;
      waiting_.push_back(order);
    }
    while (!waiting_.empty() || !children_.empty()) {
      while (!waiting_.empty() && static_cast<int>(children_.size()) < settings_.jobs) start();
      listen();
    }
    std::sort(sum_.failures.begin(), sum_.failures.end(), [](const Failure& a, const Failure& b) {
      return std::tie(a.number, a.configuration) < std::tie(b.number, b.configuration);
    });
    return std::move(sum_);
  }

 private:
  void start() {
    Child c;
    c.order = std::move(waiting_.front());
    waiting_.pop_front();
    void* shared = mmap(nullptr, sizeof(Whereabouts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    if (shared == MAP_FAILED || pipe(ends) != 0) throw std::runtime_error(std::strerror(errno));
    c.at = static_cast<Whereabouts*>(shared);
    c.pid = fork();
    if (c.pid < 0) throw std::runtime_error(std::strerror(errno));
    if (c.pid == 0) child(c, ends[1]);
    close(ends[1]);
    c.pipe = ends[0];
    children_.push_back(std::move(c));
  }

  [[noreturn]] void child(const Child& c, int out) {
    alarm(kMostSeconds);
    if (!getenv("WAVETILE_FUZZ_STDERR") && !freopen("/dev/null", "w", stderr)) _exit(2);  // LLVM's words on its crashes
    std::string said;
    try {
      said = nlohmann::json(run_chunk(settings_, c.order, *c.at))
                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    } catch (const std::exception& e) {
      said = std::string("!") + e.what();
    }
    for (std::size_t at = 0; at < said.size();) {
      const ssize_t n = ::write(out, said.data() + at, said.size() - at);
      if (n <= 0) _exit(2);
      at += static_cast<std::size_t>(n);
    }
    _exit(0);
  }

  // Takes what the children say, and takes leave of those that end.
  void listen() {
    std::vector<pollfd> pipes;
    for (const Child& c : children_) pipes.push_back({c.pipe, POLLIN, 0});
    poll(pipes.data(), pipes.size(), 1000);
    for (std::size_t i = pipes.size(); i-- > 0;) {
      if (!pipes[i].revents) continue;
      char bytes[65536];
      const ssize_t n = read(children_[i].pipe, bytes, sizeof bytes);
      if (n > 0) {
        children_[i].said.append(bytes, static_cast<std::size_t>(n));
        continue;
      }
      Child c = std::move(children_[i]);
      children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
      int status = 0;
      waitpid(c.pid, &status, 0);
      close(c.pipe);
      ended(c, status);
      munmap(const_cast<Whereabouts*>(c.at), sizeof(Whereabouts));
    }
  }

  void ended(Child& c, int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      if (c.said.starts_with('!')) throw std::runtime_error("a chunk failed: " + c.said.substr(1));
      const Summary s = nlohmann::json::parse(c.said).get<Summary>();
      sum_.programs += s.programs, sum_.runs += s.runs, sum_.instructions += s.instructions, sum_.of_llvm += s.of_llvm;
      sum_.failures.insert(sum_.failures.end(), s.failures.begin(), s.failures.end());
      progress_(sum_.programs);
      return;
    }
    // It died. Alone first, to see of what; then without that, and without reducing if it died of that.
    if (c.at->phase == Whereabouts::reducing) {
      c.order.reduce = false;
    } else if (!c.order.alone) {
      c.order.alone = true;
    } else {
      const int k = c.at->configuration;
      const bool of_llvm = c.at->phase == Whereabouts::compiling;
      const std::uint64_t number = c.at->number;
      const std::string how =
          WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : fmt::format("exit {}", WEXITSTATUS(status));
      if (c.at->phase == Whereabouts::reference)
        throw std::runtime_error(fmt::format("the reference of program {} died: {}", number, how));
      sum_.failures.push_back({number, configurations()[static_cast<std::size_t>(k)].name, c.at->level,
                               of_llvm ? "llvm" : "crash", how, ""});
      sum_.of_llvm += of_llvm;
      c.order.skip.insert({number, k});
    }
    waiting_.push_front(std::move(c.order));
  }

  const Settings& settings_;
  const std::function<void(std::uint64_t)>& progress_;
  std::deque<ChunkOrder> waiting_;
  std::vector<Child> children_;
  Summary sum_;
};

}  // namespace

Summary fuzz(const Settings& settings, const std::function<void(std::uint64_t)>& progress) {
  return Session(settings, progress).run();
}

}  // namespace wavetile::fuzz
