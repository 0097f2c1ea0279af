#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

#include <gmock/gmock.h>

#include "tests/emulator/hsa_queue_fixture.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

class HsaPacket : public HsaQueue {};

// Each field of a packet wrong once: the queue's callback hears of it, and nothing runs any more.
TEST_F(HsaPacket, RefusesEachWrongField) {
  freeze();
  auto* data = static_cast<std::int32_t*>(allocate(device, 256));
  auto* arguments = static_cast<StepArguments*>(allocate(kernarg, sizeof(StepArguments)));
  *arguments = {data, 1, 1};
  const hsa_signal_t done = signal(1);
  using Dispatch = hsa_kernel_dispatch_packet_t;
  constexpr auto kFormat = HSA_STATUS_ERROR_INVALID_PACKET_FORMAT;
  constexpr auto kDimensions = HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS;
  const struct {
    const char* name;
    const char* kernel;
    std::function<void(Dispatch&)> change;
    hsa_status_t status;
    const char* text;
  } cases[] = {
      {"type", "step.kd", [](Dispatch& p) { p.header = static_cast<std::uint16_t>((p.header & 0xff00) | 9); }, kFormat,
       "packet type 9"},
      {"agent", "step.kd", [](Dispatch& p) { p.header = header(HSA_PACKET_TYPE_AGENT_DISPATCH); }, kFormat,
       "agent dispatch"},
      {"vendor", "step.kd", [](Dispatch& p) { p.header = header(HSA_PACKET_TYPE_VENDOR_SPECIFIC); }, kFormat,
       "vendor-specific"},
      {"acquire", "step.kd", [](Dispatch& p) { p.header |= 3 << 9; }, kFormat, "acquire fence scope 3"},
      {"release", "step.kd", [](Dispatch& p) { p.header |= 3 << 11; }, kFormat, "release fence scope 3"},
      {"header", "step.kd", [](Dispatch& p) { p.header |= 1 << 13; }, kFormat, "reserved bits"},
      {"setup0", "step.kd", [](Dispatch& p) { p.setup = 0; }, kDimensions, "0 dimensions"},
      {"setup", "step.kd", [](Dispatch& p) { p.setup = 5; }, kFormat, "reserved bits"},
      {"group_x", "step.kd", [](Dispatch& p) { p.workgroup_size_x = 0; }, kDimensions, "workgroup_size_x is 0"},
      {"group_z", "step.kd", [](Dispatch& p) { p.workgroup_size_z = 0; }, kDimensions, "workgroup_size_z is 0"},
      {"grid_x", "step.kd", [](Dispatch& p) { p.grid_size_x = 0; }, kDimensions, "grid_size_x is 0"},
      {"grid_y", "step.kd", [](Dispatch& p) { p.grid_size_y = 2; }, kDimensions, "a grid of 1 dimensions"},
      {"small", "step.kd", [](Dispatch& p) { p.grid_size_x = 63; }, kDimensions, "less than workgroup_size_x"},
      {"large", "step.kd",
       [](Dispatch& p) {
         p.setup = 2;
         p.workgroup_size_y = p.grid_size_y = 32;
       },
       HSA_STATUS_ERROR_INVALID_ARGUMENT, "2048 work-items"},
      {"compiled", "step.kd",
       [](Dispatch& p) {
         p.setup = 2;
         p.workgroup_size_y = p.grid_size_y = 2;
       },
       HSA_STATUS_ERROR_INVALID_ARGUMENT, "compiled for 64"},
      {"reserved0", "step.kd", [](Dispatch& p) { p.reserved0 = 1; }, kFormat, "reserved fields"},
      {"reserved2", "step.kd", [](Dispatch& p) { p.reserved2 = 1; }, kFormat, "reserved fields"},
      {"object", "step.kd", [](Dispatch& p) { p.kernel_object += 4; }, HSA_STATUS_ERROR_INVALID_CODE_OBJECT, ""},
      {"no_object", "step.kd", [](Dispatch& p) { p.kernel_object = 0; }, HSA_STATUS_ERROR_INVALID_CODE_OBJECT,
       "no kernel descriptor"},
      {"kernarg", "step.kd", [](Dispatch& p) { p.kernarg_address = nullptr; }, HSA_STATUS_ERROR_INVALID_ARGUMENT,
       "null pointer"},
      {"aligned", "step.kd", [](Dispatch& p) { p.kernarg_address = static_cast<char*>(p.kernarg_address) + 8; },
       HSA_STATUS_ERROR_INVALID_ARGUMENT, "multiple of 16"},
      {"past", "step.kd", [](Dispatch& p) { p.kernarg_address = static_cast<char*>(p.kernarg_address) + 16; },
       HSA_STATUS_ERROR_INVALID_ARGUMENT, "kernarg_address"},
      {"lds", "lds.kd", [](Dispatch& p) { p.group_segment_size = 128; }, HSA_STATUS_ERROR_INVALID_ALLOCATION,
       "it needs 256"},
      {"much_lds", "lds.kd", [](Dispatch& p) { p.group_segment_size = 65537; }, HSA_STATUS_ERROR_INVALID_ALLOCATION,
       "65536"},
      {"signal", "step.kd", [](Dispatch& p) { p.completion_signal.handle = 72; }, HSA_STATUS_ERROR_INVALID_SIGNAL,
       "0x48 is no signal"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Errors errors;
    hsa_queue_t* q = queue(&errors);
    Dispatch p = dispatch(c.kernel, arguments, done);
    if (std::strcmp(c.kernel, "lds.kd") == 0) p.group_segment_size = 256;
    c.change(p);
    testing::internal::CaptureStderr();
    submit(q, p);
    submit(q, dispatch("step.kd", arguments, done));
    for (int i = 0; i < 5000 && errors.count() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_OK(HSA(hsa_queue_destroy)(q));
    EXPECT_THAT(errors.statuses, testing::ElementsAre(c.status));
    EXPECT_THAT(said, HasSubstr("stops at packet 0"));
    EXPECT_THAT(said, HasSubstr(c.text));
    EXPECT_EQ(HSA(hsa_signal_load_relaxed)(done), 1);
  }
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(arguments));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(data));
}

