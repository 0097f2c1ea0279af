// Runs a kernel on every machine there is here (the CPU at several levels, the virtual targets) and compares it with
// the interpreter. Outputs start as a pattern that no kernel computes; whatever lies between and around the elements
// of a tensor must stay untouched.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "codegen/compile.h"
#include "runtime/device.h"
#include "tests/support/tolerance.h"

namespace wavetile {

/// A tensor with memory of its own, in which it may lie with any positive strides and offset.
struct HostTensor {
  DType dtype = DType::f32;
  std::vector<int64_t> extents, strides;  // elements
  int64_t offset = 0;                     // elements before the first one
  std::vector<char> bytes;

  HostTensor(DType dtype, std::vector<int64_t> extents, std::vector<int64_t> strides = {}, int64_t offset = 0);
  TensorView view();
  int64_t elements() const;
  double get(int64_t i) const;  // the i-th element in row-major order
  void set(int64_t i, double x);

  size_t place(int64_t i) const;  // its byte
};

/// The seed of a test's random numbers; WAVETILE_SEED overrides it. Failures print it.
uint64_t seed();
std::mt19937_64& random_engine();

enum class Values { normal, edges };  // edges: some infinities, NaNs, zeros of both signs, denormals, extremes
/// Floats uniform in [-scale, scale], integers in the range that `scale` leaves of the type.
HostTensor random_tensor(DType t, std::vector<int64_t> extents, double scale = 1, Values values = Values::normal);
/// Integers uniform in [lo, hi].
HostTensor random_integers(DType t, std::vector<int64_t> extents, int64_t lo, int64_t hi);
HostTensor tensor_of(DType t, std::vector<int64_t> extents, const std::vector<double>& values);
/// An output: the pattern everywhere.
HostTensor output(DType t, std::vector<int64_t> extents);
/// The same elements with other strides and offset (elements).
HostTensor strided(const HostTensor& t, std::vector<int64_t> strides, int64_t offset = 0);

struct Machine {
  std::string name;
  TargetPtr target;
  bool is_virtual = false;
  DevicePtr device = nullptr;  // on which it runs, where that is not this process
};
/// cpu, cpu-avx2, cpu-baseline (those that this CPU has), virtual 8 explicit, virtual 64 implicit, virtual 32 implicit;
/// where the environment has WAVETILE_TEST_CHIP, that chip on the emulator alone, with all of its checks.
const std::vector<Machine>& machines();

/// What of the tensors' shapes the kernel is compiled for; the rest comes with the launch (extents of whole ranges are
/// always known). Compiled kernels are kept, and serve any launch that they fit.
struct Known {
  bool extents = true;
  enum Strides { all, innermost, none } strides = all;
  bool alignment = true;
};

/// Compiles `k` for one machine, runs it and compares every tensor with the interpreter's. Schedules that ask for more
/// warps than the machine has are run with as many as it has.
void check_kernel(const Machine& m, const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors,
                  const Tolerance& tolerance, const std::vector<double>& scalars = {}, const Known& known = {});
/// On all machines; on those with warps, with 1, 2 and 4 of them.
void check_everywhere(const Kernel& k, Schedule s, const std::vector<HostTensor>& tensors, const Tolerance& tolerance,
                      const std::vector<double>& scalars = {}, const Known& known = {});

/// Runs without comparing; the tensors take the results.
void run_on(const Machine& m, const Kernel& k, const Schedule& s, std::vector<HostTensor>& tensors,
            const std::vector<double>& scalars = {}, const Known& known = {});

}  // namespace wavetile
