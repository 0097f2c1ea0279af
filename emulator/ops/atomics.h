// Read-modify-write operations, as functions of the old value: the same for global memory, LDS and buffers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "emulator/ops/memory.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

struct Atomic {
  std::string_view rdna3, cdna3;          // after "global_atomic_"; empty: not of that family's memory
  std::string_view rdna3_lds, cdna3_lds;  // after "ds_", without _rtn; empty: not of that family's LDS
  int bytes;                              // 4 or 8
  int operands;                           // values a lane: 1, or 2 (a compare-and-swap's new value and comparand)
  std::uint64_t (*apply)(const Wave&, std::uint64_t old, std::uint64_t a, std::uint64_t b);
};
std::span<const Atomic> atomics();

/// The Move of atomics: op.flags >> kAtomicShift is the index into atomics(). Its operands are in the rows from
/// src[kData]; the second in those from src[kData2].
void move_atomic(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address);

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
