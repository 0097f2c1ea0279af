// A target whose code lacks one barrier: what tests of the emulator's checks compile with.
#pragma once

#include <memory>

#include "codegen/compile.h"

namespace wavetile {

struct Dropping {
  TargetPtr target;
  std::shared_ptr<int> emitted;  // barriers that a compilation asked for
};
/// `inner`, without the n-th barrier (from 0) of what is compiled next; n < 0: with all of them.
Dropping dropping_target(TargetPtr inner, int n);

}  // namespace wavetile
