// The lines of tests/emulator/instructions/state_*.txt: a few instructions, the state before, and what differs after.
//
//   s_add_u32 s0, s1, s2 | s1=ffffffff s2=1 > s0=0 scc=1
//
// Instructions are separated by semicolons. An item is a register (s0, s[0:1], vcc, exec, m0, scc, v0, v[0:1], a0), of
// all lanes or from one on (v0.3), or memory from a byte offset on (lds@40, mem@40, scr.LANE@8), and its values in hex,
// separated by commas: successive lanes, or successive dwords of memory. `&x` is x bytes after the test's memory, `$x`
// after the first instruction, `#m+a` is lane * m + a, `&#m+a` both; results may be `nan` or `bits~ulps` of an f32.
// After, a value of a vector register without a lane is that of the lanes in EXEC before. `mode=x` sets MODE first;
// `fault=kind` expects a report. A line that begins with @ says for which chips or families, and for which wave sizes,
// the lines below it are.
#pragma once

#include <string>
#include <vector>

#include "tests/emulator/experiment.h"

namespace wavetile::emu::testing {

struct StateLine {
  std::string where, code, before, after;
  std::vector<std::string> targets;  // words after @
  bool fits(const Chip& chip, int lanes) const;
};

/// Throws std::runtime_error on a line that it cannot read.
std::vector<StateLine> read_state_lines(const std::string& path);
Experiment experiment(const StateLine& line, const Chip& chip, int lanes);

}  // namespace wavetile::emu::testing
