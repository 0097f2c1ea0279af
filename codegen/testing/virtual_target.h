// Machines that exist for tests only: they run the common lowering with any number of lanes and warps on the host.
// Every thread of a block is a fiber, and all shared memory goes through a checker.
#pragma once

#include <cstdint>

#include "codegen/compile.h"

namespace wavetile {

/// A machine of up to 4 warps of `lanes` lanes (a power of two up to 64) with shared memory and barriers.
/// simd: a warp is one thread and its registers are vectors; else each lane is a thread with scalar registers, as on a
/// GPU, and lanes exchange values by shuffles.
TargetPtr virtual_target(int lanes, bool simd);

/// Runs blocks [0, grid) of a stage that was compiled for a virtual target, one after the other. Each warp runs as far
/// as it can before the next one starts, in alternating order.
///
/// @throws Error where lanes disagree about a shuffle, warps about a barrier, or where shared memory is accessed out
/// of bounds, misaligned, before anything was written there, or by two threads without a barrier in between (unless
/// both write the same).
void run_virtual(const Target& t, const Code& code, const Stage& stage, const int64_t* slots, int64_t grid);

}  // namespace wavetile
