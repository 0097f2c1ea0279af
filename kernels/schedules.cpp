#include "kernels/schedules.h"

#include <algorithm>

namespace wavetile::kernels {

int panel(const Caps& caps) { return 2 * caps.lanes; }
// One row of activations reads this many panels at a time, each from a run of its own.
static constexpr int panels = 4;

Packing weight_packing(const Caps& caps, DType weights) {
  if (!caps.simd) return {};
  if (caps.bf16_dot && weights == DType::bf16) return {{{1, panel(caps)}, {0, 2}}, panels};
  return {{{1, panel(caps)}}, panels};
}
static bool on_matrix_units(const Caps& caps, DType factors) {
  return std::any_of(caps.matrix.begin(), caps.matrix.end(), [&](const MatrixUnit& u) { return u.factor == factors; });
}
DType input_type(const Caps& caps, DType weights) {
  bool pairs = caps.bf16_dot && weights == DType::bf16;
  return pairs || on_matrix_units(caps, weights) ? weights : DType::f32;
}
DType factor_type(const Caps& caps, DType cache) { return on_matrix_units(caps, cache) ? cache : DType::f32; }
Packing key_packing(const Caps& caps, bool batched) { return {{{batched ? 2 : 1, panel(caps)}}}; }

// Rows × 2 vectors of accumulators fill the registers, with room for two vectors and a broadcast.
static int accumulated_rows(const Caps& caps) { return caps.lanes >= 16 ? 12 : caps.lanes >= 8 ? 6 : 4; }

// Columns that a warp reads with the widest access of each lane.
static int wide_columns(const Caps& caps, DType weights) { return caps.lanes * caps.vector_bytes / size_of(weights); }

// What has to come from memory is asked for long before: loads of a lane at a time, and warps that share out the serial
// range of a kernel with few results.
static constexpr int loads_in_flight = 8;
static int sharing_warps(const Caps& caps) { return std::min(8, caps.max_warps); }

// Warps of a block share their operands, a step of k at a time. A tile twice as long each way asks memory for half as
// much, and shared memory for three quarters (a warp's fragments serve more instructions); it fills its lanes'
// registers, and is for as many results that two of its blocks come to each compute unit. Steps of k are the same in
// both: so are the sums.
//
// Two stages: the units multiply one step while the next is on its way. That takes up to 2 % more instructions, and
// registers that more blocks could have; but without it other blocks have to cover what a step waits for, and few run
// beside the last ones of a launch. Waits are not in what the emulator counts.
static Schedule matrix_schedule(const Caps& caps, DType weights, long rows, long columns) {
  constexpr int small = 64, large = 128, k = 32, stages = 2;
  const int warps = large * large / (caps.max_registers * caps.lanes);
  const bool many = (rows / large) * (columns / large) >= 2 * caps.compute_units;
  const bool fits = warps <= caps.max_warps && stages * 2 * large * k * size_of(weights) <= caps.shared_bytes;
  const int side = many && fits ? large : small;
  return {.tile = {{"m", side}, {"n", side}, {"k", k}}, .warps = side == large ? warps : 4, .stages = stages};
}

// On a CPU the tile is what the registers hold. The walk keeps a block of rows in the second-level cache while the
// weights stream past it.
Schedule matmul_schedule(const Caps& caps, DType weights, long rows, long columns, long depth, DType inputs) {
  Schedule s;
  if (caps.simd) {
    int m = accumulated_rows(caps);
    // Four steps of k at a time leave little but multiply-adds and loads in the loop: a core whose front end is shared
    // with another thread falls to 0.6 of its peak with one step, to 0.9 with four.
    s.tile = {{"m", m}, {"n", panel(caps)}, {"k", 4}};
    s.packing = {{"B", weight_packing(caps, weights)}};
    constexpr long l2_bytes = 80 << 10;
    long run = std::max(2l, l2_bytes / (4 * std::max(depth, 1l) * m));
    if (rows > run * m)
      s.order = {{"m", static_cast<int>(run)}, {"n", 0}, {"m", 0}};
    else
      s.order = {{"n", 0}, {"m", 0}};
  } else if (inputs == weights && on_matrix_units(caps, weights)) {
    return matrix_schedule(caps, weights, rows, columns);
  } else {
    // Narrow weights give a lane more columns: fewer steps of k keep it out of scratch, at strides that are not known
    // too.
    s.tile = {{"m", 8}, {"n", wide_columns(caps, weights)}, {"k", 2 * size_of(weights)}};
    s.warps = 4;
  }
  return s;
}

// Eight vectors of accumulators hide the latency of the multiply-adds, and four panels are four streams of memory. More
// panels (fewer, larger blocks) and asking for lines ahead of time were tried and gained nothing.
Schedule gemv_schedule(const Caps& caps, DType weights) {
  Schedule s;
  if (caps.simd) {
    s.tile = {{"n", panels * panel(caps)}, {"k", 4}};
    s.packing = {{"B", weight_packing(caps, weights)}};
  } else {
    // A quarter of the lanes reads a cache line of a row (of 32 lanes; two of 64), the others the rows below it: many
    // narrow blocks. With a warp's eight loads a lane, and eight warps that share out k, a chip of some dozens of
    // compute units has hundreds of kilobytes in flight.
    s.tile = {{"n", wide_columns(caps, weights) / 4}, {"k", 4 * loads_in_flight}};
    s.warps = sharing_warps(caps);
    s.share = "k";
  }
  return s;
}

Schedule attention_schedule(const Caps& caps, bool one_row, bool batched, DType factors, int64_t head) {
  constexpr int64_t unit = 16;  // k, and columns, of every matrix instruction
  Schedule s;
  if (caps.simd) {
    s.packing = {{"K", key_packing(caps, batched)}};
    s.tile = {{"head", 1}, {"m", one_row ? 1 : accumulated_rows(caps)}, {"t", one_row ? 8 * caps.lanes : panel(caps)}};
    if (one_row) s.split = {{"t", 4}};
  } else if (!one_row && on_matrix_units(caps, factors) && head % unit == 0) {
    // Each warp has 16 rows of its own; keys and values are shared.
    s.tile = {{"head", 1}, {"m", caps.lanes}, {"t", 32}};
    s.warps = caps.lanes / 16;
  } else if (one_row) {
    // As in a gemv, a few lanes read a key, the others those after it.
    s.tile = {{"head", 1}, {"m", 1}, {"t", caps.lanes}};
    s.warps = sharing_warps(caps);
    s.share = "t";
  } else {
    // A lane of a wide wave holds the same rows and keys as one of a narrow wave: fewer rows keep it out of scratch.
    s.tile = {{"head", 1}, {"m", 64 / caps.lanes}, {"t", 16}};
  }
  return s;
}

Schedule append_schedule(const Caps& caps, bool batched) {
  Schedule s;
  if (caps.simd) s.packing = {{"K", key_packing(caps, batched)}};
  return s;
}

Schedule embedding_schedule(const Caps& caps, DType weights) {
  Schedule s;
  if (caps.simd) s.packing = {{"Tokens", weight_packing(caps, weights)}};
  s.tile = {{"row", 1}, {"col", 4 * caps.lanes}};
  return s;
}

Schedule rows_schedule(const Caps&) { return {}; }

// Few rows, and long ones: all warps of a block on one.
Schedule argmax_schedule(const Caps& caps) {
  if (caps.simd) return {.tile = {{"col", 8 * caps.lanes}}};
  constexpr int f32s = 4;  // of an access
  return {.tile = {{"col", loads_in_flight * f32s * caps.lanes}}, .warps = caps.max_warps, .share = "col"};
}

// Six vectors at a time hide the latencies of a draw's long chains; more would not stay in the registers of a CPU.
Schedule sampling_schedule(const Caps& caps) { return {.tile = {{"col", (caps.simd ? 6 : 8) * caps.lanes}}}; }

}  // namespace wavetile::kernels
