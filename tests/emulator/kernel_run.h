// Kernels for the tests of the checks: assembly or LLVM IR made into a code object, run on buffers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emulator/emulator.h"

namespace wavetile::emu::testing {

struct AsmKernel {
  std::string body;  // s[0:1]: arguments; s2: workgroup id; v0: work-item id; s_endpgm is added
  int vgprs = 32;    // allocated
  unsigned lds = 0, scratch = 0;
  bool wgp_mode = true;  // RDNA3
};

/// A code object with the kernel "k".
std::vector<std::byte> assemble_kernel(std::string_view chip, const AsmKernel& kernel);

/// The bytes of a code object that are the code of its one kernel, by file offset.
struct CodeRange {
  std::size_t begin = 0, end = 0;
  std::uint64_t address = 0;  // of the file, of the first byte
};
CodeRange code_range(const std::vector<std::byte>& file, const std::string& kernel);

struct Buffer {
  std::vector<std::uint32_t> words;
  bool initialised = true;
};

struct KernelRun {
  std::vector<std::byte> file;
  std::string kernel = "k";
  std::string chip = "gfx1151";
  std::uint32_t groups = 1;
  std::uint16_t items = 32;            // of a workgroup
  std::vector<Buffer> buffers;         // the arguments are their addresses
  std::vector<std::uint32_t> scalars;  // after them
  bool checks = true, stale = false, counters = false;
  std::uint64_t max_instructions = 1000000, seed = 1;
};

/// Runs it once; the buffers hold what the kernel left.
Outcome run_kernel(KernelRun& run);
/// The reports' texts, for messages.
std::string texts(const Outcome& outcome);
/// The instruction's text in a report: what follows "at kernel k + 0x..: ".
std::string instruction_of(const Report& report);
/// "kind: instruction" of each report.
std::vector<std::string> found(const Outcome& outcome);

}  // namespace wavetile::emu::testing
