// The two agents, their ISA, wavefronts and caches. Handles of what there is one of a kind are fixed numbers.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "emulator/hsa/newer.h"
#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

constexpr hsa_isa_t kIsa{0x301};
constexpr std::uint64_t kWavefronts = 0x400;  // + lanes
constexpr std::uint64_t kCaches = 0x500;      // + level

// What a Chip does not say because no kernel can notice it. PCI numbers as in the PCI ID database, cache sizes and
// clocks as AMD's product pages and the kernel's driver give them.
struct Board {
  std::string_view chip;
  std::uint32_t chip_id, megahertz, memory_megahertz, memory_bits;
  std::uint32_t shader_engines, arrays_per_engine;
  std::uint32_t cache_kib[4];  // L1 to L4
};
constexpr Board kBoards[] = {
    {"gfx1151", 0x1586, 2900, 2000, 256, 2, 2, {32, 2048, 32768, 0}},
    {"gfx1100", 0x744c, 2500, 1250, 384, 6, 2, {32, 6144, 98304, 0}},
    {"gfx942", 0x74a1, 2100, 1300, 8192, 32, 1, {32, 4096, 262144, 0}},
};
const Board& board(const Runtime& r) { return *std::ranges::find(kBoards, r.emulator.chip().name, &Board::chip); }

// Fixed-width text: zeros to its end.
void put_text(void* to, std::size_t width, std::string_view text) {
  std::memset(to, 0, width);
  std::memcpy(to, text.data(), std::min(text.size(), width - 1));
}

std::string isa_name(const Runtime& r) {
  // As LLVM spells a target with its features: MI300 has both, and runs without retry faults.
  const Chip& chip = r.emulator.chip();
  const char* features = chip.family == Family::cdna3 ? ":sramecc+:xnack-" : "";
  return fmt::format("amdgcn-amd-amdhsa--{}{}", chip.name, features);
}

void put_extensions(void* to) {
  std::memset(to, 0, 128);
  auto* bits = static_cast<std::uint8_t*>(to);
  bits[HSA_EXTENSION_AMD_LOADER / 8] |= 1 << (HSA_EXTENSION_AMD_LOADER % 8);
}

constexpr std::uint32_t kGridMost = UINT32_MAX;

