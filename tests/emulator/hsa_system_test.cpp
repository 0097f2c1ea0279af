#include <hsa/hsa_ext_finalize.h>
#include <hsa/hsa_ext_image.h>
#include <hsa/hsa_ven_amd_loader.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>

#include <gmock/gmock.h>

#include "emulator/emulator.h"
#include "tests/emulator/hsa_library.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

class HsaSystem : public HsaTest {};

TEST(HsaInit, CountsItsCalls) {
  setenv("WAVETILE_EMULATOR", "cus=1", 1);
  EXPECT_EQ(HSA(hsa_shut_down)(), HSA_STATUS_ERROR_NOT_INITIALIZED);
  ASSERT_OK(HSA(hsa_init)());
  ASSERT_OK(HSA(hsa_init)());
  EXPECT_OK(HSA(hsa_shut_down)());
  std::uint16_t major = 0;
  EXPECT_OK(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_VERSION_MAJOR, &major));
  EXPECT_EQ(major, 1);
  EXPECT_OK(HSA(hsa_shut_down)());
  EXPECT_EQ(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_VERSION_MAJOR, &major), HSA_STATUS_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(HSA(hsa_shut_down)(), HSA_STATUS_ERROR_NOT_INITIALIZED);
}

TEST(HsaInit, RefusesOptionsThatItDoesNotKnow) {
  setenv("WAVETILE_EMULATOR", "gfx906", 1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(HSA(hsa_init)(), HSA_STATUS_ERROR);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("WAVETILE_EMULATOR: 'gfx906': unknown"));
  EXPECT_THAT(said, HasSubstr("gfx1151, gfx1100, gfx942"));
  EXPECT_EQ(HSA(hsa_shut_down)(), HSA_STATUS_ERROR_NOT_INITIALIZED);
}

TEST(HsaInit, NothingWorksBeforeIt) {
  const hsa_agent_t a{0x202};
  void* p = nullptr;
  const std::function<hsa_status_t()> calls[] = {
      [&] { return HSA(hsa_iterate_agents)(nullptr, nullptr); },
      [&] { return HSA(hsa_agent_get_info)(a, HSA_AGENT_INFO_NAME, nullptr); },
      [&] { return HSA(hsa_signal_create)(0, 0, nullptr, nullptr); },
      [&] { return HSA(hsa_signal_destroy)({1}); },
      [&] { return HSA(hsa_amd_signal_async_handler)({1}, HSA_SIGNAL_CONDITION_EQ, 0, nullptr, nullptr); },
      [&] { return HSA(hsa_queue_create)(a, 64, 0, nullptr, nullptr, 0, 0, nullptr); },
      [&] { return HSA(hsa_queue_destroy)(nullptr); },
      [&] { return HSA(hsa_memory_allocate)({1}, 1, &p); },
      [&] { return HSA(hsa_memory_free)(nullptr); },
      [&] { return HSA(hsa_memory_copy)(nullptr, nullptr, 0); },
      [&] { return HSA(hsa_amd_memory_pool_allocate)({1}, 1, 0, &p); },
      [&] { return HSA(hsa_amd_memory_lock)(nullptr, 0, nullptr, 0, nullptr); },
      [&] { return HSA(hsa_amd_agents_allow_access)(0, nullptr, nullptr, nullptr); },
      [&] { return HSA(hsa_amd_memory_fill)(nullptr, 0, 0); },
      [&] {
        return HSA(hsa_executable_create_alt)(HSA_PROFILE_BASE, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, nullptr,
                                              nullptr);
      },
      [&] { return HSA(hsa_executable_freeze)({1}, nullptr); },
      [&] { return HSA(hsa_code_object_reader_create_from_memory)(nullptr, 0, nullptr); },
      [&] { return HSA(hsa_ext_sampler_destroy)(a, {1}); },
      [&] { return HSA(hsa_ext_program_destroy)({1}); },
      [&] { return HSA(hsa_code_object_destroy)({1}); },
      [&] { return HSA(hsa_amd_svm_attributes_get)(nullptr, 0, nullptr, 0); },
      [&] { return HSA(hsa_system_get_major_extension_table)(HSA_EXTENSION_AMD_LOADER, 1, 8, &p); },
      [&] { return HSA(hsa_ven_amd_loader_query_host_address)(nullptr, nullptr); },
  };
  for (std::size_t i = 0; i < std::size(calls); ++i) EXPECT_EQ(calls[i](), HSA_STATUS_ERROR_NOT_INITIALIZED) << i;
}

