// Which launches of a list have to wait for those before them, by the memory that they touch. What lies between the
// elements of a strided tensor counts as touched: a launch may wait without need, and never runs too early.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/compile.h"

namespace wavetile {

/// Bytes [begin, end) that a launch touches.
struct Touched {
  uintptr_t begin = 0, end = 0;
  bool written = false;
};
/// Of a stage over its tensors, in the order of its graph; `schedule` says which are packed.
std::vector<Touched> touched_by(const Stage& stage, std::span<const TensorView> tensors, const Schedule& schedule);

class Hazards {
 public:
  /// Takes the next launch. True where it and one since the last that waited touch the same bytes, and one of the two
  /// writes them; the first waits.
  bool waits(const std::vector<Touched>& launch);

 private:
  bool any_ = false;
  std::vector<Touched> running_;  // what may be under way
};

}  // namespace wavetile
