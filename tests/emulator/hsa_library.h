// The HSA library, opened as a program would that was linked against AMD's, and what most of its tests start from.
#pragma once

#include <gtest/gtest.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace wavetile::emu {

/// Throws std::runtime_error when the library does not export it.
void* library_symbol(const char* name);

#define HSA(function) (reinterpret_cast<decltype(&::function)>(::wavetile::emu::library_symbol(#function)))
#define EXPECT_OK(call) EXPECT_EQ(call, HSA_STATUS_SUCCESS)
#define ASSERT_OK(call) ASSERT_EQ(call, HSA_STATUS_SUCCESS)

/// Initialised with two compute units, and shut down; whatever the library prints then is in `farewell`.
class HsaTest : public testing::Test {
 protected:
  void SetUp() override { start("cus=2,memory=64M,threads=2"); }
  void TearDown() override;
  void start(const char* options);
  void stop();

  hsa_signal_t signal(hsa_signal_value_t value);
  /// From the pool, accessible to both agents.
  void* allocate(hsa_amd_memory_pool_t pool, std::size_t bytes);
  /// Waits until it is 0; false after 20 seconds.
  static bool wait(hsa_signal_t signal);

  hsa_agent_t cpu{}, gpu{};
  hsa_amd_memory_pool_t fine{}, kernarg{}, coarse{}, device{}, group{};
  bool running = false;
  std::string farewell;
};

}  // namespace wavetile::emu