void core_info(const Runtime& r, bool gpu, hsa_agent_info_t attribute, void* value) {
  const Chip& chip = r.emulator.chip();
  switch (attribute) {
    case HSA_AGENT_INFO_NAME:
      return put_text(value, 64, gpu ? chip.name : "CPU");
    case HSA_AGENT_INFO_VENDOR_NAME:
      return put_text(value, 64, gpu ? "AMD" : "CPU");
    case HSA_AGENT_INFO_FEATURE:
      return put(value, gpu ? HSA_AGENT_FEATURE_KERNEL_DISPATCH : static_cast<hsa_agent_feature_t>(0));
    case HSA_AGENT_INFO_MACHINE_MODEL:
      return put(value, HSA_MACHINE_MODEL_LARGE);
    case HSA_AGENT_INFO_PROFILE:
      return put(value, gpu ? HSA_PROFILE_BASE : HSA_PROFILE_FULL);
    case HSA_AGENT_INFO_DEFAULT_FLOAT_ROUNDING_MODE:
      return put(value, HSA_DEFAULT_FLOAT_ROUNDING_MODE_NEAR);
    case HSA_AGENT_INFO_BASE_PROFILE_DEFAULT_FLOAT_ROUNDING_MODES:
      return put(value, HSA_DEFAULT_FLOAT_ROUNDING_MODE_NEAR);
    case HSA_AGENT_INFO_FAST_F16_OPERATION:
      return put<bool>(value, gpu);
    case HSA_AGENT_INFO_WAVEFRONT_SIZE:
      return put<std::uint32_t>(value, gpu ? static_cast<std::uint32_t>(chip.native_lanes) : 0);
    case HSA_AGENT_INFO_WORKGROUP_MAX_DIM: {
      const std::uint16_t most = gpu ? kMostWorkgroup : 0, dimensions[3] = {most, most, most};
      return static_cast<void>(std::memcpy(value, dimensions, sizeof dimensions));
    }
    case HSA_AGENT_INFO_WORKGROUP_MAX_SIZE:
      return put<std::uint32_t>(value, gpu ? kMostWorkgroup : 0);
    case HSA_AGENT_INFO_GRID_MAX_DIM: {
      const std::uint32_t most = gpu ? kGridMost : 0;
      return put(value, hsa_dim3_t{most, most, most});
    }
    case HSA_AGENT_INFO_GRID_MAX_SIZE:
      return put<std::uint32_t>(value, gpu ? kGridMost : 0);
    case HSA_AGENT_INFO_FBARRIER_MAX_SIZE:
      return put<std::uint32_t>(value, 0);
    case HSA_AGENT_INFO_QUEUES_MAX:
      return put<std::uint32_t>(value, gpu ? kQueuesMost : 0);
    case HSA_AGENT_INFO_QUEUE_MIN_SIZE:
      return put<std::uint32_t>(value, gpu ? kQueueLeastPackets : 0);
    case HSA_AGENT_INFO_QUEUE_MAX_SIZE:
      return put<std::uint32_t>(value, gpu ? kQueueMostPackets : 0);
    case HSA_AGENT_INFO_QUEUE_TYPE:
      return put(value, HSA_QUEUE_TYPE_MULTI);
    case HSA_AGENT_INFO_NODE:
      return put<std::uint32_t>(value, gpu);
    case HSA_AGENT_INFO_DEVICE:
      return put(value, gpu ? HSA_DEVICE_TYPE_GPU : HSA_DEVICE_TYPE_CPU);
    case HSA_AGENT_INFO_CACHE_SIZE: {
      std::uint32_t bytes[4] = {};
      for (int i = 0; i < 4 && gpu; ++i) bytes[i] = board(r).cache_kib[i] * 1024;
      return static_cast<void>(std::memcpy(value, bytes, sizeof bytes));
    }
    case HSA_AGENT_INFO_ISA:
      return put(value, gpu ? kIsa : hsa_isa_t{0});
    case HSA_AGENT_INFO_EXTENSIONS:
      return put_extensions(value);
    case HSA_AGENT_INFO_VERSION_MAJOR:
    case HSA_AGENT_INFO_VERSION_MINOR:
      return put<std::uint16_t>(value, 1);
  }
  throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
}

// Attributes of other types than uint32_t.
void amd_other_info(const Runtime& r, bool gpu, unsigned attribute, void* value) {
  switch (attribute) {
    case HSA_AMD_AGENT_INFO_PRODUCT_NAME:
      return put_text(value, 64, gpu ? r.emulator.chip().product : "CPU");
    case HSA_AMD_AGENT_INFO_UUID:
      return put_text(value, 21, gpu ? "GPU-XX" : "CPU-XX");
    case HSA_AMD_AGENT_INFO_HDP_FLUSH:
      return put(value, hsa_amd_hdp_flush_t{});
    case HSA_AMD_AGENT_INFO_COOPERATIVE_QUEUES:
    case HSA_AMD_AGENT_INFO_SVM_DIRECT_HOST_ACCESS:
      return put<bool>(value, gpu);
    case kAgentInfoMemoryAvailable:
    case kAgentInfoTimestampFrequency:
      return put<std::uint64_t>(value, attribute == kAgentInfoTimestampFrequency ? kTimestampFrequency
                                       : gpu                                     ? r.allocations.gpu_bytes_free()
                                                                                 : 0);
    case kAgentInfoNearestCpu:
      return put(value, kCpuAgent);
    case kAgentInfoMemoryProperties:
    case kAgentInfoAqlExtensions:
      std::memset(value, 0, 8);
      if (attribute == kAgentInfoMemoryProperties && gpu && r.emulator.chip().apu) {
        static_cast<std::uint8_t*>(value)[0] = 1 << kMemoryPropertyIsApu;
      }
      return;
    default:
      throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  }
}

