// HSA between hsa_init and hsa_shut_down: the agents, their memory, and what the system tells of faults. Whatever is
// made of a system holds it, and is gone before it is.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/hsa_api.h"

namespace wavetile::hsa {

struct Agent {
  hsa_agent_t handle{};
  std::string product;  // "AMD Radeon Graphics"; "gfx942" where the runtime has no name for it
  std::string isa;      // "amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-"
  std::string chip;     // "gfx942"
  bool known = false;   // there is a target for the chip
  bool apu = false;     // its memory is the host's
  bool shared = false;  // the host may be given access to its memory
  bool clock = true;    // it stamps packets with the time; software models in a driver's place may not
  uint32_t compute_units = 0;
  uint32_t queue_packets = 0;    // of its largest queue
  uint32_t domain = 0, bus = 0;  // of PCI: bus is bus << 8 | device << 3 | function
  hsa_amd_memory_pool_t memory{};
  uint64_t memory_bytes = 0;
};

class System {
 public:
  /// One a process and library, for as long as somebody holds it.
  /// @throws Error where HSA cannot start, saying what to do.
  static std::shared_ptr<System> open(bool emulator);
  /// Another one, through functions of the caller's choice.
  static std::shared_ptr<System> open(std::shared_ptr<const Api> api);
  ~System();
  System(const System&) = delete;

  const Api& api() const { return *api_; }
  const std::vector<Agent>& gpus() const { return gpus_; }
  hsa_agent_t host() const { return host_; }
  /// Of the host, for kernel arguments.
  hsa_amd_memory_pool_t kernarg() const { return kernarg_; }
  uint64_t host_bytes() const { return host_bytes_; }
  std::string version() const;
  /// Of hsa_signal_wait_scacquire's time-outs.
  uint64_t ticks_a_second() const { return frequency_; }
  /// The address at which a GPU faulted last; 0: none did.
  uint64_t fault_address() const { return fault_.load(); }

 private:
  explicit System(std::shared_ptr<const Api> api);
  void find_agents();
  Agent describe(hsa_agent_t handle) const;
  std::vector<hsa_amd_memory_pool_t> pools_of(hsa_agent_t agent) const;
  template <class T>
  T pool_info(hsa_amd_memory_pool_t pool, hsa_amd_memory_pool_info_t what) const {
    T value{};
    api_->check(api_->hsa_amd_memory_pool_get_info(pool, what, &value), "hsa_amd_memory_pool_get_info");
    return value;
  }

  std::shared_ptr<const Api> api_;
  std::vector<Agent> gpus_;
  hsa_agent_t host_{};
  hsa_amd_memory_pool_t kernarg_{};
  uint64_t host_bytes_ = 0, frequency_ = 0;
  std::atomic<uint64_t> fault_{0};
};

}  // namespace wavetile::hsa
