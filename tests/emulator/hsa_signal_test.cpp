#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/emulator/hsa_library.h"

namespace wavetile::emu {
namespace {

class HsaSignal : public HsaTest {};

constexpr std::uint64_t kForever = UINT64_MAX;

TEST_F(HsaSignal, Arguments) {
  hsa_signal_t s{};
  const hsa_agent_t none{0x999}, twice[] = {gpu, gpu};
  EXPECT_EQ(HSA(hsa_signal_create)(0, 0, nullptr, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_signal_create)(0, 1, nullptr, &s), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_signal_create)(0, 1, &none, &s), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_EQ(HSA(hsa_signal_create)(0, 2, twice, &s), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_amd_signal_create)(0, 0, nullptr, 4, &s), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_signal_destroy)({0}), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  int wild = 0;
  for (const std::uint64_t handle : {std::uint64_t{64}, reinterpret_cast<std::uint64_t>(&wild), kForever}) {
    EXPECT_EQ(HSA(hsa_signal_destroy)({handle}), HSA_STATUS_ERROR_INVALID_SIGNAL);
  }
  s = signal(1);
  EXPECT_EQ(HSA(hsa_signal_destroy)({s.handle + 64}), HSA_STATUS_ERROR_INVALID_SIGNAL);
  EXPECT_EQ(HSA(hsa_amd_signal_value_pointer)(s, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_amd_signal_async_handler)(s, HSA_SIGNAL_CONDITION_EQ, 0, nullptr, nullptr),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
  EXPECT_EQ(HSA(hsa_signal_destroy)(s), HSA_STATUS_ERROR_INVALID_SIGNAL);
  volatile hsa_signal_value_t* pointer = nullptr;
  EXPECT_EQ(HSA(hsa_amd_signal_value_pointer)(s, &pointer), HSA_STATUS_ERROR_INVALID_SIGNAL);
}

TEST_F(HsaSignal, UseAfterDestructionAborts) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const hsa_signal_t s = signal(1);
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
  EXPECT_DEATH(HSA(hsa_signal_load_relaxed)(s), "hsa_signal_load_relaxed: 0x[0-9a-f]+ is no signal");
  EXPECT_DEATH(HSA(hsa_signal_store_screlease)({5}, 1), "hsa_signal_store_screlease: 0x5 is no signal");
}

// Every variant of every operation, by the same table of what it does to 12.
TEST_F(HsaSignal, Operations) {
  const hsa_signal_t s = signal(0);
  const auto load = [&] { return HSA(hsa_signal_load_relaxed)(s); };
  using Update = void (*)(hsa_signal_t, hsa_signal_value_t);
#define VARIANTS(operation)                                                               \
  {                                                                                       \
    HSA(hsa_signal_##operation##_relaxed), HSA(hsa_signal_##operation##_acquire),         \
        HSA(hsa_signal_##operation##_release), HSA(hsa_signal_##operation##_acq_rel),     \
        HSA(hsa_signal_##operation##_scacquire), HSA(hsa_signal_##operation##_screlease), \
        HSA(hsa_signal_##operation##_scacq_screl)                                         \
  }
  const struct {
    std::vector<Update> functions;
    hsa_signal_value_t argument, result;
  } updates[] = {{VARIANTS(add), -20, -8},
                 {VARIANTS(subtract), 5, 7},
                 {VARIANTS(and), 6, 4},
                 {VARIANTS(or), 3, 15},
                 {VARIANTS(xor), 5, 9}};
  for (const auto& u : updates) {
    for (const Update update : u.functions) {
      HSA(hsa_signal_store_relaxed)(s, 12);
      update(s, u.argument);
      EXPECT_EQ(load(), u.result);
    }
  }
  for (const Update store :
       {HSA(hsa_signal_store_relaxed), HSA(hsa_signal_store_release), HSA(hsa_signal_store_screlease),
        HSA(hsa_signal_silent_store_relaxed), HSA(hsa_signal_silent_store_screlease)}) {
    store(s, 0);
    store(s, INT64_MIN);
    EXPECT_EQ(HSA(hsa_signal_load_acquire)(s), INT64_MIN);
    EXPECT_EQ(HSA(hsa_signal_load_scacquire)(s), INT64_MIN);
  }
  for (const auto exchange : std::vector<hsa_signal_value_t (*)(hsa_signal_t, hsa_signal_value_t)> VARIANTS(exchange)) {
    HSA(hsa_signal_store_relaxed)(s, 12);
    EXPECT_EQ(exchange(s, 3), 12);
    EXPECT_EQ(load(), 3);
  }
  using Cas = hsa_signal_value_t (*)(hsa_signal_t, hsa_signal_value_t, hsa_signal_value_t);
  for (const Cas cas : std::vector<Cas> VARIANTS(cas)) {
    HSA(hsa_signal_store_relaxed)(s, 12);
    EXPECT_EQ(cas(s, 11, 3), 12);
    EXPECT_EQ(load(), 12);
    EXPECT_EQ(cas(s, 12, 3), 12);
    EXPECT_EQ(load(), 3);
  }
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
}

TEST_F(HsaSignal, WaitsForEachCondition) {
  const hsa_signal_t s = signal(5);
  const struct {
    hsa_signal_condition_t condition;
    hsa_signal_value_t reference, then;
  } cases[] = {{HSA_SIGNAL_CONDITION_EQ, 6, 6},
               {HSA_SIGNAL_CONDITION_NE, 5, -1},
               {HSA_SIGNAL_CONDITION_LT, 5, 4},
               {HSA_SIGNAL_CONDITION_GTE, 6, 7}};
  for (const auto& c : cases) {
    HSA(hsa_signal_store_relaxed)(s, 5);
    // Not satisfied: the wait ends by its time-out with the value as it is.
    EXPECT_EQ(HSA(hsa_signal_wait_relaxed)(s, c.condition, c.reference, 3'000'000, HSA_WAIT_STATE_ACTIVE), 5);
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      HSA(hsa_signal_store_release)(s, c.then);
    });
    EXPECT_EQ(HSA(hsa_signal_wait_acquire)(s, c.condition, c.reference, kForever, HSA_WAIT_STATE_BLOCKED), c.then);
    other.join();
  }
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
}

TEST_F(HsaSignal, WritesThroughThePointerAreSeen) {
  const hsa_signal_t s = signal(1);
  volatile hsa_signal_value_t* pointer = nullptr;
  ASSERT_OK(HSA(hsa_amd_signal_value_pointer)(s, &pointer));
  std::thread other([&] { std::atomic_ref(const_cast<hsa_signal_value_t&>(*pointer)).store(0); });
  EXPECT_TRUE(wait(s));
  other.join();
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
}

TEST_F(HsaSignal, ManyThreadsCountDown) {
  constexpr int kThreads = 4, kEach = 2000;
  const hsa_signal_t s = signal(kThreads * kEach);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) HSA(hsa_signal_subtract_screlease)(s, 1);
    });
  }
  EXPECT_TRUE(wait(s));
  for (auto& t : threads) t.join();
  EXPECT_EQ(HSA(hsa_signal_load_relaxed)(s), 0);
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
}

