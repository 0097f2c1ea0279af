// A program: kernel calls over buffers, checked and laid out once, run as often as wanted. What changes from run to
// run (a position, a token) lies in buffers that the kernels read.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/device.h"

namespace wavetile {

/// What a call moves and computes, for GB/s and FLOP/s; 0 where it is not known.
struct Work {
  double bytes = 0, flops = 0;
};

struct CallTimes {
  std::string name;
  int calls = 0;
  double seconds = 0;
  Work work;  // of all calls
  int64_t grid = 0;
};

class Program {
 public:
  explicit Program(DevicePtr device) : device_(std::move(device)), queue_(device_->queue()) {}

  /// Appends a call. Tensors that the kernel's schedule packs are given by their extents and packed strides.
  /// The buffers must outlive the program.
  /// @throws Error where the tensors break an assumption that the kernel was compiled under, or check_launch fails.
  void add(const ModulePtr& m, const std::vector<TensorView>& tensors, const std::vector<double>& scalars = {},
           const std::string& label = {}, Work work = {});
  /// Runs all calls in order and waits for them.
  void run();
  size_t launches() const { return launches_.size(); }

  /// Times each call of the runs that follow.
  void profile(bool on) { profiling_ = on; }
  std::vector<CallTimes> times() const;

 private:
  struct Launch {
    ModulePtr module;
    size_t stage = 0;
    std::vector<int64_t> slots;
    int64_t grid = 0;
    std::string label;
    Work work;
    double seconds = 0;
    int runs = 0;
  };
  DevicePtr device_;
  std::unique_ptr<Queue> queue_;
  std::vector<Launch> launches_;
  std::vector<BufferPtr> workspaces_;
  bool profiling_ = false;
};

}  // namespace wavetile
