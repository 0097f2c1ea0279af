// A GPU of the model: an emulator whose memory is what the runtime told of, and the program's own.
#pragma once

#include <hsa/amd_hsa_signal.h>
#include <hsa/hsa.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "emulator/emulator.h"
#include "emulator/model/host_memory.h"
#include "emulator/model/interface.h"
#include "emulator/model/kernel_names.h"

namespace wavetile::emu::model {

/// Nanoseconds of CLOCK_MONOTONIC: in this the runtime's system timestamps are counted.
std::uint64_t timestamp();

class Device {
 public:
  explicit Device(const Options& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// What is mapped in [base, base + bytes) is no memory of its own.
  void exclude(void* base, std::uint64_t bytes);
  void set_set_event(SetEvent set_event, void* data);
  void allocated(void* address, std::uint64_t bytes, std::uint32_t flags);
  void freed(void* address);
  Queue* register_queue(const QueueInfo& info);
  /// Waits for its thread.
  void destroy_queue(Queue* queue);
  /// Ends the threads of all queues: nothing runs when the process destroys what it is made of.
  void stop();

  // --- for queues, on their threads

  /// A signal that packets may name, or nullptr.
  amd_signal_t* find_signal(std::uint64_t handle);
  /// Tells a signal, and who sleeps on it, that a packet has ended. The signal may be gone when this returns.
  void complete(amd_signal_t& signal, std::uint64_t start);
  void wake(std::uint32_t event);
  /// Moves with every wake().
  std::uint64_t wakes() const { return wakes_.load(std::memory_order_relaxed); }

  /// The contents of code memory have changed.
  void forget_code();

  Emulator emulator;
  HostMemory host_memory;
  KernelNames kernel_names;

 private:
  SetEvent set_event_ = nullptr;
  void* event_data_ = nullptr;
  std::atomic<std::uint64_t> wakes_{0};
  std::mutex mutex_;  // of the queues
  std::vector<std::unique_ptr<Queue>> queues_;
};

}  // namespace wavetile::emu::model
