// The reference: what a graph means, evaluated naively on the host. Every target is compared with it.
#pragma once

#include <map>
#include <span>
#include <string>

#include "dsl/ir.h"
#include "dsl/tensor_view.h"

namespace wavetile {

/// How the interpreter cuts up a kernel; results may differ by rounding only.
struct InterpretOptions {
  std::map<std::string, int> tile;   // parallel or serial range -> elements of a block (default: at most 64)
  std::map<std::string, int> split;  // serial range -> parts, each folded from the initial value, then merged in order
};

/// Runs the whole grid, block after block, in double precision: f32 arithmetic is not rounded between ops, constants,
/// casts and stores are (to nearest even, once). i32 wraps; bool is 0 or 1.
///
/// Elements outside a range's bounds do not exist; coordinates that an offset takes outside a tensor read 0 and store
/// nothing. Where scattered elements collide, one of them is stored.
///
/// @param views the tensors, in the order of g.tensors   @param scalars the scalars, in the order of g.scalars
/// @throws Error where check_launch does, or where an option names no range of the right kind.
void interpret(const Graph& g, std::span<const TensorView> views, std::span<const double> scalars,
               const InterpretOptions& options = {});

/// `x` rounded to a float type, to nearest even, once; NaN stays NaN.
double rounded_to(DType t, double x);

}  // namespace wavetile
