// What an instruction does with registers, made once for each and kept by its program counter: which bits of which
// registers it looks at, what it writes, how undefinedness passes through it, and on which counters it is outstanding.
//
// Registers are numbered as the emulator does: vector rows (AGPRs from kVgprs), scalars by their numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/op.h"
#include "emulator/wave.h"

namespace wavetile::emu::checks {

struct Use {
  bool scalar = false;
  bool lane_mask = false;  // of a scalar: only the bits of enabled lanes count
  bool dpp = false;        // lanes are read as Op::dpp says
  std::uint16_t reg = 0;
  std::uint32_t bits = 0xffffffffu;
};

/// Undefined bits of `from` make `bits` of the vector register `reg` undefined.
struct Flow {
  std::uint16_t reg = 0;
  std::uint32_t bits = 0xffffffffu;
  std::vector<Use> from{};
};

enum class Way : std::uint8_t {
  compute,  // all that is read has to be defined
  vary,     // moves, selects, shifts, bitwise: the result's bits are undefined that change with the operands' undefined
            // bits
  linear,   // exclusive or: as above, operand by operand
  carry,    // sums and products: undefined bits reach upwards
  flow,     // halves or dwords that do not touch each other
  memory,   // addresses have to be defined; data is seen when it moves
};

enum class Lanes : std::uint8_t { enabled, all };

/// One instruction, or one half of a dual one.
struct Part {
  Way way = Way::compute;
  Lanes lanes = Lanes::enabled;       // that are read and written
  std::vector<Use> needs;             // read, and to be defined
  std::vector<Use> data;              // of vary and linear: what may be undefined
  std::vector<std::uint8_t> falling;  // of vary: whether more ones in data[i] make less in the result
  std::vector<Flow> flows;
  std::vector<std::uint16_t> rows, scalars;  // written
  std::uint32_t written = 0xffffffffu;       // bits of each row
  bool writes_scc = false, reads_scc = false;
  bool vector = false;  // EXEC governs it
  const Op* op = nullptr;
};

enum class Counter : std::uint8_t { none, vm, vs, lds, scalar };  // lds and scalar: both lgkm

struct Plan {
  const Op* op = nullptr;
  std::vector<Part> parts;  // two for a dual instruction
  // For the fast path: everything that is read or written.
  std::vector<std::uint16_t> read_rows, written_rows;
  std::uint64_t read_scalars[2] = {}, written_scalars[2] = {};  // a bit a register
  bool partial = false;     // not all of a written register is, or not in every enabled lane
  bool every_lane = false;  // whatever EXEC says
  bool cross_lane = false;  // lanes see others' values
  bool vector = false;      // EXEC governs it
  // Memory and waits.
  Counter counter = Counter::none;  // on which it is outstanding
  bool flat = false;                // and on lgkm too
  bool loads = false;               // its written registers arrive later
  bool uses_scc = false, writes_scc = false;
  std::string out_of_range;  // a register beyond what the kernel allocated
};

std::unique_ptr<Plan> make_plan(const Op& op, const Launch& launch);

/// As it is printed: "v3", "a0", "s[4]", "vcc_lo".
std::string register_name(bool scalar, int reg);

}  // namespace wavetile::emu::checks
