// A queue of AQL packets, written by hand. Every packet waits for the one before it (barrier bit), so that a launch
// sees what the launches before it stored. Kernel arguments lie in one block that is written from front to back and
// starts again only when everything is done: none changes while a kernel may read it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
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

 private:
  union Packet;
  static void note_error(hsa_status_t status, hsa_queue_t*, void* self);
  void* place_arguments(std::span<const int64_t> slots, size_t bytes);
  Packet& next_packet() const;
  void submit(uint16_t header, uint16_t setup);
  bool failed() const { return status_ != HSA_STATUS_SUCCESS || system_->fault_address() != fault_before_; }
  [[noreturn]] void give_up(const std::string& why);
  std::string where() const;
  void check(hsa_status_t s, const char* what) const { system_->api().check(s, what); }
  void release();

  std::shared_ptr<System> system_;
  double patience_;
  hsa_queue_t* queue_ = nullptr;
  hsa_signal_t done_{};
  char* arguments_ = nullptr;
  size_t argument_bytes_ = 0, used_ = 0;
  uint64_t written_ = 0;  // packets, ever
  uint64_t first_ = 0;    // of the launches since the last wait
  std::vector<const LoadedKernel*> running_;
  std::atomic<hsa_status_t> status_{HSA_STATUS_SUCCESS};
  uint64_t fault_before_ = 0;
  std::string broken_;  // why nothing can be launched any more
};

}  // namespace wavetile::hsa
