// Copies and fills. An asynchronous copy that names the GPU agent is made by it, and so touches only what it may.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

#include <fmt/format.h>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

std::uint64_t to_address(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

// Whether a range that begins inside an allocation ends there too; memory that is not of this library passes.
bool inside(Runtime& r, const void* begin, std::size_t bytes, const char* function) {
  const auto found = r.allocations.find(begin);
  if (!found || bytes <= found->bytes - (to_address(begin) - to_address(found->base))) return true;
  fmt::print(stderr, "libhsa-runtime64: {}: {}\n", function, r.emulator.memory().explain(to_address(begin), bytes));
  return false;
}

// Whether the GPU agent may touch all of a range.
bool gpu_may(Runtime& r, const void* begin, std::size_t bytes, const char* function) {
  if (r.emulator.memory().find(to_address(begin), bytes)) return true;
  std::string why = r.allocations.explain(to_address(begin));
  if (why.empty()) why = r.emulator.memory().explain(to_address(begin), bytes);
  fmt::print(stderr, "libhsa-runtime64: {}: the GPU agent cannot copy: {}\n", function, why);
  return false;
}

void copy_bytes(Runtime& r, void* dst, const void* src, std::size_t size) {
  if (const std::string report = r.emulator.check_host_read(to_address(src), size); !report.empty()) {
    std::fputs(report.c_str(), stderr);
    ++r.reports;
  }
  std::memmove(dst, src, size);
  r.emulator.memory().host_wrote(to_address(dst), size);
}

std::vector<hsa_signal_t> check_dependencies(Runtime& r, std::uint32_t count, const hsa_signal_t* signals,
                                             hsa_signal_t completion) {
  require((count != 0) == (signals != nullptr) && completion.handle != 0);
  for (std::uint32_t i = 0; i < count; ++i) r.signals.get(signals[i]);
  r.signals.get(completion);
  return {signals, signals + count};
}

// Runs copy() when all dependencies are 0. When it fails, the completion signal becomes negative.
void defer(Runtime& r, std::vector<hsa_signal_t> dependencies, hsa_signal_t completion, std::function<bool()> copy) {
  const auto ready = [&r, dependencies = std::move(dependencies)] {
    for (const hsa_signal_t d : dependencies) {
      amd_signal_t* s = r.signals.find(d);
      if (s && Signals::value(*s).load(std::memory_order_acquire) != 0) return false;
    }
    return true;
  };
  const auto run = [&r, completion, copy = std::move(copy)] {
    const std::uint64_t start = timestamp();
    const bool good = copy();
    amd_signal_t* s = r.signals.find(completion);
    if (!s) return false;
    if (r.copy_profiling) {
      s->start_ts = start;
      s->end_ts = timestamp();
    }
    if (good) {
      r.signals.subtract_one(completion);
    } else {
      Signals::value(*s).store(-1);
      r.signals.wrote(completion, -1);
    }
    return false;
  };
  r.copies.add({ready, run});
}

struct Plane {
  char* base;
  std::size_t pitch, slice;
  // Bytes from base to the end of the last row of the range.
  std::size_t extent(const hsa_dim3_t& offset, const hsa_dim3_t& range) const {
    return (std::size_t{offset.z} + range.z - 1) * slice + (std::size_t{offset.y} + range.y - 1) * pitch + offset.x +
           range.x;
  }
};

Plane check_plane(const hsa_pitched_ptr_t* p, const hsa_dim3_t& offset, const hsa_dim3_t& range) {
  require(p->base != nullptr);
  require(range.y <= 1 || p->pitch >= std::size_t{offset.x} + range.x);
  require(range.z <= 1 || p->slice >= (std::size_t{offset.y} + range.y) * p->pitch);
  // The engines of the hardware address rows by dwords.
  require(to_address(p->base) % 4 == 0 && p->pitch % 4 == 0 && p->slice % 4 == 0);
  return {static_cast<char*>(p->base), p->pitch, p->slice};
}

}  // namespace

