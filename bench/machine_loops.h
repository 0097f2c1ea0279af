// The inner loops of the machine probes: the only place of the benchmarks that names instruction sets. Each loop
// exists once a set, in a function compiled for it; only loops that the running CPU can execute are listed.
#pragma once

#include <vector>

#include "bench/machine.h"

namespace wavetile {

std::vector<MachineLimits::Reader> readers();
std::vector<MachineLimits::Compute> f32_loops();
std::vector<MachineLimits::Compute> bf16_dot_loops();
std::vector<MachineLimits::Compute> i8_dot_loops();

}  // namespace wavetile
