// Many programs, in processes of their own: where LLVM, the reference or the emulator crashes, one program is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace wavetile::fuzz {

struct Settings {
  std::uint64_t seed = 1, first = 0, programs = 1000;
  unsigned configurations = 0;  // a set, as in operation.h
  int level = -1;               // -1: each program's own
  int jobs = 1;
  bool checks = false;
  bool reduce = true;
  std::string out;  // a folder for what failed; empty: nothing is written
};

struct Failure {
  std::uint64_t number = 0;
  std::string configuration;
  int level = 0;
  std::string kind;  // "mismatch", "report", "llvm", "crash"
  std::string words;
  std::string file;  // with the reduced program, where there is one
};

struct Summary {
  std::uint64_t programs = 0, runs = 0, instructions = 0;
  std::vector<Failure> failures;
  std::uint64_t of_llvm = 0;  // failures that LLVM alone made
};

/// `progress` is called now and then with the number of programs done.
Summary fuzz(const Settings& settings, const std::function<void(std::uint64_t)>& progress);

}  // namespace wavetile::fuzz