// Attributes of type uint32_t.
std::uint32_t amd_number(const Runtime& r, bool gpu, unsigned attribute) {
  const Chip& chip = r.emulator.chip();
  const auto if_gpu = [&](auto n) { return gpu ? static_cast<std::uint32_t>(n) : 0; };
  switch (attribute) {
    case HSA_AMD_AGENT_INFO_CHIP_ID:
      return if_gpu(board(r).chip_id);
    case HSA_AMD_AGENT_INFO_CACHELINE_SIZE:
      return gpu ? static_cast<std::uint32_t>(chip.cache_line) : 64;
    case HSA_AMD_AGENT_INFO_COMPUTE_UNIT_COUNT:
      return gpu ? static_cast<std::uint32_t>(r.emulator.compute_units())
                 : std::max(1u, std::thread::hardware_concurrency());
    case HSA_AMD_AGENT_INFO_COOPERATIVE_COMPUTE_UNIT_COUNT:
      return if_gpu(r.emulator.compute_units());
    case HSA_AMD_AGENT_INFO_MAX_CLOCK_FREQUENCY:
      return if_gpu(board(r).megahertz);
    case HSA_AMD_AGENT_INFO_DRIVER_NODE_ID:
      return gpu;
    case HSA_AMD_AGENT_INFO_MEMORY_WIDTH:
      return if_gpu(board(r).memory_bits);
    case HSA_AMD_AGENT_INFO_MEMORY_MAX_FREQUENCY:
      return if_gpu(board(r).memory_megahertz);
    case HSA_AMD_AGENT_INFO_MAX_WAVES_PER_CU:
      return if_gpu(chip.simds * chip.waves_per_simd);
    case HSA_AMD_AGENT_INFO_NUM_SIMDS_PER_CU:
      return if_gpu(chip.simds);
    case HSA_AMD_AGENT_INFO_NUM_SHADER_ENGINES:
      return if_gpu(board(r).shader_engines);
    case HSA_AMD_AGENT_INFO_NUM_SHADER_ARRAYS_PER_SE:
      return if_gpu(board(r).arrays_per_engine);
    case HSA_AMD_AGENT_INFO_BDFID:
      return if_gpu(1u << 8);  // bus 1
    case kAgentInfoXccs:
      return if_gpu(1);
    case HSA_AMD_AGENT_INFO_MAX_ADDRESS_WATCH_POINTS:
    case HSA_AMD_AGENT_INFO_DOMAIN:
    case HSA_AMD_AGENT_INFO_ASIC_REVISION:
    case kAgentInfoAsicFamilyId:
    case kAgentInfoUcodeVersion:
    case kAgentInfoSdmaUcodeVersion:
    case kAgentInfoSdmaEngines:
    case kAgentInfoSdmaXgmiEngines:
    case kAgentInfoIommuSupport:
    case kAgentInfoDriverUid:
      return 0;
    default:
      throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  }
}

void check_isa(hsa_isa_t isa) { require(isa.handle == kIsa.handle, HSA_STATUS_ERROR_INVALID_ISA); }

std::vector<std::uint32_t> wave_sizes(const Runtime& r) {
  const Chip& chip = r.emulator.chip();
  return chip.wave32 ? std::vector<std::uint32_t>{32, 64} : std::vector<std::uint32_t>{64};
}

void isa_info(const Runtime& r, unsigned attribute, void* value) {
  const Chip& chip = r.emulator.chip();
  switch (attribute) {
    case HSA_ISA_INFO_NAME_LENGTH:
      return put(value, static_cast<std::uint32_t>(isa_name(r).size()) + 1);
    case HSA_ISA_INFO_NAME:
      return put_text(value, isa_name(r).size() + 1, isa_name(r));
    case HSA_ISA_INFO_CALL_CONVENTION_COUNT:
      return put<std::uint32_t>(value, 1);
    case HSA_ISA_INFO_CALL_CONVENTION_INFO_WAVEFRONT_SIZE:
      return put(value, static_cast<std::uint32_t>(chip.native_lanes));
    case HSA_ISA_INFO_CALL_CONVENTION_INFO_WAVEFRONTS_PER_COMPUTE_UNIT:
      return put(value, static_cast<std::uint32_t>(chip.simds * chip.waves_per_simd));
    case HSA_ISA_INFO_MACHINE_MODELS: {
      const bool models[2] = {false, true};
      return static_cast<void>(std::memcpy(value, models, sizeof models));
    }
    case HSA_ISA_INFO_PROFILES: {
      const bool profiles[2] = {true, false};
      return static_cast<void>(std::memcpy(value, profiles, sizeof profiles));
    }
    case HSA_ISA_INFO_DEFAULT_FLOAT_ROUNDING_MODES:
    case HSA_ISA_INFO_BASE_PROFILE_DEFAULT_FLOAT_ROUNDING_MODES: {
      const bool modes[3] = {false, false, true};
      return static_cast<void>(std::memcpy(value, modes, sizeof modes));
    }
    case HSA_ISA_INFO_FAST_F16_OPERATION:
      return put(value, true);
    case HSA_ISA_INFO_WORKGROUP_MAX_DIM: {
      const std::uint16_t most[3] = {kMostWorkgroup, kMostWorkgroup, kMostWorkgroup};
      return static_cast<void>(std::memcpy(value, most, sizeof most));
    }
    case HSA_ISA_INFO_WORKGROUP_MAX_SIZE:
      return put<std::uint32_t>(value, kMostWorkgroup);
    case HSA_ISA_INFO_GRID_MAX_DIM:
      return put(value, hsa_dim3_t{kGridMost, kGridMost, kGridMost});
    case HSA_ISA_INFO_GRID_MAX_SIZE:
      return put<std::uint64_t>(value, UINT64_MAX);
    case HSA_ISA_INFO_FBARRIER_MAX_SIZE:
      return put<std::uint32_t>(value, 0);
    default:
      throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  }
}

}  // namespace

