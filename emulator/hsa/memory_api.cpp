// Regions, pools, allocation, locking, and what a pointer points to.
#include <algorithm>
#include <cstring>
#include <vector>

#include "emulator/hsa/newer.h"
#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

const PoolInfo& pool_of(hsa_amd_memory_pool_t handle) {
  const PoolInfo* pool = find_pool(handle.handle);
  require(pool != nullptr, kInvalidMemoryPool);
  return *pool;
}

const PoolInfo& region_of(hsa_region_t handle) {
  const PoolInfo* pool = find_pool(handle.handle);
  require(pool != nullptr, HSA_STATUS_ERROR_INVALID_REGION);
  return *pool;
}

template <typename Handle, typename Callback>
hsa_status_t iterate(bool gpu, Callback callback, void* data) {
  for (const PoolInfo& p : pools()) {
    if (p.gpu != gpu) continue;
    const hsa_status_t status = callback(Handle{static_cast<std::uint64_t>(p.pool)}, data);
    if (status != HSA_STATUS_SUCCESS) return status;
  }
  return HSA_STATUS_SUCCESS;
}

std::size_t most_bytes(Runtime& r, const PoolInfo& p) {
  return p.group ? r.emulator.chip().lds_bytes : r.allocations.pool_bytes(p);
}

// Whether the list has the GPU, and whether the CPU. Throws Refused.
struct Agents {
  bool gpu = false, cpu = false;
};
Agents agents_of(std::uint32_t count, const hsa_agent_t* agents) {
  Agents result;
  for (std::uint32_t i = 0; i < count; ++i) (is_gpu(agents[i]) ? result.gpu : result.cpu) = true;
  return result;
}

hsa_status_t lock_memory(Runtime& r, void* host_ptr, std::size_t size, const hsa_agent_t* agents, int count,
                         void** agent_ptr) {
  *agent_ptr = nullptr;
  const bool gpu = count == 0 || agents_of(static_cast<std::uint32_t>(count), agents).gpu;
  r.allocations.lock(host_ptr, size, gpu);
  *agent_ptr = host_ptr;
  return HSA_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

hsa_status_t hsa_agent_iterate_regions(hsa_agent_t agent, hsa_status_t (*callback)(hsa_region_t, void*), void* data) {
  return call([&](Runtime&) {
    const bool gpu = is_gpu(agent);
    require(callback != nullptr);
    // Unlike pools, regions are listed for every agent that can access them: here a GPU's kernel arguments are found.
    if (const hsa_status_t status = iterate<hsa_region_t>(gpu, callback, data); !gpu || status != HSA_STATUS_SUCCESS)
      return status;
    return iterate<hsa_region_t>(/*gpu=*/false, callback, data);
  });
}

hsa_status_t hsa_region_get_info(hsa_region_t region, hsa_region_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    const PoolInfo& p = region_of(region);
    require(value != nullptr);
    switch (static_cast<unsigned>(attribute)) {
      case HSA_REGION_INFO_SEGMENT:
        return put(value, p.group ? HSA_REGION_SEGMENT_GROUP : HSA_REGION_SEGMENT_GLOBAL);
      case HSA_REGION_INFO_GLOBAL_FLAGS:
        return put<std::uint32_t>(value, p.flags);
      case HSA_REGION_INFO_SIZE:
        return put<std::size_t>(value, most_bytes(r, p));
      case HSA_REGION_INFO_ALLOC_MAX_SIZE:
        return put<std::size_t>(value, p.group ? 0 : most_bytes(r, p));
      case HSA_REGION_INFO_ALLOC_MAX_PRIVATE_WORKGROUP_SIZE:
        return put<std::uint32_t>(value, p.group ? static_cast<std::uint32_t>(most_bytes(r, p)) : 0);
      case HSA_REGION_INFO_RUNTIME_ALLOC_ALLOWED:
        return put<bool>(value, !p.group);
      case HSA_REGION_INFO_RUNTIME_ALLOC_GRANULE:
      case HSA_REGION_INFO_RUNTIME_ALLOC_ALIGNMENT:
        return put<std::size_t>(value, p.group ? 0 : kPage);
      case HSA_AMD_REGION_INFO_HOST_ACCESSIBLE:
        return put<bool>(value, !p.group);
      case HSA_AMD_REGION_INFO_BASE:
        return put<void*>(value, nullptr);
      case HSA_AMD_REGION_INFO_BUS_WIDTH:
      case HSA_AMD_REGION_INFO_MAX_CLOCK_FREQUENCY:
        return put<std::uint32_t>(value, 0);
      default:
        throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
    }
  });
}

hsa_status_t hsa_amd_agent_iterate_memory_pools(hsa_agent_t agent,
                                                hsa_status_t (*callback)(hsa_amd_memory_pool_t, void*), void* data) {
  return call([&](Runtime&) {
    const bool gpu = is_gpu(agent);
    require(callback != nullptr);
    return iterate<hsa_amd_memory_pool_t>(gpu, callback, data);
  });
}