TEST_F(HsaPacket, AnUnfrozenExecutableDoesNotRun) {
  Errors errors;
  hsa_queue_t* q = queue(&errors);
  auto* arguments = static_cast<StepArguments*>(allocate(kernarg, sizeof(StepArguments)));
  testing::internal::CaptureStderr();
  submit(q, dispatch("step.kd", arguments, {0}));
  for (int i = 0; i < 5000 && errors.count() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("not frozen"));
  EXPECT_THAT(errors.statuses, testing::ElementsAre(HSA_STATUS_ERROR_INVALID_CODE_OBJECT));
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(arguments));
}

// A kernel that touches what it may not: the report on stderr, the event, and the queue's callback.
TEST_F(HsaPacket, FaultsOfKernels) {
  freeze();
  static std::atomic<std::uint64_t> faulted;
  faulted = 0;
  ASSERT_OK(HSA(hsa_amd_register_system_event_handler)(
      [](const hsa_amd_event_t* event, void*) {
        faulted = event->memory_fault.virtual_address;
        return HSA_STATUS_SUCCESS;
      },
      nullptr));
  EXPECT_EQ(HSA(hsa_amd_register_system_event_handler)([](const hsa_amd_event_t*, void*) { return HSA_STATUS_SUCCESS; },
                                                       nullptr),
            HSA_STATUS_ERROR);
  void *closed = nullptr, *freed = allocate(device, 64);
  ASSERT_OK(HSA(hsa_amd_memory_pool_allocate)(fine, 64, 0, &closed));
  ASSERT_OK(HSA(hsa_amd_memory_pool_free)(freed));
  auto* arguments = static_cast<void**>(allocate(kernarg, 8));
  const struct {
    void* address;
    const char* text;
  } cases[] = {{closed, "hsa_amd_agents_allow_access"}, {freed, "which was freed"}, {nullptr, "null pointer"}};
  for (const auto& c : cases) {
    Errors errors;
    hsa_queue_t* q = queue(&errors);
    *arguments = c.address;
    testing::internal::CaptureStderr();
    submit(q, dispatch("wild.kd", arguments, {0}));
    for (int i = 0; i < 5000 && errors.count() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr(c.text));
    EXPECT_THAT(said, HasSubstr("kernel wild"));
    EXPECT_THAT(errors.statuses, testing::ElementsAre(static_cast<hsa_status_t>(HSA_STATUS_ERROR_MEMORY_FAULT)));
    EXPECT_EQ(faulted, reinterpret_cast<std::uint64_t>(c.address));
    EXPECT_OK(HSA(hsa_queue_destroy)(q));
  }
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(arguments));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(closed));
  unload();
  stop();
  EXPECT_EQ(farewell, "libhsa-runtime64: 3 reports on kernels\n");
}

}  // namespace
}  // namespace wavetile::emu