TEST_F(HsaSignal, WaitAny) {
  hsa_signal_t signals[] = {signal(0), signal(0), signal(0)};
  hsa_signal_condition_t conditions[] = {HSA_SIGNAL_CONDITION_EQ, HSA_SIGNAL_CONDITION_GTE, HSA_SIGNAL_CONDITION_LT};
  hsa_signal_value_t values[] = {1, 5, -5}, seen = 0;
  const auto any = [&](std::uint64_t timeout) {
    return HSA(hsa_amd_signal_wait_any)(3, signals, conditions, values, timeout, HSA_WAIT_STATE_BLOCKED, &seen);
  };
  EXPECT_EQ(any(2'000'000), UINT32_MAX);
  std::thread other([&] { HSA(hsa_signal_store_release)(signals[2], -9); });
  EXPECT_EQ(any(kForever), 2u);
  other.join();
  EXPECT_EQ(seen, -9);
  HSA(hsa_signal_store_release)(signals[1], 5);
  EXPECT_EQ(any(kForever), 1u);  // the first that is satisfied

  hsa_signal_group_t group{};
  hsa_signal_t which{};
  EXPECT_EQ(HSA(hsa_signal_group_create)(0, signals, 1, &gpu, &group), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_signal_group_create)(3, signals, 0, &gpu, &group), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  ASSERT_OK(HSA(hsa_signal_group_create)(3, signals, 1, &gpu, &group));
  EXPECT_OK(HSA(hsa_signal_group_wait_any_scacquire)(group, conditions, values, HSA_WAIT_STATE_BLOCKED, &which, &seen));
  EXPECT_EQ(which.handle, signals[1].handle);
  EXPECT_EQ(seen, 5);
  EXPECT_EQ(HSA(hsa_signal_group_wait_any_relaxed)({9}, conditions, values, HSA_WAIT_STATE_BLOCKED, &which, &seen),
            HSA_STATUS_ERROR_INVALID_SIGNAL_GROUP);
  EXPECT_OK(HSA(hsa_signal_group_destroy)(group));
  EXPECT_EQ(HSA(hsa_signal_group_destroy)(group), HSA_STATUS_ERROR_INVALID_SIGNAL_GROUP);
  for (const hsa_signal_t s : signals) EXPECT_OK(HSA(hsa_signal_destroy)(s));
}

TEST_F(HsaSignal, AsynchronousHandlers) {
  static std::atomic<int> calls;
  calls = 0;
  const hsa_signal_t s = signal(3), done = signal(1);
  // Stays as long as it says so: once for each of 2, 1, 0.
  ASSERT_OK(HSA(hsa_amd_signal_async_handler)(
      s, HSA_SIGNAL_CONDITION_LT, 3,
      [](hsa_signal_value_t value, void* data) {
        ++calls;
        const hsa_signal_t self{*static_cast<std::uint64_t*>(data)};
        if (value == 0) return false;
        HSA(hsa_signal_subtract_relaxed)(self, 1);
        return true;
      },
      const_cast<std::uint64_t*>(&s.handle)));
  HSA(hsa_signal_store_release)(s, 2);
  EXPECT_TRUE(wait(s));
  ASSERT_OK(HSA(hsa_amd_async_function)(
      [](void* data) {
        HSA(hsa_signal_store_release)
        ({*static_cast<std::uint64_t*>(data)}, 0);
      },
      const_cast<std::uint64_t*>(&done.handle)));
  EXPECT_TRUE(wait(done));
  for (int i = 0; i < 5000 && calls < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(calls, 3);
  // One that never becomes ready goes with its signal.
  ASSERT_OK(HSA(hsa_amd_signal_async_handler)(
      s, HSA_SIGNAL_CONDITION_EQ, 77, [](hsa_signal_value_t, void*) { return true; }, nullptr));
  EXPECT_OK(HSA(hsa_signal_destroy)(s));
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
}

}  // namespace
}  // namespace wavetile::emu
