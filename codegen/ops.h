// Ops that passes make, and what they ask of a graph.
#pragma once

#include <utility>
#include <vector>

#include "dsl/ir.h"

namespace wavetile {

inline Op constant_op(double x, Type type, Loc loc) {
  Op op{.kind = OpKind::constant, .args = {}, .types = {std::move(type)}, .loc = loc};
  op.constant = x;
  return op;
}
inline Op map_op(Fn fn, std::vector<Value> args, Type type, Loc loc) {
  Op op{.kind = OpKind::map, .args = std::move(args), .types = {std::move(type)}, .loc = loc};
  op.fn = fn;
  return op;
}

/// Elements of a tile's block.
inline int64_t elements(const Graph& g, const Axes& axes) {
  int64_t n = 1;
  for (RangeId r : axes) n *= g.range(r).tile;
  return n;
}

}  // namespace wavetile
