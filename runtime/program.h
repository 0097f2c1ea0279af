// A program: kernel calls over buffers, checked and laid out once, run as often as wanted. What changes from run to
// run (a position, a token) lies in buffers that the kernels read; the launches are recorded once and stay as they are.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/device.h"
#include "runtime/hazards.h"
#include "runtime/verify.h"

namespace wavetile {

/// What a call moves and computes, for GB/s and FLOP/s; 0 where it is not known.
struct Work {
  double bytes = 0, flops = 0;
};

/// Of all calls with one label. A kernel in several stages is one call.
struct CallTimes {
  std::string name;
  int calls = 0;
  double seconds = 0;
  bool device_clock = false;  // the device took the time, of the kernels alone; else the host did, launch and wait too
  Work work;                  // of all calls
  int64_t grid = 0;           // blocks of the largest stage of the first call
  int block = 0;              // lanes of a block, all its warps together
};

class Program {
 public:
  /// Programs that run one after the other may share a queue; without one the program has its own.
  explicit Program(DevicePtr device, std::shared_ptr<Queue> queue = nullptr)
      : device_(std::move(device)), queue_(queue ? std::move(queue) : device_->queue()) {}

  /// Appends a call. Tensors that the kernel's schedule packs are given by their extents and packed strides.
  /// The buffers must outlive the program.
  /// @throws Error where the tensors break an assumption that the kernel was compiled under, or check_launch fails;
  /// the program is then as it was.
  void add(const ModulePtr& m, const std::vector<TensorView>& tensors, const std::vector<double>& scalars = {},
           const std::string& label = {}, Work work = {}) {
    add(m, tensors, scalars, label, [work] { return work; });
  }
  /// The same for work that differs from run to run: asked for after each call that is timed.
  void add(const ModulePtr& m, const std::vector<TensorView>& tensors, const std::vector<double>& scalars,
           const std::string& label, std::function<Work()> work);

  /// Runs all calls in order and waits for them.
  /// @throws VerifyError if the run is verified and a call is wrong; later calls did not run then.
  void run();
  /// Runs all calls after what was started on the queue before. What they give is there when somebody has waited for
  /// the queue: run() of a program that shares it does. A run that is timed or verified is done when this returns.
  void start();
  size_t calls() const { return calls_.size(); }
  size_t launches() const;  // stages of all calls

  /// Times each call of the runs that follow: by the device's clock where it has one.
  void profile(bool on) { profiling_ = on; }
  std::vector<CallTimes> times() const;

  /// Compares every call of the next run with the IR interpreter, see CallCheck: slow, and takes memory for copies of
  /// what a call reads and writes.
  void verify_next_run(const VerifyOptions& options = {}) { verify_ = options; }

 private:
  struct Call {
    ModulePtr module;
    std::vector<TensorView> tensors;
    std::vector<double> scalars;
    std::string label;
    std::function<Work()> work;
    std::vector<BufferPtr> workspaces;
    std::vector<Launch> stages;  // those that have blocks
    CallTimes times;
  };
  void record();
  void run_call_by_call(bool by_host, std::optional<VerifyOptions> verify);
  void add_device_times();
  static void add_time(Call& c, double seconds);

  DevicePtr device_;
  std::shared_ptr<Queue> queue_;
  std::vector<Call> calls_;
  Hazards hazards_;
  std::unique_ptr<Recording> recording_;  // of all calls, once they have run
  bool profiling_ = false;
  std::optional<VerifyOptions> verify_;
};

}  // namespace wavetile
