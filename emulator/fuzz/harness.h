// Runs programs on the reference and on the emulator, and compares what they leave behind.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/testing/compile_ir.h"
#include "emulator/emulator.h"
#include "emulator/fuzz/reference.h"

namespace wavetile::fuzz {

/// Levels 0 to 3: nothing optimised; the code generator alone; everything as usual; everything.
IrEffort effort(int level);
inline constexpr int kLevels = 4;

class Harness {
 public:
  explicit Harness(bool checks) : checks_(checks) {}
  /// Compiles the reference of some programs.
  void prepare(const std::vector<const Program*>& programs, int level = 0);
  Result expected(const Program& program, const Data& data, const Configuration& on);

  /// A code object's kernels, ready to run. Throws where LLVM refuses the programs.
  class Kernels;
  std::shared_ptr<Kernels> compile(const std::vector<const Program*>& programs, const Configuration& on, int level);
  struct Run {
    Result result;
    std::string problem;  // a report, or empty
    std::uint64_t instructions = 0;
  };
  Run run(Kernels& kernels, const Program& program, const Data& data);

 private:
  emu::Emulator& emulator(const std::string& chip);
  bool checks_;
  Reference reference_;
  std::unique_ptr<HostCode> host_;
  std::map<std::string, std::unique_ptr<emu::Emulator>> emulators_;
};

/// The first difference, in words; empty when there is none. NaNs are equal.
std::string difference(const Program& program, const Result& expected, const Result& got);

}  // namespace wavetile::fuzz