TEST_F(HsaSystem, StatusStrings) {
  const char* text = nullptr;
  EXPECT_EQ(HSA(hsa_status_string)(HSA_STATUS_SUCCESS, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_status_string)(static_cast<hsa_status_t>(0x1234), &text), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  std::set<std::string> texts;
  int known = 0;
  for (int s = 0; s < 0x2000; ++s) {
    if (HSA(hsa_status_string)(static_cast<hsa_status_t>(s), &text) != HSA_STATUS_SUCCESS) continue;
    ++known;
    texts.insert(text);
  }
  EXPECT_EQ(known, 40);
  EXPECT_EQ(texts.size(), 40u);
  EXPECT_OK(HSA(hsa_status_string)(HSA_STATUS_ERROR_INVALID_PACKET_FORMAT, &text));
  EXPECT_THAT(text, HasSubstr("HSA_STATUS_ERROR_INVALID_PACKET_FORMAT"));
}

TEST_F(HsaSystem, Information) {
  std::uint64_t frequency = 0, first = 0, second = 0;
  EXPECT_OK(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_TIMESTAMP_FREQUENCY, &frequency));
  EXPECT_OK(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_TIMESTAMP, &first));
  EXPECT_OK(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_TIMESTAMP, &second));
  EXPECT_EQ(frequency, 1000000000u);
  EXPECT_LE(first, second);
  EXPECT_EQ(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_TIMESTAMP, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_system_get_info)(static_cast<hsa_system_info_t>(99), &first), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  std::uint8_t bits[128];
  EXPECT_OK(HSA(hsa_system_get_info)(HSA_SYSTEM_INFO_EXTENSIONS, bits));
  EXPECT_EQ(bits[0x201 / 8], 1 << (0x201 % 8));
}