extern "C" {

hsa_status_t hsa_iterate_agents(hsa_status_t (*callback)(hsa_agent_t, void*), void* data) {
  return call([&](Runtime&) {
    require(callback != nullptr);
    const hsa_status_t status = callback(kCpuAgent, data);
    return status == HSA_STATUS_SUCCESS ? callback(kGpuAgent, data) : status;
  });
}

hsa_status_t hsa_agent_get_info(hsa_agent_t agent, hsa_agent_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    const bool gpu = is_gpu(agent);
    require(value != nullptr);
    const auto number = static_cast<unsigned>(attribute);
    if (number < HSA_AMD_AGENT_INFO_CHIP_ID) return core_info(r, gpu, attribute, value);
    constexpr unsigned kOthers[] = {HSA_AMD_AGENT_INFO_PRODUCT_NAME,
                                    HSA_AMD_AGENT_INFO_UUID,
                                    HSA_AMD_AGENT_INFO_HDP_FLUSH,
                                    HSA_AMD_AGENT_INFO_COOPERATIVE_QUEUES,
                                    HSA_AMD_AGENT_INFO_SVM_DIRECT_HOST_ACCESS,
                                    kAgentInfoMemoryAvailable,
                                    kAgentInfoTimestampFrequency,
                                    kAgentInfoNearestCpu,
                                    kAgentInfoMemoryProperties,
                                    kAgentInfoAqlExtensions};
    if (std::ranges::find(kOthers, number) != std::end(kOthers)) return amd_other_info(r, gpu, number, value);
    put<std::uint32_t>(value, amd_number(r, gpu, number));
  });
}

hsa_status_t hsa_agent_get_exception_policies(hsa_agent_t agent, hsa_profile_t profile, uint16_t* mask) {
  return call([&](Runtime&) {
    is_gpu(agent);
    require(mask && (profile == HSA_PROFILE_BASE || profile == HSA_PROFILE_FULL));
    *mask = 0;
  });
}

