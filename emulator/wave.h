// The state that instructions work on: a wave, its workgroup, its dispatch.
//
// A vector register is a row of 32-bit words, one a lane; rows of a wave32 have 32 words, of a wave64 64. Lanes whose
// bit in EXEC is clear keep what they had.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "emulator/decode.h"
#include "emulator/emulator.h"

namespace wavetile::emu {

class Monitor;
struct Op;
struct Program;
struct Workgroup;

/// Of one dispatch, the same for all waves.
struct Launch {
  const Dispatch* dispatch = nullptr;
  const Chip* chip = nullptr;
  Memory* memory = nullptr;
  Program* program = nullptr;
  Monitor* monitor = nullptr;  // nullptr: no checks and no counters
  KernelDescriptor descriptor;
  std::string kernel;
  int lanes = 32;
  int vector_registers = 0;   // rows of a wave: VGPRs, AGPRs after them, and one spare row (see kSpare)
  int arch_registers = 0;     // VGPRs among them
  std::uint32_t private_bytes = 0, group_bytes = 0;
  std::array<std::uint32_t, 3> workgroups{};
  int waves_per_workgroup = 0;
};

// The addresses by which flat instructions reach LDS and scratch: their upper halves, above any host address.
inline constexpr std::uint32_t kSharedApertureHigh = 0x01000000, kPrivateApertureHigh = 0x02000000;

enum class Status : std::uint8_t {
  ready,
  yielded,  // s_sleep: ready again in the next turn
  barrier,  // waits for the other waves of its workgroup
  ended,
  faulted,  // its report is made; the dispatch stops
};

/// MODE, as far as it is emulated.
struct Mode {
  std::uint8_t round32 = 0, round64 = 0;  // of f32, of f16 and f64: 0 nearest even, 1 up, 2 down, 3 towards zero
  std::uint8_t denorm32 = 3, denorm64 = 3;  // bit 0: inputs are kept, bit 1: outputs are kept
  bool dx10_clamp = true, ieee = true;
  std::uint32_t raw = 0;  // the register, other fields too
  bool plain() const { return (round32 | round64) == 0 && denorm32 == 3 && denorm64 == 3; }
};

struct Wave {
  // --- architectural state
  std::uint32_t* vgprs = nullptr;  // rows
  std::array<std::uint32_t, kScalars> s{};  // kNull is 0 always; kM0 and kExec are in here
  bool scc = false;
  std::uint64_t pc = 0;  // the index of the next dword in the program's text (see Program)
  Mode mode;

  // --- what follows from it, kept up to date by whoever writes
  std::uint64_t exec = 0;  // s[kExec], s[kExec + 1]; bits of lanes that do not exist are clear
  bool mode_plain = true;

  // --- where it is
  const Launch* launch = nullptr;
  Workgroup* workgroup = nullptr;
  int number = 0;  // in its workgroup
  int lanes = 32;
  Status status = Status::ready;
  std::uint64_t executed = 0;
  std::uint8_t* scratch = nullptr;  // private_bytes for each lane, one lane after the other
  const Allocation* last = nullptr; // of the last access to global memory
  std::uint64_t memory_version = 0; // for which `last` is good
  void* checks = nullptr;           // of the monitor

  std::uint32_t* row(int reg) { return vgprs + static_cast<std::size_t>(reg) * lanes; }
  const std::uint32_t* row(int reg) const { return vgprs + static_cast<std::size_t>(reg) * lanes; }
  std::uint64_t all_lanes() const { return lanes == 64 ? ~std::uint64_t{0} : 0xffffffffu; }
  std::uint64_t scalar64(int reg) const { return s[reg] | (std::uint64_t{s[reg + 1]} << 32); }
  // A mask of lanes: one register in wave32, two in wave64.
  std::uint64_t lane_mask(int reg) const { return lanes == 64 ? scalar64(reg) : s[reg]; }
  void set_scalar(int reg, std::uint32_t value) {
    if (reg == kNull) return;
    s[reg] = value;
    if (reg >= kExec) refresh_exec();
  }
  void set_scalar64(int reg, std::uint64_t value) {
    if (reg == kNull) return;
    s[reg] = static_cast<std::uint32_t>(value);
    s[reg + 1] = static_cast<std::uint32_t>(value >> 32);
    if (reg >= kExec) refresh_exec();
  }
  void set_lane_mask(int reg, std::uint64_t value) {
    if (lanes == 64) {
      set_scalar64(reg, value);
    } else {
      set_scalar(reg, static_cast<std::uint32_t>(value));
    }
  }
  void refresh_exec() { exec = scalar64(kExec) & all_lanes(); }
};

struct Workgroup {
  std::array<std::uint32_t, 3> id{};
  std::vector<std::uint8_t> lds;
  std::vector<std::unique_ptr<Wave>> waves;
  std::vector<std::uint32_t> registers;  // rows of all waves
  std::vector<std::uint8_t> scratch;     // of all waves
  int compute_unit = 0;
  int arrived = 0, ended = 0;  // waves at the barrier, waves past their end
  std::uint64_t phase = 0;     // barriers passed
  void* checks = nullptr;      // of the monitor
};

/// Stops the wave with a report: what it did is an error that the hardware would not survive either, or an instruction
/// that the emulator does not know. `data` is the address accessed, `lane` -1 where the whole wave is meant.
void fault(Wave& wave, const Op& op, std::string kind, std::string what, int lane = -1, std::uint64_t data = 0);

}  // namespace wavetile::emu
