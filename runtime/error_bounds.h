// Running error analysis: how far a machine's f32 results may be from those of the interpreter, element by element.
#pragma once

#include <vector>

#include "dsl/ir.h"

namespace wavetile {

/// A recorded kernel that computes its own error bounds. What it stores, it stores twice more: the bound, and which
/// store it was. Interpreted, it says what the kernel's results are, how far off rounding may take them, and which
/// elements are written at all.
struct Bounded {
  struct Output {  // tensors of `graph`, of equal extents
    int tensor;
    int error;  // f32: the bound; infinite or NaN where nothing can be said (a choice between nearly equal values)
    int site;   // i32: 1 + an index of `stores`; to be 0 before
  };
  Graph graph;  // the kernel's tensors, then these; results of the kernel's own are those of the kernel
  std::vector<Output> outputs;
  std::vector<Loc> stores;
};

/// Inputs are exact. Every f32 operation is off by its unit round-off, an elementwise function by kFunctionError of
/// them, a sum of n terms in any order by n unit round-offs of the sum of their magnitudes; errors of operands spread
/// as far as the operation takes them (Higham, 'Accuracy and Stability of Numerical Algorithms', 2nd ed., sections 3.3
/// and 4.2).
Bounded with_error_bounds(const Graph& g);

}  // namespace wavetile
