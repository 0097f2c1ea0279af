#include "runtime/hsa_system.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include "codegen/compile.h"
#include "runtime/hsa_diagnosis.h"
#include "runtime/hsa_values.h"

namespace wavetile::hsa {
namespace {

// A copy of a text of fixed width.
template <size_t N>
std::string text_of(const char (&text)[N]) {
  return {text, strnlen(text, N)};
}

}  // namespace

std::shared_ptr<System> System::open(bool emulator) {
  static std::mutex mutex;
  static std::weak_ptr<System> kept[2];
  std::lock_guard lock(mutex);
  std::shared_ptr<System> system = kept[emulator].lock();
  if (!system) kept[emulator] = system = open(Api::load(emulator));
  return system;
}

std::shared_ptr<System> System::open(std::shared_ptr<const Api> api) {
  return std::shared_ptr<System>(new System(std::move(api)));
}

System::System(std::shared_ptr<const Api> api) : api_(std::move(api)) {
  if (hsa_status_t s = api_->hsa_init(); s != HSA_STATUS_SUCCESS)
    throw Error(
        fmt::format("{}: hsa_init failed: {}; {}", api_->path, api_->text_of(s),
                    api_->emulated ? "WAVETILE_EMULATOR has to be words such as gfx1151,checks" : why_no_gpu()));
  try {
    uint16_t major = 0, minor = 0;
    api_->check(api_->hsa_system_get_info(HSA_SYSTEM_INFO_VERSION_MAJOR, &major), "hsa_system_get_info");
    api_->check(api_->hsa_system_get_info(HSA_SYSTEM_INFO_VERSION_MINOR, &minor), "hsa_system_get_info");
    if (std::pair<unsigned, unsigned>(major, minor) < std::pair(kOldestMajor, kOldestMinor))
      throw Error(fmt::format("{}: HSA {}.{} is older than {}.{}; install ROCm 5.2 or later", api_->path, major, minor,
                              kOldestMajor, kOldestMinor));
    api_->check(api_->hsa_system_get_info(HSA_SYSTEM_INFO_TIMESTAMP_FREQUENCY, &frequency_), "hsa_system_get_info");
    find_agents();
    // Without a handler a fault ends the process. There is one a process: a program that has its own keeps it.
    auto note = [](const hsa_amd_event_t* event, void* data) {
      if (event->event_type == HSA_AMD_GPU_MEMORY_FAULT_EVENT)
        static_cast<System*>(data)->fault_ = std::max<uint64_t>(1, event->memory_fault.virtual_address);
      return HSA_STATUS_SUCCESS;
    };
    if (hsa_status_t s = api_->hsa_amd_register_system_event_handler(note, this); s != HSA_STATUS_ERROR)
      api_->check(s, "hsa_amd_register_system_event_handler");
  } catch (...) {
    api_->hsa_shut_down();
    throw;
  }
}

System::~System() { api_->hsa_shut_down(); }

std::string System::version() const {
  uint16_t major = 0, minor = 0;
  api_->check(api_->hsa_system_get_info(HSA_SYSTEM_INFO_VERSION_MAJOR, &major), "hsa_system_get_info");
  api_->check(api_->hsa_system_get_info(HSA_SYSTEM_INFO_VERSION_MINOR, &minor), "hsa_system_get_info");
  return fmt::format("{}.{}", major, minor);
}

void System::find_agents() {
  std::vector<hsa_agent_t> all;
  auto take = [](hsa_agent_t a, void* to) {
    static_cast<std::vector<hsa_agent_t>*>(to)->push_back(a);
    return HSA_STATUS_SUCCESS;
  };
  api_->check(api_->hsa_iterate_agents(take, &all), "hsa_iterate_agents");
  std::vector<hsa_agent_t> gpus;
  for (hsa_agent_t a : all) {
    hsa_device_type_t type{};
    api_->check(api_->hsa_agent_get_info(a, HSA_AGENT_INFO_DEVICE, &type), "hsa_agent_get_info");
    if (type == HSA_DEVICE_TYPE_GPU) gpus.push_back(a);
    if (type != HSA_DEVICE_TYPE_CPU || host_.handle != 0) continue;
    host_ = a;
    for (hsa_amd_memory_pool_t pool : pools_of(a)) {
      auto flags = pool_info<uint32_t>(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS);
      host_bytes_ = std::max<uint64_t>(host_bytes_, pool_info<size_t>(pool, HSA_AMD_MEMORY_POOL_INFO_SIZE));
      if (flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_KERNARG_INIT) kernarg_ = pool;
    }
  }
  if (host_.handle == 0 || kernarg_.handle == 0)
    throw Error(fmt::format("{}: it has no memory for kernel arguments", api_->path));
  for (hsa_agent_t a : gpus) gpus_.push_back(describe(a));
}

// Global pools from which memory may be allocated.
std::vector<hsa_amd_memory_pool_t> System::pools_of(hsa_agent_t agent) const {
  std::vector<hsa_amd_memory_pool_t> all, usable;
  auto take = [](hsa_amd_memory_pool_t p, void* to) {
    static_cast<std::vector<hsa_amd_memory_pool_t>*>(to)->push_back(p);
    return HSA_STATUS_SUCCESS;
  };
  api_->check(api_->hsa_amd_agent_iterate_memory_pools(agent, take, &all), "hsa_amd_agent_iterate_memory_pools");
  for (hsa_amd_memory_pool_t p : all)
    if (pool_info<hsa_amd_segment_t>(p, HSA_AMD_MEMORY_POOL_INFO_SEGMENT) == HSA_AMD_SEGMENT_GLOBAL &&
        pool_info<bool>(p, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED))
      usable.push_back(p);
  return usable;
}

Agent System::describe(hsa_agent_t handle) const {
  Agent a;
  a.handle = handle;
  auto info = [&](auto what, void* to) {
    api_->check(api_->hsa_agent_get_info(handle, static_cast<hsa_agent_info_t>(what), to), "hsa_agent_get_info");
  };
  char product[64] = {};
  info(HSA_AMD_AGENT_INFO_PRODUCT_NAME, product);
  a.product = text_of(product);
  if (a.product.empty()) {  // libdrm's list of names is not there, or older than the chip
    info(HSA_AGENT_INFO_NAME, product);
    a.product = text_of(product);
  }
  info(HSA_AMD_AGENT_INFO_COMPUTE_UNIT_COUNT, &a.compute_units);
  info(HSA_AGENT_INFO_QUEUE_MAX_SIZE, &a.queue_packets);
  info(HSA_AMD_AGENT_INFO_BDFID, &a.bus);
  info(HSA_AMD_AGENT_INFO_DOMAIN, &a.domain);
  uint8_t properties[8] = {};
  if (api_->hsa_agent_get_info(handle, static_cast<hsa_agent_info_t>(kAgentInfoMemoryProperties), properties) ==
      HSA_STATUS_SUCCESS)
    a.apu = (properties[kMemoryPropertyIsApu / 8] & 1 << kMemoryPropertyIsApu % 8) != 0;
  uint64_t ticks = 0;
  if (api_->hsa_agent_get_info(handle, static_cast<hsa_agent_info_t>(kAgentInfoTimestampFrequency), &ticks) ==
      HSA_STATUS_SUCCESS)
    a.clock = ticks != 0;
  std::vector<hsa_isa_t> isas;
  auto take = [](hsa_isa_t isa, void* to) {
    static_cast<std::vector<hsa_isa_t>*>(to)->push_back(isa);
    return HSA_STATUS_SUCCESS;
  };
  api_->check(api_->hsa_agent_iterate_isas(handle, take, &isas), "hsa_agent_iterate_isas");
  if (!isas.empty()) {  // the first is the agent's own, others are generic
    uint32_t length = 0;
    api_->check(api_->hsa_isa_get_info_alt(isas[0], HSA_ISA_INFO_NAME_LENGTH, &length), "hsa_isa_get_info_alt");
    std::string name(length + 1, 0);
    api_->check(api_->hsa_isa_get_info_alt(isas[0], HSA_ISA_INFO_NAME, name.data()), "hsa_isa_get_info_alt");
    a.isa = name.c_str();
    const size_t dashes = a.isa.rfind("--");
    if (dashes != std::string::npos) a.chip = a.isa.substr(dashes + 2, a.isa.find(':') - dashes - 2);
  }
  try {
    amdgpu_target(a.chip);
    a.known = true;
  } catch (const Error&) {  // is told when it is opened
  }
  for (hsa_amd_memory_pool_t pool : pools_of(handle)) {
    auto flags = pool_info<uint32_t>(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS);
    if (!(flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_COARSE_GRAINED) || a.memory.handle != 0) continue;
    a.memory = pool;
    a.memory_bytes = pool_info<size_t>(pool, HSA_AMD_MEMORY_POOL_INFO_SIZE);
    hsa_amd_memory_pool_access_t access{};
    api_->check(api_->hsa_amd_agent_memory_pool_get_info(host_, pool, HSA_AMD_AGENT_MEMORY_POOL_INFO_ACCESS, &access),
                "hsa_amd_agent_memory_pool_get_info");
    a.shared = access != HSA_AMD_MEMORY_POOL_ACCESS_NEVER_ALLOWED;
  }
  return a;
}

}  // namespace wavetile::hsa
