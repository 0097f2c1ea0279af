// The first greatest element of a row, found in parts: the states of folds that look for it.
#pragma once

#include "dsl/dsl.h"

namespace wavetile::kernels {

/// (value, coordinate) of two parts of a row, the second behind the first: a NaN is the greatest, the first of equals
/// wins.
inline State greatest(const State& a, const State& b) {
  Tile later = (a[0] < b[0]) | ((b[0] != b[0]) & (a[0] == a[0]));
  return State{where(later, b[0], a[0]), where(later, b[1], a[1])};
}

}  // namespace wavetile::kernels
