// One kernel at one shape, ready to be timed: its tensors stand in memory as its schedule wants them, and its results
// were compared with the interpreter before, so that a wrong kernel is never fast.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dsl/schedule.h"
#include "runtime/compiler.h"
#include "runtime/program.h"

namespace wavetile::bench {

/// A tensor of a kernel under measurement. Every letter names an axis.
struct Operand {
  DType dtype = DType::f32;
  std::string axes;           // of its dimensions, from the first to the last; "" stands for one element
  double low = -1, high = 1;  // what it holds: uniform numbers from this range (integers: both ends included)
  std::string memory = {};    // its axes in the order in which they lie in memory; empty: as `axes`
};

/// A kernel at a shape.
struct Case {
  std::string name;  // "matmul/f32/M:64/N:2304/K:768"
  Kernel kernel;
  Schedule schedule;
  std::map<char, std::int64_t> extents;  // of the axes
  std::vector<Operand> operands;         // the kernel's tensors, in order
  std::string independent;  // axes along which each result can be computed alone: where the check takes its samples
  char started = 0;         // the axis whose coordinates the kernel counts from its tensor Start; 0: none
  std::int64_t terms = 1;   // of the longest sum behind a result: rounding errors grow with it
  double flops = 0;         // of a launch: two for each multiply-add of a product; 0 where the kernel has no product
  double bytes = 0;         // that a launch moves at least, each once; 0: all elements of all tensors
};

double bytes_of(const Case& c);
/// Bytes of the largest cache of this machine, as the system gives it; 32 MiB where it does not.
std::size_t last_level_cache();

/// Where a run finds its tensors. memory: where they fit the caches they exist several times, so many that all together
/// are three times the last-level cache, and each run takes the next copy. cache: they exist once.
enum class From { memory, cache };

/// A case on a device.
class KernelCall {
 public:
  /// Compiles, allocates, fills and checks.
  /// @throws Error where a result differs from the interpreter's, naming the case, the element and both values.
  KernelCall(const Case& c, const DevicePtr& device, From from = From::memory);

  void run() {
    programs_[next_]->run();
    if (++next_ == programs_.size()) next_ = 0;
  }
  std::size_t copies() const { return programs_.size(); }
  /// Whether the copies together are no larger than that: a run finds its tensors in a cache, or part of them.
  bool cached() const { return cached_; }

 private:
  std::vector<BufferPtr> buffers_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::size_t next_ = 0;
  bool cached_ = false;
};

/// A program of `calls` launches of a kernel that does next to nothing, one block for each of the device's threads.
std::unique_ptr<Program> empty_program(const DevicePtr& device, int calls, std::vector<BufferPtr>& buffers);

/// A device with a number of threads, and what the machine does at best with as many; per second.
struct Limits {
  DevicePtr device;
  double bytes = 0;       // read from memory
  double flops = 0;       // f32 multiply-adds, two each
  double bf16_flops = 0;  // bf16 dot products; 0 where the CPU has no such instruction
};
/// Probed when first asked for.
const Limits& limits(int threads);
/// One, and all that this process may use.
std::vector<int> default_threads();

double seconds();
/// The middle value; the mean of the two middle ones.
double median(std::vector<double> values);

}  // namespace wavetile::bench
