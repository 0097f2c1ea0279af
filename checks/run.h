// Runs a kernel on a machine and compares it with the interpreter. Whatever lies between and around the elements of a
// tensor must stay untouched.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checks/host_tensor.h"
#include "checks/tolerance.h"
#include "codegen/compile.h"
#include "runtime/device.h"

namespace wavetile {

/// Where a kernel runs: on a device; or in this process, where there is none.
struct Machine {
  std::string name;
  TargetPtr target;
  bool is_virtual = false;
  DevicePtr device = nullptr;
  /// How a stage's blocks are run in this process; empty: as the cpu target's code.
  std::function<void(const Code& code, const Stage& stage, const int64_t* slots, int64_t grid)> run = {};
};

/// What of the tensors' shapes the kernel is compiled for; the rest comes with the launch (extents of whole ranges are
/// always known). Compiled kernels are kept, and serve any launch that they fit.
struct Known {
  bool extents = true;
  enum Strides { all, innermost, none } strides = all;
  bool alignment = true;
};

/// Runs without comparing; the tensors take the results. A GPU's schedule that does not fit its registers is run with
/// smaller tiles.
/// @throws Error for what cannot be compiled or run, and for bytes outside the elements that were written.
void run_on(const Machine& m, const Kernel& k, const Schedule& s, std::vector<HostTensor>& tensors,
            const std::vector<double>& scalars = {}, const Known& known = {});

/// Compiles `k` for one machine, runs it and compares every tensor with the interpreter's. Schedules that ask for more
/// warps than the machine has are run with as many as it has. Gives what is wrong, in lines; nothing if all is well.
std::vector<std::string> differences(const Machine& m, const Kernel& k, const Schedule& s,
                                     const std::vector<HostTensor>& tensors, const Tolerance& tolerance,
                                     const std::vector<double>& scalars = {}, const Known& known = {});
/// The case in one line: kernel, machine, schedule, shapes, seed.
std::string describe_case(const Machine& m, const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors,
                          const Known& known = {});

}  // namespace wavetile
