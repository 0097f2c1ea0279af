// wavetile-emu-fuzz: random programs, compiled by LLVM for the host and for AMD's chips, must give the same bits.
#include <unistd.h>

#include <chrono>
#include <thread>

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "emulator/fuzz/generate.h"
#include "emulator/fuzz/session.h"
#include "emulator/fuzz/text.h"

namespace {

using namespace wavetile::fuzz;

unsigned configurations_of(const std::vector<std::string>& names) {
  unsigned set = 0;
  for (const std::string& n : names) {
    const unsigned before = set;
    for (std::size_t i = 0; i < configurations().size(); ++i)
      if (n == configurations()[i].name || n == configurations()[i].chip) set |= 1u << i;
    if (set == before)
      throw CLI::ValidationError("--chip", "'" + n + "' is none of gfx1151, gfx1100, gfx942, gfx1151w64, gfx1100w64");
  }
  return set;
}

int print(const Settings& s) {
  for (std::uint64_t i = 0; i < s.programs; ++i) {
    const Program p = generate(s.seed, s.first + i);
    fmt::print("; for the chip\n{}\n; for the host\n{}\n", write({&p}, Side::amd), write({&p}, Side::host));
  }
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Random programs, compiled by LLVM for the host and for AMD's chips: the emulator must give the host's bits.");
  Settings s;
  s.jobs = static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::string> chips{"gfx1151", "gfx1100", "gfx942"};
  bool only_print = false, no_reduce = false;
  app.add_option("--programs", s.programs, "how many programs")->capture_default_str();
  app.add_option("--seed", s.seed, "which programs")->envname("WAVETILE_SEED")->capture_default_str();
  app.add_option("--first", s.first, "the number of the first, to repeat one")->capture_default_str();
  app.add_option("--chip", chips, "chips, in all of their wave sizes; gfx1151w64 and gfx1100w64 are one alone")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--level", s.level, "how much LLVM optimises: 0 to 3; -1: each program's own")
      ->check(CLI::Range(-1, 3))
      ->capture_default_str();
  app.add_option("--jobs", s.jobs, "processes")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--out", s.out, "a folder for the failing programs, reduced");
  app.add_flag("--checks", s.checks, "with the emulator's checks: a report is a failure too");
  app.add_flag("--no-reduce", no_reduce, "write failing programs as they are");
  app.add_flag("--print", only_print, "print the programs and run nothing");
  CLI11_PARSE(app, argc, argv);
  s.reduce = !no_reduce;
  try {
    s.configurations = configurations_of(chips);
  } catch (const CLI::Error& e) {
    return app.exit(e);
  }
  if (only_print) return print(s);

  const bool bar = isatty(STDERR_FILENO);
  const auto begin = std::chrono::steady_clock::now();
  const Summary sum = fuzz(s, [&](std::uint64_t done) {
    if (bar) fmt::print(stderr, "\r{}/{} programs ", done, s.programs);
  });
  if (bar) fmt::print(stderr, "\r{:40}\r", "");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (const Failure& f : sum.failures)
    fmt::print("program {} on {} at level {}: {}: {}{}\n", f.number, f.configuration, f.level, f.kind,
               f.words.substr(0, f.words.find('\n')), f.file.empty() ? "" : " (" + f.file + ")");
  fmt::print(
      "{} programs of seed {}, {} runs, {} wave instructions, {:.1f} s ({:.1f} ms a program and job): {} failures, "
      "{} of LLVM alone\n",
      sum.programs, s.seed, sum.runs, sum.instructions, seconds,
      seconds * 1000 * s.jobs / static_cast<double>(std::max<std::uint64_t>(sum.programs, 1)), sum.failures.size(),
      sum.of_llvm);
  return sum.failures.size() > sum.of_llvm ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "wavetile-emu-fuzz: {}\n", e.what());
    return 2;
  }
}
