// Layouts: where each element of a tile lives.
//
// A layout is a linear map over GF(2) from the bits of (register, lane, warp) to the bits of the tile's coordinates:
// every bit has a basis, the coordinate that it adds, and the coordinate of a place is the XOR of the bases of its
// set bits. (Triton's LinearLayout; 'Linear Layouts', ASPLOS 2026.) Extents that are not powers of two are
// repetitions of such a block of 2^k, in further registers:
//
//     coordinate(axis) = repetition(axis) * 2^k(axis)  +  XOR of bases        tile of 6 x 24 on 8 lanes:
//     register number  = (repetitions, row-major) << register bits | bits     m: 6 repetitions, n: 3 x 8 lanes
//
// A zero basis replicates: the lanes (or warps) that differ in that bit hold the same element. That is how reductions
// leave their result everywhere, and why broadcasting needs no data movement. A reduction never combines a replica;
// one replica stores.
#pragma once

#include <string>
#include <vector>

#include "dsl/ir.h"

namespace wavetile {

using Coord = std::vector<int>;  // one coordinate an axis, in the order of Layout::axes
using Bases = std::vector<Coord>;

struct Layout {
  Axes axes;
  std::vector<int> reps;   // an axis: repetitions of the block
  std::vector<int> block;  // an axis: 2^k
  Bases reg, lane, warp;

  bool operator==(const Layout&) const = default;

  int registers() const;
  Coord at(int reg, int lane, int warp) const;
  /// Position of an axis in `axes`; -1 where the tile lacks it.
  int position(RangeId axis) const;
  int extent(RangeId axis) const {
    auto p = position(axis);
    return p < 0 ? 1 : reps[size_t(p)] * block[size_t(p)];
  }
  /// All lanes hold the same.
  bool lane_uniform() const;
  /// The layout of a tile with some of the axes only: bits that moved along the others replicate.
  Layout restricted(const Axes& keep) const;
  /// The layout after a reduction over `axis`.
  Layout without(RangeId axis) const;
  /// With a further axis that lives in registers only.
  Layout with_registers(RangeId axis, int extent) const;
  /// The register that holds, in lane 0 of warp 0, the element at a coordinate; -1 if none does.
  int register_at(const Coord& c) const;
  /// Mask of the lane (warp) bits that only replicate.
  int replicas(const Bases& bases) const;

  std::string text(const Graph& g) const;
};

/// One source of a converted register: lanes l take it from lane XOR(bases of l's bits) ^ offset of register `reg`,
/// where XOR(select of l's bits) == pick.
struct LaneMap {
  std::vector<int> bases;  // a lane bit: what it adds to the source lane
  int offset = 0;
  int operator()(int lane) const;
  bool identity() const;
};
struct Source {
  int reg = 0;
  std::vector<bool> lanes;  // which destination lanes take this source
  LaneMap from;
};
struct Conversion {
  enum Kind { identity, registers, lanes, shared } kind = identity;
  std::vector<std::vector<Source>> sources;  // a destination register; empty for `shared`
};
/// What it takes to bring a tile from one layout to another: nothing, renaming registers, moving across lanes, or
/// going through shared memory (the element moves to another warp).
Conversion plan_conversion(const Layout& from, const Layout& to);

}  // namespace wavetile
