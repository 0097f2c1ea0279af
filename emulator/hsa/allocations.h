// Memory that the library gave out or was told of: pool and region allocations, locked host memory, and who may access
// them. What the GPU agent may access is registered with the emulator's Memory, and nothing else is.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emulator/hsa/pages.h"
#include "emulator/memory.h"

namespace wavetile::emu::hsa {

/// Pools, and regions, which are the same: the handle is the number.
enum class Pool : std::uint64_t { system_fine = 0x101, system_kernarg, system_coarse, gpu_coarse, gpu_group };

struct PoolInfo {
  Pool pool;
  const char* what;     // for reports
  bool gpu;             // the GPU agent owns it; else the CPU agent
  bool group;           // LDS, where nothing can be allocated
  std::uint32_t flags;  // hsa_amd_memory_pool_global_flag_t, which are hsa_region_global_flag_t too
};
/// In the order in which they are iterated.
std::span<const PoolInfo> pools();
/// nullptr when the handle is none.
const PoolInfo* find_pool(std::uint64_t handle);

class Allocations {
 public:
  Allocations(Memory& memory, std::uint64_t gpu_bytes);
  ~Allocations();

  std::uint64_t pool_bytes(const PoolInfo& pool) const;
  std::uint64_t gpu_bytes_free() const;
  /// `everyone`: accessible to all agents at once, as region allocations are. Throws Refused.
  void* allocate(const PoolInfo& pool, std::size_t bytes, bool everyone);
  /// Throws Refused when `address` is not the beginning of an allocation.
  void free(void* address);
  /// The agents' list replaces the one before. Throws Refused.
  void allow_access(const void* address, bool gpu, bool cpu);

  void lock(void* address, std::size_t bytes, bool gpu);
  void unlock(void* address);

  struct Info {
    void* base = nullptr;
    std::size_t bytes = 0;
    void* userdata = nullptr;
    const PoolInfo* pool = nullptr;  // nullptr: locked host memory
    bool gpu_access = false, cpu_access = false;
  };
  /// What holds `address`.
  std::optional<Info> find(const void* address) const;
  /// Throws Refused when nothing holds `address`.
  void set_userdata(const void* address, void* userdata);
  void on_free(void* address, hsa_amd_deallocation_callback_t callback, void* userdata);
  void not_on_free(void* address, hsa_amd_deallocation_callback_t callback);
  /// A line on memory that a kernel may not access although it exists; empty when there is nothing to say.
  std::string explain(std::uint64_t address) const;

  struct Leak {
    std::uint64_t number;  // in order of creation, from 1
    std::string what;
    std::size_t bytes;
    const void* address;
  };
  std::vector<Leak> live() const;

 private:
  struct Callback {
    hsa_amd_deallocation_callback_t function;
    void* userdata;
  };
  struct Block {
    std::unique_ptr<Pages> pages;
    const PoolInfo* pool = nullptr;
    std::uint64_t number = 0;
    bool gpu_access = false, cpu_access = false;
    void* userdata = nullptr;
    std::vector<Callback> callbacks;
  };
  struct Locked {
    std::size_t bytes;
    bool gpu;
    std::uint64_t number;
    void* userdata = nullptr;
  };
  std::map<std::uint64_t, Block>::iterator block_of(const void* address);
  void expose(const Block& block);
  void refresh_locked();

  Memory& memory_;
  const std::uint64_t gpu_bytes_;
  mutable std::mutex mutex_;  // of all below
  std::map<std::uint64_t, Block> blocks_;
  std::multimap<std::uint64_t, Locked> locked_;
  std::map<std::uint64_t, std::uint64_t> exposed_;  // begin -> end of what is registered of the locked ranges
  std::deque<std::unique_ptr<Pages>> resting_;      // freed: their addresses are not given out again yet
  std::uint64_t gpu_used_ = 0, created_ = 0;
};

}  // namespace wavetile::emu::hsa
