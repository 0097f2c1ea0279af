// A queue of AQL packets, written by hand. A packet waits for those before it (barrier bit) unless a recording knows
// that it need not, so that a launch sees what the launches before it stored.
//
// Kernel arguments never change while a kernel may read them. Those of single launches lie in a block that is written
// from front to back and starts again only when everything is done. A recording has a block of its own, written once:
// what differs from run to run lies in buffers that the kernels read. Its packets are made once too; to run it is to
// copy them.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device.h"
#include "runtime/hsa_system.h"

namespace wavetile::hsa {

/// A stage's kernel, loaded.
struct LoadedKernel {
  std::string name;
  uint64_t object = 0;  // address of its descriptor
  uint32_t kernarg_bytes = 0, group_bytes = 0, private_bytes = 0;
  int64_t work_items = 0;  // of a workgroup
};

/// A module that says what its stages' kernels are.
class LoadedModule : public Module {
 public:
  using Module::Module;
  virtual const LoadedKernel& stage(size_t i) const = 0;
};

union Packet {
  hsa_kernel_dispatch_packet_t dispatch;
  hsa_barrier_and_packet_t barrier;
  uint32_t first_word;  // header and setup: written last, and with release
};

/// Memory for kernel arguments, which the host writes and an agent reads.
class ArgumentBlock {
 public:
  /// `system` outlives it.
  ArgumentBlock(const System& system, const Agent& agent, size_t bytes);
  ~ArgumentBlock();
  ArgumentBlock(const ArgumentBlock&) = delete;
  /// A copy of the slots, behind what was placed before; nullptr if it does not fit.
  void* place(std::span<const int64_t> slots);
  static size_t room_for(std::span<const int64_t> slots);
  void clear() { used_ = 0; }

 private:
  const System& system_;
  char* begin_ = nullptr;
  size_t bytes_, used_ = 0;
};

class AqlQueue : public Queue {
 public:
  /// `patience`: seconds without a finished launch after which wait() gives up.
  AqlQueue(std::shared_ptr<System> system, const Agent& agent, double patience);
  ~AqlQueue() override;
  AqlQueue(const AqlQueue&) = delete;

  /// Modules must outlive the next wait().
  void launch(const Module& m, size_t stage, std::span<const int64_t> slots, int64_t grid) override;
  /// @throws Error where a kernel fails or hangs, by its name; the queue is of no use then.
  void wait() override;
  std::unique_ptr<Recording> record(std::vector<Launch> launches) override;
  bool time_launches(bool on) override;
  std::vector<double> take_times() override { return std::exchange(times_, {}); }

 private:
  class AqlRecording;
  static void note_error(hsa_status_t status, hsa_queue_t*, void* self);
  void append(std::span<const Packet> packets, std::span<const LoadedKernel* const> kernels);
  void write(const Packet& packet);
  void announce();
  void await();
  void read_times();
  hsa_signal_t signal_of(size_t launch);
  bool failed() const { return status_ != HSA_STATUS_SUCCESS || system_->fault_address() != fault_before_; }
  [[noreturn]] void give_up(const std::string& why);
  std::string where() const;
  std::string why_failed() const;
  void check(hsa_status_t s, const char* what) const { system_->api().check(s, what); }
  void release();

  std::shared_ptr<System> system_;
  Agent agent_;
  double patience_;
  hsa_queue_t* queue_ = nullptr;
  hsa_signal_t done_{};
  std::optional<ArgumentBlock> arguments_;
  uint64_t written_ = 0;    // packets, ever
  uint64_t announced_ = 0;  // of these, those that the doorbell was rung for
  uint64_t first_ = 0;      // of the launches since the last wait
  std::vector<const LoadedKernel*> running_;
  bool timed_ = false;
  std::vector<hsa_signal_t> signals_;  // of timed launches since the last wait; kept
  std::vector<double> times_;
  std::atomic<hsa_status_t> status_{HSA_STATUS_SUCCESS};
  uint64_t fault_before_ = 0;
  std::string broken_;  // why nothing can be launched any more
};

}  // namespace wavetile::hsa
