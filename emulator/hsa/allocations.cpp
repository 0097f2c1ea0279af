#include "emulator/hsa/allocations.h"

#include <unistd.h>

#include <algorithm>
#include <new>

#include <fmt/format.h>

#include "emulator/hsa/status.h"

namespace wavetile::emu::hsa {
namespace {

// Freed allocations whose addresses stay reserved: a kernel that is still running may be about to touch them, and later
// accesses are reported instead of hitting something else.
constexpr std::size_t kResting = 64;

std::uint64_t to_address(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

}  // namespace

std::span<const PoolInfo> pools() {
  constexpr std::uint32_t kKernarg = HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_KERNARG_INIT,
                          kFine = HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED,
                          kCoarse = HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_COARSE_GRAINED;
  // Nothing that is destroyed: leaks are printed at the end of the process.
  static constexpr PoolInfo all[] = {
      {Pool::system_fine, "fine-grained system memory", false, false, kFine},
      {Pool::system_kernarg, "kernel argument memory", false, false, kKernarg | kFine},
      {Pool::system_coarse, "coarse-grained system memory", false, false, kCoarse},
      {Pool::gpu_coarse, "device memory", true, false, kCoarse},
      {Pool::gpu_group, "group memory", true, true, 0},
  };
  return all;
}

const PoolInfo* find_pool(std::uint64_t handle) {
  for (const PoolInfo& p : pools()) {
    if (static_cast<std::uint64_t>(p.pool) == handle) return &p;
  }
  return nullptr;
}

Allocations::Allocations(Memory& memory, std::uint64_t gpu_bytes) : memory_(memory), gpu_bytes_(gpu_bytes) {}

Allocations::~Allocations() {
  for (auto& [begin, block] : blocks_) {
    if (block.gpu_access) memory_.remove(block.pages->begin());
  }
  locked_.clear();
  refresh_locked();
}

std::uint64_t Allocations::pool_bytes(const PoolInfo& pool) const {
  if (pool.gpu) return gpu_bytes_;
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t Allocations::gpu_bytes_free() const {
  const std::lock_guard lock(mutex_);
  return gpu_bytes_ - gpu_used_;
}

void Allocations::expose(const Block& block) {
  // The host may write what it has access to at any time, and then there is no telling what is initialised.
  memory_.add(block.pages->begin(), block.pages->bytes(), block.pool->what, true, block.cpu_access);
}

void* Allocations::allocate(const PoolInfo& pool, std::size_t bytes, bool everyone) {
  require(!pool.group && bytes <= pool_bytes(pool), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  const std::lock_guard lock(mutex_);
  const std::uint64_t charged = (bytes + kPage - 1) / kPage * kPage;
  require(!pool.gpu || gpu_used_ + charged <= gpu_bytes_, HSA_STATUS_ERROR_OUT_OF_RESOURCES);
  Block block;
  block.pages = std::make_unique<Pages>(bytes);
  block.pool = &pool;
  block.number = ++created_;
  block.gpu_access = pool.gpu || everyone;
  block.cpu_access = !pool.gpu;
  void* const begin = block.pages->begin();
  if (block.gpu_access) expose(block);
  if (pool.gpu) gpu_used_ += charged;
  blocks_.emplace(to_address(begin), std::move(block));
  return begin;
}

void Allocations::free(void* address) {
  Block gone;
  {
    const std::lock_guard lock(mutex_);
    const auto it = blocks_.find(to_address(address));
    require(it != blocks_.end(), HSA_STATUS_ERROR_INVALID_ALLOCATION);
    gone = std::move(it->second);
    blocks_.erase(it);
  }
  for (const Callback& c : gone.callbacks) c.function(address, c.userdata);
  const std::lock_guard lock(mutex_);
  if (gone.gpu_access) memory_.remove(address);
  if (gone.pool->gpu) gpu_used_ -= (gone.pages->bytes() + kPage - 1) / kPage * kPage;
  gone.pages->discard();
  resting_.push_back(std::move(gone.pages));
  if (resting_.size() > kResting) resting_.pop_front();
}

std::map<std::uint64_t, Allocations::Block>::iterator Allocations::block_of(const void* address) {
  auto it = blocks_.upper_bound(to_address(address));
  if (it == blocks_.begin()) return blocks_.end();
  --it;
  return to_address(address) - it->first < it->second.pages->bytes() ? it : blocks_.end();
}

void Allocations::allow_access(const void* address, bool gpu, bool cpu) {
  const std::lock_guard lock(mutex_);
  const auto it = block_of(address);
  require(it != blocks_.end());
  Block& block = it->second;
  // Whoever owns the pool keeps its access.
  const bool gpu_now = gpu || block.pool->gpu, cpu_now = cpu || !block.pool->gpu;
  if (gpu_now == block.gpu_access && cpu_now == block.cpu_access) return;
  if (block.gpu_access) memory_.remove(block.pages->begin());
  block.gpu_access = gpu_now;
  block.cpu_access = cpu_now;
  if (gpu_now) expose(block);
}

void Allocations::lock(void* address, std::size_t bytes, bool gpu) {
  const std::uint64_t begin = to_address(address);
  require(begin + bytes > begin);
  const std::lock_guard lock(mutex_);
  const auto after = blocks_.lower_bound(begin + bytes);
  require(after == blocks_.begin() || std::prev(after)->first + std::prev(after)->second.pages->bytes() <= begin,
          HSA_STATUS_ERROR_INVALID_ALLOCATION);  // it is no host memory
  locked_.emplace(begin, Locked{bytes, gpu, ++created_});
  refresh_locked();
}

void Allocations::unlock(void* address) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = locked_.equal_range(to_address(address));
  require(first != last);
  locked_.erase(std::prev(last));  // the latest
  refresh_locked();
}

// Locked ranges may overlap; Memory's may not: registered is their union.
void Allocations::refresh_locked() {
  std::map<std::uint64_t, std::uint64_t> wanted;
  for (const auto& [begin, l] : locked_) {
    if (!l.gpu) continue;
    const std::uint64_t end = begin + l.bytes;
    if (!wanted.empty() && begin < wanted.rbegin()->second) {
      wanted.rbegin()->second = std::max(wanted.rbegin()->second, end);
    } else {
      wanted.emplace(begin, end);
    }
  }
  const auto has = [](const auto& ranges, const auto& range) {
    const auto it = ranges.find(range.first);
    return it != ranges.end() && it->second == range.second;
  };
  for (const auto& range : exposed_) {
    if (!has(wanted, range)) memory_.remove(reinterpret_cast<const void*>(range.first));
  }
  for (const auto& range : wanted) {
    if (!has(exposed_, range)) {
      memory_.add(reinterpret_cast<const void*>(range.first), range.second - range.first, "locked host memory", true,
                  true);
    }
  }
  exposed_ = std::move(wanted);
}

std::optional<Allocations::Info> Allocations::find(const void* address) const {
  const std::lock_guard lock(mutex_);
  const auto it = const_cast<Allocations*>(this)->block_of(address);
  if (it != blocks_.end()) {
    const Block& b = it->second;
    return Info{b.pages->begin(), b.pages->bytes(), b.userdata, b.pool, b.gpu_access, b.cpu_access};
  }
  for (const auto& [begin, l] : locked_) {
    if (to_address(address) - begin < l.bytes) {
      return Info{reinterpret_cast<void*>(begin), l.bytes, l.userdata, nullptr, l.gpu, true};
    }
  }
  return std::nullopt;
}

void Allocations::set_userdata(const void* address, void* userdata) {
  const std::lock_guard lock(mutex_);
  if (const auto it = block_of(address); it != blocks_.end()) {
    it->second.userdata = userdata;
    return;
  }
  for (auto& [begin, l] : locked_) {
    if (to_address(address) - begin >= l.bytes) continue;
    l.userdata = userdata;
    return;
  }
  throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
}

void Allocations::on_free(void* address, hsa_amd_deallocation_callback_t callback, void* userdata) {
  const std::lock_guard lock(mutex_);
  const auto it = block_of(address);
  require(it != blocks_.end(), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  it->second.callbacks.push_back({callback, userdata});
}

void Allocations::not_on_free(void* address, hsa_amd_deallocation_callback_t callback) {
  const std::lock_guard lock(mutex_);
  const auto it = block_of(address);
  require(it != blocks_.end());
  auto& callbacks = it->second.callbacks;
  const auto at = std::ranges::find(callbacks, callback, &Callback::function);
  require(at != callbacks.end());
  callbacks.erase(at);
}

std::string Allocations::explain(std::uint64_t address) const {
  const auto info = find(reinterpret_cast<const void*>(address));
  if (!info || info->gpu_access) return {};
  return fmt::format(
      "0x{:x} is {} bytes inside {} bytes of {} at {}, to which this agent has no access: hsa_amd_agents_allow_access "
      "(or the list of agents given when it was locked) did not name it",
      address, address - to_address(info->base), info->bytes, info->pool ? info->pool->what : "locked host memory",
      info->base);
}

std::vector<Allocations::Leak> Allocations::live() const {
  const std::lock_guard lock(mutex_);
  std::vector<Leak> result;
  for (const auto& [begin, b] : blocks_) {
    result.push_back({b.number, b.pool->what, b.pages->bytes(), b.pages->begin()});
  }
  for (const auto& [begin, l] : locked_) {
    result.push_back({l.number, "locked host memory", l.bytes, reinterpret_cast<const void*>(begin)});
  }
  std::ranges::sort(result, {}, &Leak::number);
  return result;
}

}  // namespace wavetile::emu::hsa
