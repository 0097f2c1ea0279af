#include "tests/emulator/hsa_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>

namespace wavetile::emu {

void* library_symbol(const char* name) {
  // The same tests can be run on another library, such as AMD's with the plug-in.
  static const char* const other = std::getenv("WAVETILE_TEST_HSA_LIBRARY");
  static void* const library = dlopen(other ? other : WAVETILE_HSA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  void* symbol = dlsym(library, name);
  if (!symbol) throw std::runtime_error(dlerror());
  return symbol;
}

void HsaTest::start(const char* options) {
  if (running) stop();
  setenv("WAVETILE_EMULATOR", options, 1);
  ASSERT_OK(HSA(hsa_init)());
  running = true;
  std::vector<hsa_agent_t> agents;
  ASSERT_OK(HSA(hsa_iterate_agents)(
      [](hsa_agent_t a, void* data) {
        static_cast<std::vector<hsa_agent_t>*>(data)->push_back(a);
        return HSA_STATUS_SUCCESS;
      },
      &agents));
  ASSERT_EQ(agents.size(), 2u);
  cpu = agents[0];
  gpu = agents[1];
  for (const hsa_agent_t agent : agents) {
    std::vector<hsa_amd_memory_pool_t> found;
    ASSERT_OK(HSA(hsa_amd_agent_iterate_memory_pools)(
        agent,
        [](hsa_amd_memory_pool_t p, void* data) {
          static_cast<std::vector<hsa_amd_memory_pool_t>*>(data)->push_back(p);
          return HSA_STATUS_SUCCESS;
        },
        &found));
    for (const hsa_amd_memory_pool_t pool : found) {
      hsa_amd_segment_t segment{};
      std::uint32_t flags = 0;
      ASSERT_OK(HSA(hsa_amd_memory_pool_get_info)(pool, HSA_AMD_MEMORY_POOL_INFO_SEGMENT, &segment));
      ASSERT_OK(HSA(hsa_amd_memory_pool_get_info)(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS, &flags));
      if (segment == HSA_AMD_SEGMENT_GROUP) {
        group = pool;
      } else if (agent.handle == gpu.handle) {
        device = pool;
      } else if (flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_KERNARG_INIT) {
        kernarg = pool;
      } else if (flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED) {
        fine = pool;
      } else {
        coarse = pool;
      }
    }
  }
  for (const auto& pool : {fine, kernarg, coarse, device, group}) ASSERT_NE(pool.handle, 0u);
}

void HsaTest::stop() {
  testing::internal::CaptureStderr();
  EXPECT_OK(HSA(hsa_shut_down)());
  farewell = testing::internal::GetCapturedStderr();
  running = false;
}

void HsaTest::TearDown() {
  if (!running) return;
  stop();
  EXPECT_EQ(farewell, "");
}

hsa_signal_t HsaTest::signal(hsa_signal_value_t value) {
  hsa_signal_t s{};
  EXPECT_OK(HSA(hsa_signal_create)(value, 0, nullptr, &s));
  return s;
}

void* HsaTest::allocate(hsa_amd_memory_pool_t pool, std::size_t bytes) {
  void* p = nullptr;
  EXPECT_OK(HSA(hsa_amd_memory_pool_allocate)(pool, bytes, 0, &p));
  const hsa_agent_t both[] = {cpu, gpu};
  EXPECT_OK(HSA(hsa_amd_agents_allow_access)(2, both, nullptr, p));
  return p;
}

bool HsaTest::wait(hsa_signal_t s) {
  return HSA(hsa_signal_wait_scacquire)(s, HSA_SIGNAL_CONDITION_EQ, 0, 20'000'000'000, HSA_WAIT_STATE_BLOCKED) == 0;
}

}  // namespace wavetile::emu
