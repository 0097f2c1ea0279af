// The state that instructions work on: a wave, its workgroup, its dispatch.
//
// A vector register is a row of 32-bit words, one a lane; rows of a wave32 have 32 words, of a wave64 64. Lanes whose
// bit in EXEC is clear keep what they had.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "emulator/decode.h"
#include "emulator/emulator.h"

namespace wavetile::emu {

class Monitor;
struct Op;
struct Program;
struct Workgroup;

// Rows of a wave's register file, whatever the kernel allocated: v0.., a0.. (CDNA), and a few for the emulator itself.
inline constexpr int kVgprs = 256, kSpareRows = 4;
inline int first_spare_row(const Chip& chip) { return chip.accumulation_vgprs ? 2 * kVgprs : kVgprs; }

/// Collects reports; thread-safe. A defect that a loop meets again is reported once: reports of one kind at one
/// instruction are counted, not kept.
class ReportSink {
 public:
  void add(Report report);
  std::vector<Report> take();
  bool fatal() const { return fatal_.load(std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  std::vector<Report> reports_;
  std::map<std::pair<std::string, std::uint64_t>, std::size_t> seen_;
  std::atomic<bool> fatal_{false};
};

/// Of one dispatch, the same for all waves.
struct Launch {
  const Dispatch* dispatch = nullptr;
  const Chip* chip = nullptr;
  Memory* memory = nullptr;
  Program* program = nullptr;
  Monitor* monitor = nullptr;  // nullptr: no checks and no counters
  ReportSink* sink = nullptr;
  bool checks = false;  // accesses outside LDS are reported; without, they read 0 and write nothing, as in hardware
  // The source line of an instruction's address, where there is one.
  std::function<std::optional<SourceLine>(std::uint64_t)> line;
  KernelDescriptor descriptor;
  std::string kernel;
  std::uint64_t entry_offset = 0;  // of the kernel's first instruction in the program, bytes
  int lanes = 32;
  int vgprs = 0, agprs = 0;  // that the kernel allocated
  int sgprs = 0;
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
  std::uint8_t round32 = 0, round64 = 0;    // of f32, of f16 and f64: 0 nearest even, 1 up, 2 down, 3 towards zero
  std::uint8_t denorm32 = 3, denorm64 = 3;  // bit 0: inputs are kept, bit 1: outputs are kept
  bool dx10_clamp = true, ieee = true;
  std::uint32_t raw = 0x3f0;  // the register, other fields too
  bool plain() const { return (round32 | round64) == 0 && denorm32 == 3 && denorm64 == 3; }
};

struct Wave {
  // --- architectural state
  std::uint32_t* vgprs = nullptr;           // rows
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
  std::uint64_t changes = 0;  // stores, and atomics that changed what they touched: none in a wave that only waits
  std::uint8_t* scratch = nullptr;   // private_bytes for each lane, one lane after the other
  const Allocation* last = nullptr;  // of the last access to global memory
  std::uint64_t memory_version = 0;  // for which `last` is good
  void* checks = nullptr;            // of the monitor

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

/// Register files are large and seldom touched whole: memory that nobody clears before its time.
class Rows {
 public:
  Rows() = default;
  explicit Rows(std::size_t words)
      : size_(words + 16), words_(std::make_unique_for_overwrite<std::uint32_t[]>(size_)) {}
  // Aligned for vectors of 64 bytes.
  std::uint32_t* data() const {
    void* p = words_.get();
    std::size_t space = size_ * 4;
    return static_cast<std::uint32_t*>(std::align(64, (size_ - 16) * 4, p, space));
  }
  void fill(std::uint32_t value) { std::fill_n(words_.get(), size_, value); }

 private:
  std::size_t size_ = 0;
  std::unique_ptr<std::uint32_t[]> words_;
};

struct Workgroup {
  std::array<std::uint32_t, 3> id{};
  std::vector<std::uint8_t> lds;
  std::vector<std::unique_ptr<Wave>> waves;
  Rows registers;                     // of all waves
  std::vector<std::uint8_t> scratch;  // of all waves
  int compute_unit = 0;
  int arrived = 0, ended = 0;  // waves at the barrier, waves past their end
  std::uint64_t phase = 0;     // barriers passed
  void* checks = nullptr;      // of the monitor
};

/// A report with its text: what happened, then the instruction, where in the grid, and the source line. `lane` -1: the
/// whole wave.
Report make_report(const Wave& wave, const Op* op, std::string kind, const std::string& what, int lane = -1,
                   std::uint64_t data = 0);
/// Stops the wave with a report: what it did is an error that the hardware would not survive either, or an instruction
/// that the emulator does not know. `data` is the address accessed, `lane` -1 where the whole wave is meant.
void fault(Wave& wave, const Op& op, std::string kind, std::string what, int lane = -1, std::uint64_t data = 0);

/// Runs a wave until it has executed `budget` instructions or its status is no longer ready.
void run_wave(Wave& wave, std::uint64_t budget);

}  // namespace wavetile::emu
