// The blocks of tests/emulator/instructions/vector_*.txt: lane-wise instructions with what goes in and comes out, and
// their expansion into experiments in every encoding and operand form that the instruction has.
//
// A block is a line `mnemonics | results = sources | families | notes`, then lines of cases `bits ... > bits ...`
// separated by semicolons. Kinds of operands: f16, b16, bf16, f32, b32, f64, b64, b128; pf16, pb16 (two halves), pf32
// (two words); mask (a bit a lane); k16, k32 (a literal); +kind: the old destination. A result may be `nan` (any quiet
// one) or `bits~ulps`. Notes: modifiers of the assembler, mode=bits of MODE, keep (CDNA3 leaves the upper half of a
// 16-bit result as it is), loose (what it holds is not documented), exact (no forms that change signs).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/emulator/experiment.h"

namespace wavetile::emu::testing {

struct Result {
  std::array<std::uint32_t, 4> bits{};
  Expected::Kind kind = Expected::Kind::exact;
  std::uint64_t ulps = 0;
};

struct Case {
  std::vector<std::array<std::uint32_t, 4>> in;
  std::vector<Result> out;
};

struct Block {
  std::string where;  // file:line
  std::vector<std::string> mnemonics, results, sources;
  bool tied = false;  // the last source is the old destination
  bool rdna3 = false, cdna3 = false;
  std::string modifiers;
  int mode = -1;
  bool keep = false, loose = false, exact = false;
  std::vector<Case> cases;
};

/// Throws std::runtime_error on a line that it cannot read.
std::vector<Block> read_blocks(const std::string& path);

/// All experiments with one of the block's mnemonics on one chip and wave size, with their code; empty for a chip that
/// has no such instruction. Throws when not even the plain form can be assembled.
struct Ready {
  Experiment experiment;
  std::vector<std::byte> code;
};
std::vector<Ready> expand(const Block& block, const std::string& mnemonic, const Chip& chip, int lanes);

}  // namespace wavetile::emu::testing