TEST_F(HsaSystem, Extensions) {
  bool there = false;
  std::uint16_t minor = 0;
  EXPECT_OK(HSA(hsa_system_major_extension_supported)(HSA_EXTENSION_AMD_LOADER, 1, &minor, &there));
  EXPECT_TRUE(there);
  EXPECT_EQ(minor, 3);
  EXPECT_OK(HSA(hsa_system_major_extension_supported)(HSA_EXTENSION_AMD_LOADER, 2, &minor, &there));
  EXPECT_FALSE(there);
  EXPECT_OK(HSA(hsa_system_extension_supported)(HSA_EXTENSION_IMAGES, 1, 0, &there));
  EXPECT_FALSE(there);
  EXPECT_OK(HSA(hsa_agent_extension_supported)(HSA_EXTENSION_AMD_LOADER, gpu, 1, 4, &there));
  EXPECT_FALSE(there);
  EXPECT_EQ(HSA(hsa_system_extension_supported)(77, 1, 0, &there), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_system_extension_supported)(HSA_EXTENSION_IMAGES, 1, 0, nullptr),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  const char* name = nullptr;
  EXPECT_OK(HSA(hsa_extension_get_name)(HSA_EXTENSION_AMD_LOADER, &name));
  EXPECT_STREQ(name, "HSA_EXTENSION_AMD_LOADER");

  hsa_ven_amd_loader_1_03_pfn_t table{};
  EXPECT_OK(HSA(hsa_system_get_major_extension_table)(HSA_EXTENSION_AMD_LOADER, 1,
                                                      sizeof(hsa_ven_amd_loader_1_00_pfn_t), &table));
  EXPECT_EQ(table.hsa_ven_amd_loader_query_executable, HSA(hsa_ven_amd_loader_query_executable));
  EXPECT_EQ(table.hsa_ven_amd_loader_iterate_executables, nullptr);
  EXPECT_OK(HSA(hsa_system_get_extension_table)(HSA_EXTENSION_AMD_LOADER, 1, 3, &table));
  EXPECT_EQ(table.hsa_ven_amd_loader_iterate_executables, HSA(hsa_ven_amd_loader_iterate_executables));
  EXPECT_EQ(HSA(hsa_system_get_major_extension_table)(HSA_EXTENSION_IMAGES, 1, 8, &table), HSA_STATUS_ERROR);
  EXPECT_EQ(HSA(hsa_system_get_major_extension_table)(HSA_EXTENSION_AMD_LOADER, 1, 8, nullptr),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
}

template <typename T>
T agent_info(hsa_agent_t agent, unsigned attribute) {
  T value{};
  EXPECT_OK(HSA(hsa_agent_get_info)(agent, static_cast<hsa_agent_info_t>(attribute), &value)) << attribute;
  return value;
}

TEST_F(HsaSystem, Agents) {
  for (const auto& [options, name, lanes, apu] : {std::tuple{"cus=3", "gfx1151", 32u, true},
                                                  {"gfx1100,cus=3", "gfx1100", 32u, false},
                                                  {"gfx942,cus=3", "gfx942", 64u, false}}) {
    start(options);
    char text[64];
    EXPECT_OK(HSA(hsa_agent_get_info)(gpu, HSA_AGENT_INFO_NAME, text));
    EXPECT_STREQ(text, name);
    EXPECT_EQ(agent_info<hsa_device_type_t>(cpu, HSA_AGENT_INFO_DEVICE), HSA_DEVICE_TYPE_CPU);
    EXPECT_EQ(agent_info<hsa_device_type_t>(gpu, HSA_AGENT_INFO_DEVICE), HSA_DEVICE_TYPE_GPU);
    EXPECT_EQ(agent_info<std::uint32_t>(gpu, HSA_AGENT_INFO_WAVEFRONT_SIZE), lanes);
    EXPECT_EQ(agent_info<std::uint32_t>(gpu, HSA_AMD_AGENT_INFO_COMPUTE_UNIT_COUNT), 3u);
    EXPECT_EQ(agent_info<std::uint32_t>(gpu, HSA_AGENT_INFO_WORKGROUP_MAX_SIZE), 1024u);
    EXPECT_EQ(agent_info<std::uint32_t>(gpu, HSA_AMD_AGENT_INFO_CACHELINE_SIZE), 128u);
    EXPECT_EQ(agent_info<std::uint32_t>(gpu, HSA_AMD_AGENT_INFO_MAX_WAVES_PER_CU), 32u);
    EXPECT_EQ(agent_info<std::uint64_t>(gpu, 0xA114) != 0, apu);  // memory properties
    EXPECT_EQ(agent_info<hsa_agent_t>(gpu, 0xA113).handle, cpu.handle);
    std::string isa;
    hsa_isa_t handle = agent_info<hsa_isa_t>(gpu, HSA_AGENT_INFO_ISA);
    std::uint32_t length = 0;
    EXPECT_OK(HSA(hsa_isa_get_info_alt)(handle, HSA_ISA_INFO_NAME_LENGTH, &length));
    isa.resize(length);
    EXPECT_OK(HSA(hsa_isa_get_info_alt)(handle, HSA_ISA_INFO_NAME, isa.data()));
    EXPECT_THAT(isa, testing::StartsWith("amdgcn-amd-amdhsa--" + std::string(name)));
    hsa_isa_t same{};
    EXPECT_OK(HSA(hsa_isa_from_name)(isa.c_str(), &same));
    EXPECT_EQ(same.handle, handle.handle);
    EXPECT_EQ(HSA(hsa_isa_from_name)("amdgcn-amd-amdhsa--gfx900", &same), HSA_STATUS_ERROR_INVALID_ISA_NAME);
  }
}

TEST_F(HsaSystem, AgentArguments) {
  std::uint64_t value[16];
  const hsa_agent_t none{0x999};
  EXPECT_EQ(HSA(hsa_agent_get_info)(none, HSA_AGENT_INFO_NAME, value), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_EQ(HSA(hsa_agent_get_info)(gpu, HSA_AGENT_INFO_NAME, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  for (const unsigned attribute : {99u, 0x9fffu, 0xA0ffu, 0xB000u}) {
    EXPECT_EQ(HSA(hsa_agent_get_info)(gpu, static_cast<hsa_agent_info_t>(attribute), value),
              HSA_STATUS_ERROR_INVALID_ARGUMENT);
  }
  EXPECT_EQ(HSA(hsa_iterate_agents)(nullptr, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_iterate_agents)([](hsa_agent_t, void*) { return HSA_STATUS_INFO_BREAK; }, nullptr),
            HSA_STATUS_INFO_BREAK);
  EXPECT_EQ(HSA(hsa_isa_get_info_alt)({1}, HSA_ISA_INFO_NAME, value), HSA_STATUS_ERROR_INVALID_ISA);
  EXPECT_EQ(HSA(hsa_cache_get_info)({1}, HSA_CACHE_INFO_LEVEL, value), HSA_STATUS_ERROR_INVALID_CACHE);
  EXPECT_EQ(HSA(hsa_wavefront_get_info)({1}, HSA_WAVEFRONT_INFO_SIZE, value), HSA_STATUS_ERROR_INVALID_WAVEFRONT);
  int waves = 0;
  EXPECT_OK(HSA(hsa_isa_iterate_wavefronts)(
      agent_info<hsa_isa_t>(gpu, HSA_AGENT_INFO_ISA),
      [](hsa_wavefront_t w, void* data) {
        std::uint32_t lanes = 0;
        EXPECT_OK(HSA(hsa_wavefront_get_info)(w, HSA_WAVEFRONT_INFO_SIZE, &lanes));
        *static_cast<int*>(data) += static_cast<int>(lanes);
        return HSA_STATUS_SUCCESS;
      },
      &waves));
  EXPECT_EQ(waves, 96);
}

// --- what is left over at the end

void leak_one_of_each() {
  hsa_signal_t s{};
  HSA(hsa_signal_create)(7, 0, nullptr, &s);
  const hsa_agent_t gpu{0x202};
  hsa_signal_group_t g{};
  HSA(hsa_signal_group_create)(1, &s, 1, &gpu, &g);
  void* p = nullptr;
  HSA(hsa_amd_memory_pool_allocate)({0x104}, 1234, 0, &p);
  static int locked[4];
  HSA(hsa_amd_memory_lock)(locked, sizeof locked, nullptr, 0, &p);
  hsa_queue_t* q = nullptr;
  HSA(hsa_queue_create)(gpu, 64, HSA_QUEUE_TYPE_MULTI, nullptr, nullptr, 0, 0, &q);
  hsa_executable_t e{};
  HSA(hsa_executable_create_alt)(HSA_PROFILE_BASE, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, nullptr, &e);
  hsa_code_object_reader_t r{};
  HSA(hsa_code_object_reader_create_from_memory)(locked, sizeof locked, &r);
}

TEST_F(HsaSystem, ReportsWhatWasNotFreed) {
  leak_one_of_each();
  stop();
  EXPECT_THAT(farewell, HasSubstr("allocation 1: 1234 bytes of device memory"));
  EXPECT_THAT(farewell, HasSubstr("allocation 2: 16 bytes of locked host memory"));
  EXPECT_THAT(farewell, HasSubstr("signal 1: its value is 7"));
  EXPECT_THAT(farewell, HasSubstr("signal group 1"));
  EXPECT_THAT(farewell, HasSubstr("queue 1 of 64 packets"));
  EXPECT_THAT(farewell, HasSubstr("executable 1 (0 code objects, 0 bytes)"));
  EXPECT_THAT(farewell, HasSubstr("code object reader 1 (16 bytes"));
}

TEST(HsaExit, LeaksDecideTheStatusIfAskedTo) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto run = [](const char* options, bool leak, bool shut_down) {
    setenv("WAVETILE_EMULATOR", options, 1);
    HSA(hsa_init)();
    if (leak) leak_one_of_each();
    if (shut_down) HSA(hsa_shut_down)();
    std::exit(0);
  };
  EXPECT_EXIT(run("cus=1,strict", true, true), testing::ExitedWithCode(kStrictStatus), "not freed");
  EXPECT_EXIT(run("cus=1,strict", true, false), testing::ExitedWithCode(kStrictStatus),
              "before its last hsa_shut_down");
  EXPECT_EXIT(run("cus=1,strict", false, true), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(run("cus=1", true, true), testing::ExitedWithCode(0), "signal 1: its value is 7");
}

}  // namespace
}  // namespace wavetile::emu
