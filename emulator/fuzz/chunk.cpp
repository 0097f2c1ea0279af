#include "emulator/fuzz/chunk.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "emulator/fuzz/reduce.h"

namespace wavetile::fuzz {
namespace {

/// Whether it holds an operation that LLVM is known to compile wrongly there (docs/emulator-llvm-bugs.md).
bool broken(const Block& block, int configuration, int level) {
  for (const Statement& s : block.body) {
    const Operation& o = *s.operation;
    if ((o.broken >> configuration & 1) && (o.broken_levels >> level & 1) && s.type.in(o.broken_kinds)) return true;
    for (const Block& inner : s.blocks)
      if (broken(inner, configuration, level)) return true;
  }
  return false;
}

/// ... or more masks at level 0 than LLVM keeps there.
bool broken(const Program& p, int configuration, int level) {
  return broken(p.body, configuration, level) ||
         (level == 0 && std::ranges::any_of(p.types, [](Type t) { return t.kind == Kind::i1 && t.lanes > 1; }));
}

struct Loaded {
  Program program;
  Data data;
};

class Chunk {
 public:
  Chunk(const Settings& settings, const ChunkOrder& order, volatile Whereabouts& at)
      : settings_(settings), order_(order), at_(at), harness_(settings.checks) {}

  Summary run() {
    for (std::uint64_t i = 0; i < order_.programs; ++i) {
      Program p = generate(settings_.seed, order_.first + i);
      Data d = make_data(p);
      loaded_.push_back({std::move(p), std::move(d)});
    }
    if (order_.alone) {
      for (Loaded& l : loaded_) together({&l});
    } else {
      std::vector<Loaded*> all;
      for (Loaded& l : loaded_) all.push_back(&l);
      together(all);
    }
    summary_.programs = order_.programs;
    // Reducing replaces the reference's code, so it comes last.
    for (auto& [l, failure] : failed_) report(*l, failure);
    return std::move(summary_);
  }

 private:
  void where(Whereabouts::Phase phase, std::uint64_t number, int configuration, int level) {
    at_.phase = phase;
    at_.number = number;
    at_.configuration = configuration;
    at_.level = level;
  }
  static std::vector<const Program*> programs_of(const std::vector<Loaded*>& some) {
    std::vector<const Program*> programs;
    for (const Loaded* l : some) programs.push_back(&l->program);
    return programs;
  }

  void together(const std::vector<Loaded*>& some) {
    where(Whereabouts::reference, some[0]->program.number, 0, 0);
    harness_.prepare(programs_of(some));
    for (int c = 0; c < static_cast<int>(configurations().size()); ++c) {
      if (!(settings_.configurations >> c & 1)) continue;
      for (int level = 0; level < kLevels; ++level) {
        std::vector<Loaded*> here;
        for (Loaded* l : some)
          if ((l->program.configurations >> c & 1) && !order_.skip.contains({l->program.number, c}) &&
              (settings_.level < 0 ? level_of(l->program.number, c) : settings_.level) == level &&
              !broken(l->program, c, level))
            here.push_back(l);
        if (!here.empty()) on_configuration(here, c, level);
      }
    }
  }

  void on_configuration(const std::vector<Loaded*>& some, int c, int level) {
    const Configuration& on = configurations()[static_cast<std::size_t>(c)];
    std::shared_ptr<Harness::Kernels> kernels;
    try {
      where(Whereabouts::compiling, some[0]->program.number, c, level);
      kernels = harness_.compile(programs_of(some), on, level);
    } catch (const std::exception& e) {
      if (some.size() > 1) {
        for (Loaded* l : some) on_configuration({l}, c, level);
      } else {
        failed_.push_back({some[0], {some[0]->program.number, on.name, level, "llvm", e.what(), ""}});
      }
      return;
    }
    for (Loaded* l : some) {
      where(Whereabouts::running, l->program.number, c, level);
      const Result expected = harness_.expected(l->program, l->data, on);
      const Harness::Run got = harness_.run(*kernels, l->program, l->data);
      ++summary_.runs;
      summary_.instructions += got.instructions;
      const std::string words = got.problem.empty() ? difference(l->program, expected, got.result) : got.problem;
      if (!words.empty())
        failed_.push_back(
            {l, {l->program.number, on.name, level, got.problem.empty() ? "mismatch" : "report", words, ""}});
    }
  }

