// What a dispatch did, in numbers. They are exact counts of the instructions that were executed, not estimates of time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "emulator/emulator.h"
#include "emulator/monitor.h"
#include "emulator/op.h"

namespace wavetile::emu {

struct Counters {
  std::string kernel, chip;
  int lanes = 0;                                   // of a wave
  std::uint64_t workgroups = 0, waves = 0;         // that began
  int vgprs = 0, agprs = 0, sgprs = 0;             // that a wave allocates
  std::uint32_t lds_bytes = 0, scratch_bytes = 0;  // of a workgroup, of a work-item
  int waves_per_simd = 0;                          // that fit at a time: the occupancy

  std::uint64_t instructions = 0;                    // of waves
  std::array<std::uint64_t, kClasses> by_class{};    // indexed by Class
  std::map<std::string, std::uint64_t> by_mnemonic;  // a dual instruction under both names, joined by " :: "
  std::uint64_t vector_instructions = 0;             // those that EXEC governs
  std::uint64_t vector_lanes = 0;                    // lanes that were on in them, summed

  struct Traffic {
    std::uint64_t accesses = 0;                        // instructions, or halves of those that access two places
    std::uint64_t loaded = 0, stored = 0, atomic = 0;  // bytes that the lanes moved
  };
  std::array<Traffic, 4> traffic{};  // indexed by Space

  // Of vector accesses to global memory, in lines of Chip::cache_line bytes.
  int line_bytes = 0;
  std::uint64_t line_accesses = 0;  // instructions
  std::uint64_t lines_touched = 0;  // distinct lines of each, summed
  // Of the whole dispatch, scalar loads too.
  std::uint64_t distinct_lines_read = 0, distinct_lines_written = 0;
  // The most that one wave's vector loads had outstanding, by the kernel's own waits: whole lines, those that nothing
  // in the dispatch had read before.
  std::uint64_t bytes_in_flight = 0;

  // LDS has 32 banks of 4 bytes a compute unit (RDNA3 ISA and CDNA3 ISA, "Local Data Share"). A pass serves as many
  // consecutive lanes as fill them (32 of 4 bytes, 16 of 8, 8 of 16) and takes a cycle for each dword that its busiest
  // bank has to deliver; lanes that want the same dword share it.
  std::uint64_t lds_passes = 0;           // with a lane that is on
  std::uint64_t lds_conflict_cycles = 0;  // cycles beyond one a pass

  std::string to_text() const;
  std::string to_json() const;  // an object; units as above
  /// What to_json() wrote. @throws std::runtime_error that names the field which is missing or is none.
  static Counters from_json(const std::string& text);
};

/// The monitor that counts; counters() gives them after the dispatch.
std::shared_ptr<Monitor> make_counting_monitor();

}  // namespace wavetile::emu