hsa_status_t hsa_amd_memory_pool_get_info(hsa_amd_memory_pool_t memory_pool, hsa_amd_memory_pool_info_t attribute,
                                          void* value) {
  return call([&](Runtime& r) {
    const PoolInfo& p = pool_of(memory_pool);
    require(value != nullptr);
    switch (static_cast<unsigned>(attribute)) {
      case HSA_AMD_MEMORY_POOL_INFO_SEGMENT:
        return put(value, p.group ? HSA_AMD_SEGMENT_GROUP : HSA_AMD_SEGMENT_GLOBAL);
      case HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS:
        return put<std::uint32_t>(value, p.flags);
      case HSA_AMD_MEMORY_POOL_INFO_SIZE:
        return put<std::size_t>(value, most_bytes(r, p));
      case HSA_AMD_MEMORY_POOL_INFO_ALLOC_MAX_SIZE:
        return put<std::size_t>(value, p.group ? 0 : most_bytes(r, p));
      case HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED:
        return put<bool>(value, !p.group);
      case HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_GRANULE:
      case HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALIGNMENT:
      case kPoolInfoRecommendedGranule:
        return put<std::size_t>(value, p.group ? 0 : kPage);
      case HSA_AMD_MEMORY_POOL_INFO_ACCESSIBLE_BY_ALL:
        return put<bool>(value, !p.group);
      case kPoolInfoLocation:
        return put<std::uint32_t>(value, p.gpu ? kPoolLocationGpu : kPoolLocationCpu);
      default:
        throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
    }
  });
}

hsa_status_t hsa_amd_agent_memory_pool_get_info(hsa_agent_t agent, hsa_amd_memory_pool_t memory_pool,
                                                hsa_amd_agent_memory_pool_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    const bool gpu = is_gpu(agent);
    const PoolInfo& p = pool_of(memory_pool);
    require(value != nullptr);
    const bool own = gpu == p.gpu;
    switch (attribute) {
      case HSA_AMD_AGENT_MEMORY_POOL_INFO_ACCESS:
        return put(value, p.group && !own ? HSA_AMD_MEMORY_POOL_ACCESS_NEVER_ALLOWED
                          : own           ? HSA_AMD_MEMORY_POOL_ACCESS_ALLOWED_BY_DEFAULT
                                          : HSA_AMD_MEMORY_POOL_ACCESS_DISALLOWED_BY_DEFAULT);
      case HSA_AMD_AGENT_MEMORY_POOL_INFO_NUM_LINK_HOPS:
        return put<std::uint32_t>(value, own ? 0 : 1);
      case HSA_AMD_AGENT_MEMORY_POOL_INFO_LINK_INFO: {
        if (own) return;  // no link, nothing to tell
        hsa_amd_memory_pool_link_info_t link{};
        link.atomic_support_32bit = link.atomic_support_64bit = link.coherent_support = true;
        link.link_type = r.emulator.chip().apu ? HSA_AMD_LINK_INFO_TYPE_HYPERTRANSPORT : HSA_AMD_LINK_INFO_TYPE_PCIE;
        link.numa_distance = 20;
        return put(value, link);
      }
      default:
        throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
    }
  });
}

hsa_status_t hsa_memory_allocate(hsa_region_t region, size_t size, void** ptr) {
  return call([&](Runtime& r) {
    require(ptr && size != 0);
    *ptr = r.allocations.allocate(region_of(region), size, /*everyone=*/true);
  });
}

hsa_status_t hsa_memory_free(void* ptr) {
  return call([&](Runtime& r) {
    if (ptr) r.allocations.free(ptr);
  });
}

hsa_status_t hsa_amd_memory_pool_allocate(hsa_amd_memory_pool_t memory_pool, size_t size, uint32_t flags, void** ptr) {
  return call([&](Runtime& r) {
    require(ptr && size != 0 && flags == 0);
    *ptr = r.allocations.allocate(pool_of(memory_pool), size, /*everyone=*/false);
  });
}

hsa_status_t hsa_amd_memory_pool_free(void* ptr) { return hsa_memory_free(ptr); }

hsa_status_t hsa_amd_agents_allow_access(uint32_t num_agents, const hsa_agent_t* agents, const uint32_t* flags,
                                         const void* ptr) {
  return call([&](Runtime& r) {
    require(num_agents != 0 && agents && !flags && ptr);
    const Agents a = agents_of(num_agents, agents);
    r.allocations.allow_access(ptr, a.gpu, a.cpu);
  });
}

hsa_status_t hsa_amd_memory_lock(void* host_ptr, size_t size, hsa_agent_t* agents, int num_agent, void** agent_ptr) {
  return call([&](Runtime& r) {
    require(size != 0 && host_ptr && agent_ptr && num_agent >= 0 && (agents != nullptr) == (num_agent != 0));
    return lock_memory(r, host_ptr, size, agents, num_agent, agent_ptr);
  });
}

