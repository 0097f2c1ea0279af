// Matrix instructions, and the layouts in which a dot's tiles come to them.
//
// A row of a target's table is one instruction of a warp, D[row, column] = sum over k of A[row, k] * B[column, k] +
// C[row, column], with the layout of each of its operands over (register, lane); a zero basis says that lanes hold the
// same. A dot takes it for two of its axes and k: its result is the row's C, tiled over warps and registers, its
// operands are A and B, tiled alike. The order of k is the dot's to choose, as long as both operands agree on it.
#pragma once

#include <optional>
#include <string>

#include "codegen/layout.h"

namespace wavetile {

struct Caps;

struct MatrixUnit {
  std::string name;
  DType factor, result;
  Layout a, b, c;  // axes: a (row, k); b (column, k), low bits of k in registers; c (row, column); one block, no warps

  int rows() const { return a.block[0]; }
  int columns() const { return b.block[0]; }
  int depth() const { return a.block[1]; }
};

/// How a dot is given to an instruction.
struct MatrixUse {
  const MatrixUnit* unit = nullptr;
  size_t a = 0;  // the operand of the dot that is A
  RangeId rows = -1, columns = -1;
};

/// The row for a dot whose operand `a` is A: one for its types whose shape divides the tile. None: there is none.
std::optional<MatrixUse> matrix_use(const Graph& g, const Op& dot, const Caps& caps, size_t a);
inline bool on_matrix_unit(const Graph& g, const Op& dot, const Caps& caps) {
  return matrix_use(g, dot, caps, 0) || matrix_use(g, dot, caps, 1);
}

/// The layout of the dot's result. Warps divide ranges that blocks divide too before others, whose elements meet later.
Layout matrix_result(const Graph& g, const Op& dot, const MatrixUse& use, int warp_bits);
/// The layout of operand i of a dot with that result. `wide`: k is dealt out so that a lane holds as many consecutive
/// elements as one access can take.
Layout matrix_operand(const Graph& g, const Op& dot, size_t i, const MatrixUse& use, const Layout& result, bool wide,
                      int vector_bytes);

}  // namespace wavetile
