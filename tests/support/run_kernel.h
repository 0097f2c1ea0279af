// Kernels on every machine there is here (the CPU at several levels, the virtual targets), compared with the
// interpreter; see checks/run.h.
#pragma once

#include <vector>

#include "checks/run.h"

namespace wavetile {

/// cpu, cpu-avx2, cpu-baseline (those that this CPU has), virtual 8 explicit, virtual 64 implicit, virtual 32 implicit;
/// where the environment has WAVETILE_TEST_CHIP, that chip on the emulator alone, with all of its checks.
const std::vector<Machine>& machines();

/// Fails the test where differences() gives any.
void check_kernel(const Machine& m, const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors,
                  const Tolerance& tolerance, const std::vector<double>& scalars = {}, const Known& known = {});
/// On all machines; on those with warps, with 1, 2 and 4 of them.
void check_everywhere(const Kernel& k, Schedule s, const std::vector<HostTensor>& tensors, const Tolerance& tolerance,
                      const std::vector<double>& scalars = {}, const Known& known = {});

}  // namespace wavetile
