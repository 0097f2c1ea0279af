#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <gmock/gmock.h>

#include "tests/emulator/hsa_queue_fixture.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

TEST_F(HsaQueue, Arguments) {
  hsa_queue_t* q = nullptr;
  const auto create = HSA(hsa_queue_create);
  const auto with = [&](hsa_agent_t agent, std::uint32_t size, hsa_queue_type32_t type, hsa_queue_t** to) {
    return create(agent, size, type, nullptr, nullptr, 0, 0, to);
  };
  EXPECT_EQ(with({9}, 64, HSA_QUEUE_TYPE_MULTI, &q), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_EQ(with(cpu, 64, HSA_QUEUE_TYPE_MULTI, &q), HSA_STATUS_ERROR_INVALID_QUEUE_CREATION);
  for (const std::uint32_t size : {0u, 3u, 65u, 1u << 30}) {
    EXPECT_EQ(with(gpu, size, HSA_QUEUE_TYPE_MULTI, &q), HSA_STATUS_ERROR_INVALID_ARGUMENT) << size;
  }
  EXPECT_EQ(with(gpu, 64, 3, &q), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(with(gpu, 64, HSA_QUEUE_TYPE_MULTI, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_queue_destroy)(nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  hsa_queue_t fake{};
  EXPECT_EQ(HSA(hsa_queue_destroy)(&fake), HSA_STATUS_ERROR_INVALID_QUEUE);
  EXPECT_EQ(HSA(hsa_queue_inactivate)(&fake), HSA_STATUS_ERROR_INVALID_QUEUE);
  EXPECT_EQ(HSA(hsa_amd_profiling_set_profiler_enabled)(&fake, 1), HSA_STATUS_ERROR_INVALID_QUEUE);
  ASSERT_OK(with(gpu, 64, HSA_QUEUE_TYPE_SINGLE, &q));
  EXPECT_EQ(q->size, 64u);
  EXPECT_EQ(q->type, static_cast<std::uint32_t>(HSA_QUEUE_TYPE_SINGLE));
  EXPECT_EQ(HSA(hsa_queue_load_write_index_relaxed)(q), 0u);
  EXPECT_EQ(HSA(hsa_queue_cas_write_index_relaxed)(q, 1, 5), 0u);
  EXPECT_EQ(HSA(hsa_queue_load_write_index_relaxed)(q), 0u);
  EXPECT_EQ(HSA(hsa_amd_queue_set_priority)(q, static_cast<hsa_amd_queue_priority_t>(3)),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  std::uint32_t mask = 0;
  EXPECT_OK(HSA(hsa_amd_queue_cu_get_mask)(q, 32, &mask));
  EXPECT_EQ(mask, 3u);  // two compute units
  EXPECT_EQ(HSA(hsa_amd_queue_cu_set_mask)(q, 31, &mask), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_signal_destroy)(q->doorbell_signal), HSA_STATUS_ERROR_INVALID_SIGNAL);
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  EXPECT_EQ(HSA(hsa_queue_destroy)(q), HSA_STATUS_ERROR_INVALID_QUEUE);
}

TEST_F(HsaQueue, SoftQueuesAreForThePrograms) {
  const hsa_signal_t bell = signal(0);
  hsa_queue_t* q = nullptr;
  const auto create = HSA(hsa_soft_queue_create);
  const hsa_region_t region{fine.handle};
  constexpr std::uint32_t kAgentDispatch = HSA_QUEUE_FEATURE_AGENT_DISPATCH;
  EXPECT_EQ(create({1}, 4, 0, kAgentDispatch, bell, &q), HSA_STATUS_ERROR_INVALID_REGION);
  EXPECT_EQ(create(region, 3, 0, kAgentDispatch, bell, &q), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(create(region, 4, 0, kAgentDispatch, {0}, &q), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(create(region, 4, 0, 0, bell, &q), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  ASSERT_OK(create(region, 4, HSA_QUEUE_TYPE_SINGLE, kAgentDispatch, bell, &q));
  EXPECT_EQ(q->doorbell_signal.handle, bell.handle);
  HSA(hsa_queue_store_read_index_release)(q, 3);
  EXPECT_EQ(HSA(hsa_queue_load_read_index_relaxed)(q), 3u);
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  EXPECT_OK(HSA(hsa_signal_destroy)(bell));
}

TEST_F(HsaQueue, BarrierPackets) {
  hsa_queue_t* q = queue();
  const hsa_signal_t a = signal(1), b = signal(1), done = signal(1), other = signal(1);
  submit(q, barrier(HSA_PACKET_TYPE_BARRIER_AND, {a, {0}, b}, done));
  submit(q, barrier(HSA_PACKET_TYPE_BARRIER_OR, {a, b}, other));
  HSA(hsa_signal_store_release)(a, 0);
  EXPECT_EQ(HSA(hsa_signal_wait_relaxed)(done, HSA_SIGNAL_CONDITION_EQ, 0, 5'000'000, HSA_WAIT_STATE_BLOCKED), 1);
  EXPECT_EQ(HSA(hsa_queue_load_read_index_relaxed)(q), 0u);
  HSA(hsa_signal_store_release)(b, 0);
  EXPECT_TRUE(wait(done));
  EXPECT_TRUE(wait(other));
  EXPECT_EQ(HSA(hsa_queue_load_read_index_scacquire)(q), 2u);

  // -or: one of several. barrier-value: a condition on a signal's bits.
  HSA(hsa_signal_store_relaxed)(a, 1);
  HSA(hsa_signal_store_relaxed)(b, 0xf0);
  HSA(hsa_signal_store_relaxed)(done, 2);
  submit(q, barrier(HSA_PACKET_TYPE_BARRIER_OR, {a, b}, done));
  hsa_amd_barrier_value_packet_t value{};
  value.header.header = header(HSA_PACKET_TYPE_VENDOR_SPECIFIC);
  value.header.AmdFormat = HSA_AMD_PACKET_TYPE_BARRIER_VALUE;
  value.signal = b;
  value.mask = 0xff;
  value.value = 0x30;
  value.cond = HSA_SIGNAL_CONDITION_LT;
  value.completion_signal = done;
  submit(q, value);
  HSA(hsa_signal_store_release)(a, 0);
  EXPECT_EQ(HSA(hsa_signal_wait_relaxed)(done, HSA_SIGNAL_CONDITION_LT, 2, UINT64_MAX, HSA_WAIT_STATE_BLOCKED), 1);
  HSA(hsa_signal_store_release)(b, 0x720);
  EXPECT_TRUE(wait(done));
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  for (const hsa_signal_t s : {a, b, done, other}) EXPECT_OK(HSA(hsa_signal_destroy)(s));
}

TEST_F(HsaQueue, DestructionEndsAWaitThatHasNoEnd) {
  hsa_queue_t* q = queue();
  const hsa_signal_t never = signal(1);
  submit(q, barrier(HSA_PACKET_TYPE_BARRIER_AND, {never}, {0}));
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  EXPECT_OK(HSA(hsa_signal_destroy)(never));
}

TEST_F(HsaQueue, ManyProducersWrapTheRing) {
  hsa_queue_t* q = queue();
  constexpr int kThreads = 3, kEach = 300;
  const hsa_signal_t done = signal(kThreads * kEach);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) submit(q, barrier(HSA_PACKET_TYPE_BARRIER_AND, {}, done));
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_TRUE(wait(done));
  EXPECT_EQ(HSA(hsa_queue_load_read_index_scacquire)(q), std::uint64_t{kThreads * kEach});
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
}

TEST_F(HsaQueue, ChainsOfKernels) {
  freeze();
  hsa_queue_t *first = queue(), *second = queue();
  ASSERT_OK(HSA(hsa_amd_profiling_set_profiler_enabled)(first, 1));
  constexpr int kItems = 256;
  auto* data = static_cast<std::int32_t*>(allocate(device, kItems * 4));
  auto* arguments = static_cast<StepArguments*>(allocate(kernarg, 4 * sizeof(StepArguments)));
  for (int i = 0; i < kItems; ++i) data[i] = i;
  for (int i = 0; i < 4; ++i) arguments[i] = {data, i + 2, i};
  // Steps 0 and 2 on one queue, 1 and 3 on the other; each waits for the one before.
  std::vector<hsa_signal_t> done;
  for (int i = 0; i < 4; ++i) done.push_back(signal(1));
  for (const int i : {1, 3, 0, 2}) {
    hsa_queue_t* q = i % 2 ? second : first;
    if (i > 0) submit(q, barrier(HSA_PACKET_TYPE_BARRIER_AND, {done[i - 1]}, {0}));
    submit(q, dispatch("step.kd", &arguments[i], done[i], kItems));
  }
  for (const hsa_signal_t s : done) EXPECT_TRUE(wait(s));
  for (int i = 0; i < kItems; ++i) ASSERT_EQ(data[i], (((i * 2 + 0) * 3 + 1) * 4 + 2) * 5 + 3) << i;
  hsa_amd_profiling_dispatch_time_t zero{}, two{};
  EXPECT_OK(HSA(hsa_amd_profiling_get_dispatch_time)(gpu, done[0], &zero));
  EXPECT_OK(HSA(hsa_amd_profiling_get_dispatch_time)(gpu, done[2], &two));
  EXPECT_LT(zero.start, zero.end);
  EXPECT_LE(zero.end, two.start);
  EXPECT_EQ(HSA(hsa_amd_profiling_get_dispatch_time)(cpu, done[0], &zero), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_OK(HSA(hsa_queue_destroy)(first));
  EXPECT_OK(HSA(hsa_queue_destroy)(second));
  for (const hsa_signal_t s : done) EXPECT_OK(HSA(hsa_signal_destroy)(s));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(arguments));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(data));
}

TEST_F(HsaQueue, EveryChip) {
  for (const char* chip : {"gfx1100", "gfx942"}) {
    unload();
    start((std::string(chip) + ",cus=2").c_str());
    load(chip);
    freeze();
    hsa_queue_t* q = queue();
    auto* data = static_cast<std::int32_t*>(allocate(device, 512));
    auto* arguments = static_cast<StepArguments*>(allocate(kernarg, sizeof(StepArguments)));
    for (int i = 0; i < 128; ++i) data[i] = i;
    *arguments = {data, 3, 1};
    const hsa_signal_t done = signal(1);
    submit(q, dispatch("step.kd", arguments, done, 128));
    EXPECT_TRUE(wait(done));
    for (int i = 0; i < 128; ++i) ASSERT_EQ(data[i], i * 3 + 1) << chip << ' ' << i;
    EXPECT_OK(HSA(hsa_queue_destroy)(q));
    EXPECT_OK(HSA(hsa_signal_destroy)(done));
    EXPECT_OK(HSA(hsa_amd_memory_pool_free)(arguments));
    EXPECT_OK(HSA(hsa_amd_memory_pool_free)(data));
  }
}

// Memory that only the GPU agent has access to is initialised by what kernels and copies write.
TEST_F(HsaQueue, ChecksAndCounters) {
  unload();
  start("cus=1,checks,counters");
  load();
  freeze();
  hsa_queue_t* q = queue();
  auto* arguments = static_cast<StepArguments*>(allocate(kernarg, sizeof(StepArguments)));
  const hsa_signal_t done = signal(1);
  for (const bool copied : {false, true}) {
    void* data = nullptr;
    ASSERT_OK(HSA(hsa_amd_memory_pool_allocate)(device, 256, 0, &data));
    const std::vector<std::int32_t> values(64, 7);
    if (copied) {
      ASSERT_OK(HSA(hsa_memory_copy)(data, values.data(), 256));
    }
    *arguments = {data, 3, 1};
    HSA(hsa_signal_store_relaxed)(done, 1);
    testing::internal::CaptureStderr();
    submit(q, dispatch("step.kd", arguments, done));
    EXPECT_TRUE(wait(done));
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("uninitialised") == std::string::npos, copied) << said;
    EXPECT_THAT(said, HasSubstr("step"));
    EXPECT_THAT(said, HasSubstr("VGPRs"));
    EXPECT_OK(HSA(hsa_amd_memory_pool_free)(data));
  }
  EXPECT_OK(HSA(hsa_queue_destroy)(q));
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(arguments));
  unload();
  stop();
  EXPECT_THAT(farewell, HasSubstr("1 reports on kernels"));
}

// A queue may be destroyed by its own callback.
TEST_F(HsaQueue, DestroyedByItsCallback) {
  static std::atomic<int> destroyed;
  destroyed = 0;
  hsa_queue_t* q = nullptr;
  ASSERT_OK(HSA(hsa_queue_create)(
      gpu, 64, HSA_QUEUE_TYPE_MULTI,
      [](hsa_status_t, hsa_queue_t* self, void*) {
        EXPECT_OK(HSA(hsa_queue_destroy)(self));
        destroyed = 1;
      },
      nullptr, 0, 0, &q));
  testing::internal::CaptureStderr();
  hsa_barrier_and_packet_t p = barrier(HSA_PACKET_TYPE_BARRIER_AND, {}, {0});
  p.reserved2 = 1;
  submit(q, p);
  for (int i = 0; i < 5000 && destroyed == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(destroyed, 1);
}

}  // namespace
}  // namespace wavetile::emu
