// What exists between hsa_init and the last hsa_shut_down.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "emulator/emulator.h"
#include "emulator/hsa/allocations.h"
#include "emulator/hsa/deferred.h"
#include "emulator/hsa/executables.h"
#include "emulator/hsa/queues.h"
#include "emulator/hsa/signals.h"
#include "emulator/hsa/status.h"

namespace wavetile::emu::hsa {

// Handles of what there is one of.
inline constexpr hsa_agent_t kCpuAgent{0x201}, kGpuAgent{0x202};

/// Throws Refused when it is neither.
inline bool is_gpu(hsa_agent_t agent) {
  require(agent.handle == kCpuAgent.handle || agent.handle == kGpuAgent.handle, HSA_STATUS_ERROR_INVALID_AGENT);
  return agent.handle == kGpuAgent.handle;
}

/// The system's clock: nanoseconds of CLOCK_MONOTONIC.
std::uint64_t timestamp();
inline constexpr std::uint64_t kTimestampFrequency = 1000000000;

class Runtime {
 public:
  explicit Runtime(Options options);

  Emulator emulator;
  Signals signals;
  Allocations allocations;
  Executables executables;
  Queues queues;
  Deferred handlers;  // asynchronous signal handlers
  Deferred copies;
  std::atomic<bool> copy_profiling{false};
  std::atomic<std::uint64_t> reports{0};  // of kernels

  /// Ends every thread of the library but the one that calls.
  void stop();
  /// Prints what still exists, and the number of reports; true when there is nothing of either.
  bool print_leaks() const;

  /// Status as of hsa_amd_register_system_event_handler.
  hsa_status_t set_event_handler(hsa_amd_system_event_callback_t callback, void* data);
  void memory_fault(std::uint64_t address);

 private:
  std::mutex event_mutex_;
  hsa_amd_system_event_callback_t event_callback_ = nullptr;
  void* event_data_ = nullptr;
};

}  // namespace wavetile::emu::hsa