extern "C" {

hsa_status_t hsa_memory_copy(void* dst, const void* src, size_t size) {
  return call([&](Runtime& r) {
    require(dst && src);
    if (size == 0) return;
    require(inside(r, dst, size, "hsa_memory_copy") && inside(r, src, size, "hsa_memory_copy"));
    copy_bytes(r, dst, src, size);
  });
}

hsa_status_t hsa_amd_memory_fill(void* ptr, uint32_t value, size_t count) {
  return call([&](Runtime& r) {
    require(ptr && to_address(ptr) % 4 == 0);
    if (count == 0) return;
    const auto found = r.allocations.find(ptr);
    require(found && found->pool && count <= SIZE_MAX / 4, HSA_STATUS_ERROR_INVALID_ALLOCATION);
    require(inside(r, ptr, count * 4, "hsa_amd_memory_fill"), HSA_STATUS_ERROR_INVALID_ALLOCATION);
    std::fill_n(static_cast<uint32_t*>(ptr), count, value);
    r.emulator.memory().host_wrote(to_address(ptr), count * 4);
  });
}

hsa_status_t hsa_amd_memory_async_copy(void* dst, hsa_agent_t dst_agent, const void* src, hsa_agent_t src_agent,
                                       size_t size, uint32_t num_dep_signals, const hsa_signal_t* dep_signals,
                                       hsa_signal_t completion_signal) {
  return call([&](Runtime& r) {
    require(dst && src);
    const bool dst_gpu = is_gpu(dst_agent), src_gpu = is_gpu(src_agent);
    auto dependencies = check_dependencies(r, num_dep_signals, dep_signals, completion_signal);
    const bool gpu = dst_gpu || src_gpu;
    defer(r, std::move(dependencies), completion_signal, [&r, dst, src, size, gpu] {
      constexpr const char* kName = "hsa_amd_memory_async_copy";
      if (size == 0) return true;
      if (gpu ? !gpu_may(r, dst, size, kName) || !gpu_may(r, src, size, kName)
              : !inside(r, dst, size, kName) || !inside(r, src, size, kName)) {
        return false;
      }
      copy_bytes(r, dst, src, size);
      return true;
    });
  });
}

hsa_status_t hsa_amd_memory_async_copy_rect(const hsa_pitched_ptr_t* dst, const hsa_dim3_t* dst_offset,
                                            const hsa_pitched_ptr_t* src, const hsa_dim3_t* src_offset,
                                            const hsa_dim3_t* range, hsa_agent_t copy_agent,
                                            hsa_amd_copy_direction_t dir, uint32_t num_dep_signals,
                                            const hsa_signal_t* dep_signals, hsa_signal_t completion_signal) {
  return call([&](Runtime& r) {
    require(dst && dst_offset && src && src_offset && range);
    require(is_gpu(copy_agent), HSA_STATUS_ERROR_INVALID_AGENT);
    require(dir >= hsaHostToHost && dir <= hsaDeviceToDevice);
    const hsa_dim3_t to = *dst_offset, from = *src_offset, n = *range;
    const Plane target = check_plane(dst, to, n), source = check_plane(src, from, n);
    auto dependencies = check_dependencies(r, num_dep_signals, dep_signals, completion_signal);
    defer(r, std::move(dependencies), completion_signal, [&r, target, source, to, from, n] {
      constexpr const char* kName = "hsa_amd_memory_async_copy_rect";
      if (n.x == 0 || n.y == 0 || n.z == 0) return true;
      if (!gpu_may(r, target.base, target.extent(to, n), kName) ||
          !gpu_may(r, source.base, source.extent(from, n), kName)) {
        return false;
      }
      for (std::size_t z = 0; z < n.z; ++z) {
        for (std::size_t y = 0; y < n.y; ++y) {
          copy_bytes(r, target.base + (to.z + z) * target.slice + (to.y + y) * target.pitch + to.x,
                     source.base + (from.z + z) * source.slice + (from.y + y) * source.pitch + from.x, n.x);
        }
      }
      return true;
    });
  });
}

hsa_status_t hsa_amd_profiling_async_copy_enable(bool enable) {
  return call([&](Runtime& r) { r.copy_profiling = enable; });
}

hsa_status_t hsa_amd_profiling_get_async_copy_time(hsa_signal_t signal, hsa_amd_profiling_async_copy_time_t* time) {
  return call([&](Runtime& r) {
    require(time != nullptr);
    const amd_signal_t& s = r.signals.get(signal);
    *time = {s.start_ts, s.end_ts};
  });
}

hsa_status_t hsa_amd_profiling_get_dispatch_time(hsa_agent_t agent, hsa_signal_t signal,
                                                 hsa_amd_profiling_dispatch_time_t* time) {
  return call([&](Runtime& r) {
    require(time != nullptr);
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    const amd_signal_t& s = r.signals.get(signal);
    *time = {s.start_ts, s.end_ts};
  });
}

hsa_status_t hsa_amd_profiling_convert_tick_to_system_domain(hsa_agent_t agent, uint64_t agent_tick,
                                                             uint64_t* system_tick) {
  return call([&](Runtime&) {
    require(system_tick != nullptr);
    require(is_gpu(agent), HSA_STATUS_ERROR_INVALID_AGENT);
    *system_tick = agent_tick;  // one clock for all
  });
}

}  // extern "C"