hsa_status_t hsa_agent_iterate_caches(hsa_agent_t agent, hsa_status_t (*callback)(hsa_cache_t, void*), void* data) {
  return call([&](Runtime& r) {
    const bool gpu = is_gpu(agent);
    require(callback != nullptr);
    for (std::uint64_t level = 1; gpu && level <= 4; ++level) {
      if (board(r).cache_kib[level - 1] == 0) continue;
      const hsa_status_t status = callback(hsa_cache_t{kCaches + level}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

hsa_status_t hsa_cache_get_info(hsa_cache_t cache, hsa_cache_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    const std::uint64_t level = cache.handle - kCaches;
    require(level >= 1 && level <= 4 && board(r).cache_kib[level - 1] != 0, HSA_STATUS_ERROR_INVALID_CACHE);
    require(value != nullptr);
    const std::string name = fmt::format("{} L{}", r.emulator.chip().name, level);
    switch (attribute) {
      case HSA_CACHE_INFO_NAME_LENGTH:
        return put(value, static_cast<std::uint32_t>(name.size()) + 1);
      case HSA_CACHE_INFO_NAME:
        return put_text(value, name.size() + 1, name);
      case HSA_CACHE_INFO_LEVEL:
        return put(value, static_cast<std::uint8_t>(level));
      case HSA_CACHE_INFO_SIZE:
        return put<std::uint32_t>(value, board(r).cache_kib[level - 1] * 1024);
    }
    throw Refused{HSA_STATUS_ERROR_INVALID_ARGUMENT};
  });
}

hsa_status_t hsa_agent_iterate_isas(hsa_agent_t agent, hsa_status_t (*callback)(hsa_isa_t, void*), void* data) {
  return call([&](Runtime&) {
    const bool gpu = is_gpu(agent);
    require(callback != nullptr);
    return gpu ? callback(kIsa, data) : HSA_STATUS_SUCCESS;
  });
}

hsa_status_t hsa_isa_from_name(const char* name, hsa_isa_t* isa) {
  return call([&](Runtime& r) {
    require(name && isa);
    require(name == isa_name(r), HSA_STATUS_ERROR_INVALID_ISA_NAME);
    *isa = kIsa;
  });
}

hsa_status_t hsa_isa_get_info_alt(hsa_isa_t isa, hsa_isa_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    check_isa(isa);
    require(value != nullptr);
    isa_info(r, static_cast<unsigned>(attribute), value);
  });
}

hsa_status_t hsa_isa_get_info(hsa_isa_t isa, hsa_isa_info_t attribute, uint32_t index, void* value) {
  return call([&](Runtime& r) {
    check_isa(isa);
    require(value != nullptr);
    require(index == 0, HSA_STATUS_ERROR_INVALID_INDEX);
    isa_info(r, static_cast<unsigned>(attribute), value);
  });
}

hsa_status_t hsa_isa_get_exception_policies(hsa_isa_t isa, hsa_profile_t profile, uint16_t* mask) {
  return call([&](Runtime&) {
    check_isa(isa);
    require(mask && (profile == HSA_PROFILE_BASE || profile == HSA_PROFILE_FULL));
    *mask = 0;
  });
}

hsa_status_t hsa_isa_get_round_method(hsa_isa_t isa, hsa_fp_type_t fp_type, hsa_flush_mode_t flush_mode,
                                      hsa_round_method_t* round_method) {
  return call([&](Runtime&) {
    check_isa(isa);
    require(fp_type == HSA_FP_TYPE_16 || fp_type == HSA_FP_TYPE_32 || fp_type == HSA_FP_TYPE_64);
    require(round_method && (flush_mode == HSA_FLUSH_MODE_FTZ || flush_mode == HSA_FLUSH_MODE_NON_FTZ));
    *round_method = HSA_ROUND_METHOD_SINGLE;
  });
}

hsa_status_t hsa_isa_compatible(hsa_isa_t code_object_isa, hsa_isa_t agent_isa, bool* result) {
  return call([&](Runtime&) {
    check_isa(code_object_isa);
    check_isa(agent_isa);
    require(result != nullptr);
    *result = true;
  });
}

hsa_status_t hsa_isa_iterate_wavefronts(hsa_isa_t isa, hsa_status_t (*callback)(hsa_wavefront_t, void*), void* data) {
  return call([&](Runtime& r) {
    check_isa(isa);
    require(callback != nullptr);
    for (const std::uint32_t lanes : wave_sizes(r)) {
      const hsa_status_t status = callback(hsa_wavefront_t{kWavefronts + lanes}, data);
      if (status != HSA_STATUS_SUCCESS) return status;
    }
    return HSA_STATUS_SUCCESS;
  });
}

hsa_status_t hsa_wavefront_get_info(hsa_wavefront_t wavefront, hsa_wavefront_info_t attribute, void* value) {
  return call([&](Runtime& r) {
    const auto sizes = wave_sizes(r);
    const bool known = std::ranges::find(sizes, wavefront.handle - kWavefronts) != sizes.end();
    require(known, HSA_STATUS_ERROR_INVALID_WAVEFRONT);
    require(value && attribute == HSA_WAVEFRONT_INFO_SIZE);
    put(value, static_cast<std::uint32_t>(wavefront.handle - kWavefronts));
  });
}

}  // extern "C"