  /// What is wrong with it, and whether that is a report; empty: nothing.
  std::pair<std::string, bool> wrong(const Program& p, const Data& data, const Configuration& on, int level) {
    try {
      harness_.prepare({&p});
      const auto kernels = harness_.compile({&p}, on, level);
      const Result expected = harness_.expected(p, data, on);
      const Harness::Run got = harness_.run(*kernels, p, data);
      if (!got.problem.empty()) return {got.problem, true};
      return {difference(p, expected, got.result), false};
    } catch (const std::exception&) {
      return {"", false};  // not what is looked for
    }
  }

  // In a process of its own: what is tried while reducing may crash LLVM.
  std::pair<std::string, bool> wrong_alone(const Program& p, const Data& data, const Configuration& on, int level) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    const pid_t pid = fork();
    if (pid < 0) throw std::runtime_error("no process");
    if (pid == 0) {
      alarm(60);
      const auto [words, reported] = wrong(p, data, on, level);
      const std::string said = (reported ? "r" : "m") + words;
      const bool written = ::write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size());
      _exit(written ? 0 : 1);
    }
    close(ends[1]);
    std::string said;
    char bytes[4096];
    for (ssize_t n; (n = read(ends[0], bytes, sizeof bytes)) > 0;) said.append(bytes, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0 || said.empty()) return {"", false};
    return {said.substr(1), said[0] == 'r'};
  }

  void report(const Loaded& l, Failure failure) {
    const int c =
        static_cast<int>(std::find_if(configurations().begin(), configurations().end(),
                                      [&](const Configuration& k) { return failure.configuration == k.name; }) -
                         configurations().begin());
    const Configuration& on = configurations()[static_cast<std::size_t>(c)];
    Program small = l.program;
    if (order_.reduce && settings_.reduce && failure.kind != "llvm") {
      where(Whereabouts::reducing, l.program.number, c, failure.level);
      const bool is_report = failure.kind == "report";
      auto fails = [&](const Program& p) {
        const auto [words, reported] = wrong_alone(p, l.data, on, failure.level);
        return !words.empty() && reported == is_report;
      };
      small = reduce(l.program, fails);
      const std::string words = wrong_alone(small, l.data, on, failure.level).first;
      if (!words.empty()) failure.words = words;
    }
    if (!settings_.out.empty()) failure.file = write_file(small, on, failure);
    if (failure.kind == "llvm") ++summary_.of_llvm;
    summary_.failures.push_back(std::move(failure));
  }

  std::string write_file(const Program& small, const Configuration& on, const Failure& failure) {
    std::filesystem::create_directories(settings_.out);
    const std::string path =
        fmt::format("{}/{}-{}-{}-O{}.txt", settings_.out, settings_.seed, failure.number, on.name, failure.level);
    std::ofstream file(path);
    file << fmt::format("{} of program {} of seed {} on {} at level {}\n{}\n", failure.kind, failure.number,
                        settings_.seed, on.name, failure.level, failure.words);
    file << "\n==== for the chip\n"
         << write({&small}, Side::amd) << "\n==== for the host\n"
         << write({&small}, Side::host);
    if (failure.kind != "llvm")
      file << "\n==== the chip's code\n"
           << compile_assembly(write({&small}, Side::amd), on.chip, on.lanes, effort(failure.level));
    return path;
  }

  const Settings& settings_;
  const ChunkOrder& order_;
  volatile Whereabouts& at_;
  Harness harness_;
  std::vector<Loaded> loaded_;
  std::vector<std::pair<const Loaded*, Failure>> failed_;
  Summary summary_;
};

}  // namespace

int level_of(std::uint64_t number, int configuration) {
  // Mostly as usual; a chunk of programs shares it, and with it a module.
  constexpr int levels[] = {2, 0, 2, 1, 3, 2, 0, 3};
  return levels[(number / kChunk * 5 + static_cast<std::uint64_t>(configuration) * 3) % 8];
}

Summary run_chunk(const Settings& settings, const ChunkOrder& order, volatile Whereabouts& at) {
  return Chunk(settings, order, at).run();
}

}  // namespace wavetile::fuzz
