// Devices behind one narrow interface: memory, code, queues. A kernel compiled for a device's target becomes a Module;
// a Queue runs launches in order. Nothing here knows what the kernels compute.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codegen/compile.h"
#include "dsl/tensor_view.h"

namespace wavetile {

/// Memory of a device, 64-byte aligned and readable up to 64 bytes past its end. Freed when the last owner lets go.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual size_t bytes() const = 0;
  /// The device's address of the first byte; on the cpu a host pointer.
  virtual void* address() const = 0;

  /// A dense row-major tensor inside this buffer, `offset` elements from its start.
  /// @throws Error if it does not fit.
  TensorView view(DType dtype, std::vector<int64_t> extents, int64_t offset = 0) const;
};
using BufferPtr = std::shared_ptr<Buffer>;

/// A compiled kernel, loaded and ready to be launched.
class Module {
 public:
  explicit Module(CompiledKernel k) : kernel_(std::move(k)) {}
  virtual ~Module() = default;
  const CompiledKernel& kernel() const { return kernel_; }

 private:
  CompiledKernel kernel_;
};
using ModulePtr = std::shared_ptr<Module>;

/// A stage of a kernel, its arguments and its blocks.
struct Launch {
  const Module* module = nullptr;
  size_t stage = 0;
  std::vector<int64_t> slots;
  int64_t grid = 0;
  bool waits = true;  // for all launches before it; false: it may run beside those since the last one that waits
};

/// Launches that are laid out once and run as often as wanted. The queue and the modules have to outlive it.
class Recording {
 public:
  virtual ~Recording() = default;
  /// Runs all of them after everything launched before. The device begins at the latest when the queue is waited for.
  virtual void run() = 0;
};

class Queue {
 public:
  virtual ~Queue() = default;
  /// Runs a stage after everything launched before. `slots` is copied.
  virtual void launch(const Module& m, size_t stage, std::span<const int64_t> slots, int64_t grid) = 0;
  /// Returns when all launches are done.
  virtual void wait() = 0;
  virtual std::unique_ptr<Recording> record(std::vector<Launch> launches);

  /// From now on the device notes how long each launch takes, by its own clock; it costs time. For when nothing runs.
  /// Returns false where the device has no clock.
  virtual bool time_launches(bool) { return false; }
  /// Seconds of each launch that was timed and waited for since the last call of this, in the order of the launches.
  virtual std::vector<double> take_times() { return {}; }
};

struct DeviceOptions {
  int threads = 0;      // of the host; 0: one for each CPU that this process may use
  std::string level;    // cpu: see cpu_target
  double patience = 0;  // hsa: seconds without a finished launch after which a wait fails; 0: 60, emulated 3600
};

struct DeviceInfo {
  std::string name;    // for Device::open
  std::string target;  // identity_of its target: what code is compiled for
  int cpus = 0;        // cpu: that this process may run on
  uint64_t memory_bytes = 0;
  std::string product = {};  // of a GPU, as its maker calls it
  int compute_units = 0;     // of a GPU
};

class Device {
 public:
  virtual ~Device() = default;
  /// The devices that this process can open.
  static std::vector<DeviceInfo> list();
  /// What there is, what is missing, and what to do next: lines of text.
  static std::string diagnose();
  /// "cpu"; "hsa" (the first AMD GPU that there is a target for), "hsa:0" and so on, "hsa:emulated" (docs/hsa.md).
  /// @throws Error where there is none of that name, saying what to do.
  static std::shared_ptr<Device> open(const std::string& name, const DeviceOptions& options = {});

  virtual const std::string& name() const = 0;
  virtual const Target& target() const = 0;
  virtual int threads() const = 0;  // of the host
  /// Whether the host reads and writes buffers by their addresses, while nothing runs.
  virtual bool host_memory() const = 0;
  /// Zeroed.  @throws Error if there is not as much memory.
  virtual BufferPtr allocate(size_t bytes) = 0;
  /// write() and read() are for when nothing runs on the buffer.
  virtual void write(const Buffer& to, size_t offset, const void* from, size_t bytes) = 0;
  virtual void read(void* to, const Buffer& from, size_t offset, size_t bytes) = 0;
  virtual ModulePtr load(CompiledKernel k) = 0;
  virtual std::unique_ptr<Queue> queue() = 0;

 protected:
  /// @throws Error where these bytes are not all in the buffer.
  static void check_copy(const Buffer& b, size_t offset, size_t bytes);
};
using DevicePtr = std::shared_ptr<Device>;

}  // namespace wavetile
