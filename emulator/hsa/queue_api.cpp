// hsa_queue_*. Index functions, when their queue is none, print that and abort, as those of signals do.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

Queue& find(const hsa_queue_t* queue, const char* function) {
  const char* what = "outside of hsa_init and hsa_shut_down";
  if (Runtime* runtime = current()) {
    try {
      return runtime->queues.get(queue);
    } catch (const Refused&) {
      what = "not a queue";
    }
  }
  fmt::print(stderr, "libhsa-runtime64: {}: {} ({})\n", function, what, fmt::ptr(queue));
  std::abort();
}

constexpr std::uint32_t kCooperative = HSA_QUEUE_TYPE_COOPERATIVE;

}  // namespace

extern "C" {

hsa_status_t hsa_queue_create(hsa_agent_t agent, uint32_t size, hsa_queue_type32_t type,
                              void (*callback)(hsa_status_t, hsa_queue_t*, void*), void* data, uint32_t, uint32_t,
                              hsa_queue_t** queue) {
  return call([&](Runtime& r) {
    const bool gpu = is_gpu(agent);
    require(queue && std::has_single_bit(size) && type <= kCooperative);
    require(gpu, HSA_STATUS_ERROR_INVALID_QUEUE_CREATION);
    require(size <= kQueueMostPackets);
    Queue::Settings s;
    s.size = std::max(size, kQueueLeastPackets);
    s.type = type;
    s.callback = callback;
    s.data = data;
    *queue = r.queues.create(s);
  });
}

hsa_status_t hsa_soft_queue_create(hsa_region_t region, uint32_t size, hsa_queue_type32_t type, uint32_t features,
                                   hsa_signal_t doorbell_signal, hsa_queue_t** queue) {
  return call([&](Runtime& r) {
    const PoolInfo* pool = find_pool(region.handle);
    require(pool && !pool->gpu, HSA_STATUS_ERROR_INVALID_REGION);
    constexpr std::uint32_t kFeatures = HSA_QUEUE_FEATURE_KERNEL_DISPATCH | HSA_QUEUE_FEATURE_AGENT_DISPATCH;
    require(queue && std::has_single_bit(size) && size <= kQueueMostPackets && type < kCooperative);
    require(features != 0 && (features & ~kFeatures) == 0 && doorbell_signal.handle != 0);
    r.signals.get(doorbell_signal);
    Queue::Settings s;
    s.size = size;
    s.type = type;
    s.features = features;
    s.doorbell = doorbell_signal;
    *queue = r.queues.create(s);
  });
}

hsa_status_t hsa_queue_destroy(hsa_queue_t* queue) {
  return call([&](Runtime& r) {
    require(queue != nullptr);
    r.queues.destroy(queue);
  });
}

hsa_status_t hsa_queue_inactivate(hsa_queue_t* queue) {
  return call([&](Runtime& r) {
    require(queue != nullptr);
    r.queues.get(queue).inactivate();
  });
}

hsa_status_t hsa_amd_profiling_set_profiler_enabled(hsa_queue_t* queue, int enable) {
  return call([&](Runtime& r) {
    require(queue != nullptr);
    Queue& q = r.queues.get(queue);
    require(!q.soft(), HSA_STATUS_ERROR_INVALID_QUEUE);
    q.profiling = enable != 0;
  });
}

hsa_status_t hsa_amd_queue_set_priority(hsa_queue_t* queue, hsa_amd_queue_priority_t priority) {
  return call([&](Runtime& r) {
    require(!r.queues.get(queue).soft(), HSA_STATUS_ERROR_INVALID_QUEUE);
    require(priority >= HSA_AMD_QUEUE_PRIORITY_LOW && priority <= HSA_AMD_QUEUE_PRIORITY_HIGH);
  });
}

hsa_status_t hsa_amd_queue_cu_set_mask(const hsa_queue_t* queue, uint32_t num_cu_mask_count, const uint32_t* cu_mask) {
  return call([&](Runtime& r) {
    Queue& q = r.queues.get(queue);
    require(num_cu_mask_count % 32 == 0 && (num_cu_mask_count == 0 || cu_mask));
    const std::lock_guard lock(q.cu_mask_mutex);
    q.cu_mask.assign(cu_mask, cu_mask + num_cu_mask_count / 32);
  });
}

hsa_status_t hsa_amd_queue_cu_get_mask(const hsa_queue_t* queue, uint32_t num_cu_mask_count, uint32_t* cu_mask) {
  return call([&](Runtime& r) {
    Queue& q = r.queues.get(queue);
    require(num_cu_mask_count != 0 && num_cu_mask_count % 32 == 0 && cu_mask);
    const std::lock_guard lock(q.cu_mask_mutex);
    const auto units = static_cast<uint32_t>(r.emulator.compute_units());
    for (uint32_t i = 0; i < num_cu_mask_count / 32; ++i) {
      const uint32_t left = units > 32 * i ? units - 32 * i : 0;
      const uint32_t there = left >= 32 ? ~uint32_t{0} : (uint32_t{1} << left) - 1;
      const uint32_t asked = q.cu_mask.empty() ? ~uint32_t{0} : i < q.cu_mask.size() ? q.cu_mask[i] : 0;
      cu_mask[i] = asked & there;
    }
  });
}

#define WAVETILE_LOAD(name, order)                                       \
  uint64_t hsa_queue_load_read_index_##name(const hsa_queue_t* queue) {  \
    return find(queue, __func__).read_index().load(order);               \
  }                                                                      \
  uint64_t hsa_queue_load_write_index_##name(const hsa_queue_t* queue) { \
    return find(queue, __func__).write_index().load(order);              \
  }
WAVETILE_LOAD(relaxed, std::memory_order_relaxed)
WAVETILE_LOAD(acquire, std::memory_order_acquire)
WAVETILE_LOAD(scacquire, std::memory_order_seq_cst)

#define WAVETILE_STORE(name, order)                                                   \
  void hsa_queue_store_read_index_##name(const hsa_queue_t* queue, uint64_t value) {  \
    find(queue, __func__).read_index().store(value, order);                           \
  }                                                                                   \
  void hsa_queue_store_write_index_##name(const hsa_queue_t* queue, uint64_t value) { \
    find(queue, __func__).write_index().store(value, order);                          \
  }
WAVETILE_STORE(relaxed, std::memory_order_relaxed)
WAVETILE_STORE(release, std::memory_order_release)
WAVETILE_STORE(screlease, std::memory_order_seq_cst)

#define WAVETILE_UPDATE(name, order)                                                                       \
  uint64_t hsa_queue_add_write_index_##name(const hsa_queue_t* queue, uint64_t value) {                    \
    return find(queue, __func__).write_index().fetch_add(value, order);                                    \
  }                                                                                                        \
  uint64_t hsa_queue_cas_write_index_##name(const hsa_queue_t* queue, uint64_t expected, uint64_t value) { \
    find(queue, __func__).write_index().compare_exchange_strong(expected, value, order);                   \
    return expected;                                                                                       \
  }
WAVETILE_UPDATE(relaxed, std::memory_order_relaxed)
WAVETILE_UPDATE(acquire, std::memory_order_acquire)
WAVETILE_UPDATE(release, std::memory_order_release)
WAVETILE_UPDATE(acq_rel, std::memory_order_acq_rel)
WAVETILE_UPDATE(scacquire, std::memory_order_seq_cst)
WAVETILE_UPDATE(screlease, std::memory_order_seq_cst)
WAVETILE_UPDATE(scacq_screl, std::memory_order_seq_cst)

}  // extern "C"