hsa_status_t hsa_amd_memory_lock_to_pool(void* host_ptr, size_t size, hsa_agent_t* agents, int num_agent,
                                         hsa_amd_memory_pool_t pool, uint32_t flags, void** agent_ptr) {
  return call([&](Runtime& r) {
    require(size != 0 && host_ptr && agent_ptr && num_agent >= 0 && (agents != nullptr) == (num_agent != 0) &&
            flags == 0);
    require(!pool_of(pool).gpu, kInvalidMemoryPool);
    return lock_memory(r, host_ptr, size, agents, num_agent, agent_ptr);
  });
}

hsa_status_t hsa_amd_memory_unlock(void* host_ptr) {
  return call([&](Runtime& r) {
    require(host_ptr != nullptr);
    r.allocations.unlock(host_ptr);
  });
}

// Agents of the base profile ignore it, and the GPU agent is one: only the arguments are looked at.
hsa_status_t hsa_memory_register(void* ptr, size_t size) {
  return call([&](Runtime&) { require(size != 0 || !ptr); });
}
hsa_status_t hsa_memory_deregister(void*, size_t) {
  return call([](Runtime&) {});
}

hsa_status_t hsa_memory_assign_agent(void* ptr, hsa_agent_t agent, hsa_access_permission_t access) {
  return call([&](Runtime&) {
    require(ptr && access >= HSA_ACCESS_PERMISSION_RO && access <= HSA_ACCESS_PERMISSION_RW);
    is_gpu(agent);
  });
}

hsa_status_t hsa_amd_memory_pool_can_migrate(hsa_amd_memory_pool_t src, hsa_amd_memory_pool_t dst, bool* result) {
  return call([&](Runtime&) {
    require(result != nullptr);
    pool_of(src), pool_of(dst);
    *result = false;
  });
}

hsa_status_t hsa_amd_memory_migrate(const void* ptr, hsa_amd_memory_pool_t memory_pool, uint32_t flags) {
  return call([&](Runtime&) {
    require(ptr && flags == 0);
    pool_of(memory_pool);
    return HSA_STATUS_ERROR_OUT_OF_RESOURCES;  // hsa_amd_memory_pool_can_migrate says no to all
  });
}

hsa_status_t hsa_amd_coherency_get_type(hsa_agent_t agent, hsa_amd_coherency_type_t* type) {
  return call([&](Runtime&) {
    require(type != nullptr);
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    *type = HSA_AMD_COHERENCY_TYPE_COHERENT;
  });
}

hsa_status_t hsa_amd_coherency_set_type(hsa_agent_t agent, hsa_amd_coherency_type_t type) {
  return call([&](Runtime&) {
    require(type == HSA_AMD_COHERENCY_TYPE_COHERENT || type == HSA_AMD_COHERENCY_TYPE_NONCOHERENT);
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
  });
}

hsa_status_t hsa_amd_pointer_info(const void* ptr, hsa_amd_pointer_info_t* info, void* (*alloc)(size_t),
                                  uint32_t* num_agents_accessible, hsa_agent_t** accessible) {
  return call([&](Runtime& r) {
    require(ptr && info && info->size != 0);
    hsa_amd_pointer_info_t full{};
    full.size = std::min<std::uint32_t>(info->size, sizeof full);
    const auto found = r.allocations.find(ptr);
    if (found) {
      full.type = found->pool ? HSA_EXT_POINTER_TYPE_HSA : HSA_EXT_POINTER_TYPE_LOCKED;
      full.agentBaseAddress = full.hostBaseAddress = found->base;
      full.sizeInBytes = found->bytes;
      full.userData = found->userdata;
      full.agentOwner = found->pool && found->pool->gpu ? kGpuAgent : kCpuAgent;
      full.global_flags =
          found->pool ? found->pool->flags : std::uint32_t{HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED};
    }
    std::memcpy(info, &full, full.size);
    if (!found || !alloc || !num_agents_accessible || !accessible) return;
    std::vector<hsa_agent_t> agents;
    if (found->cpu_access) agents.push_back(kCpuAgent);
    if (found->gpu_access) agents.push_back(kGpuAgent);
    auto* list = static_cast<hsa_agent_t*>(alloc(agents.size() * sizeof(hsa_agent_t)));
    require(list != nullptr, HSA_STATUS_ERROR_OUT_OF_RESOURCES);
    std::ranges::copy(agents, list);
    *accessible = list;
    *num_agents_accessible = static_cast<std::uint32_t>(agents.size());
  });
}

hsa_status_t hsa_amd_pointer_info_set_userdata(const void* ptr, void* userdata) {
  return call([&](Runtime& r) {
    require(ptr != nullptr);
    r.allocations.set_userdata(ptr, userdata);
  });
}

hsa_status_t hsa_amd_register_deallocation_callback(void* ptr, hsa_amd_deallocation_callback_t callback,
                                                    void* user_data) {
  return call([&](Runtime& r) {
    require(ptr && callback);
    r.allocations.on_free(ptr, callback, user_data);
  });
}

hsa_status_t hsa_amd_deregister_deallocation_callback(void* ptr, hsa_amd_deallocation_callback_t callback) {
  return call([&](Runtime& r) {
    require(ptr && callback);
    r.allocations.not_on_free(ptr, callback);
  });
}

}  // extern "C"
