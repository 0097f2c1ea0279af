#include <cstring>
#include <numeric>

#include <gmock/gmock.h>

#include "tests/emulator/hsa_library.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

class HsaMemory : public HsaTest {
 protected:
  hsa_status_t copy(void* dst, hsa_agent_t dst_agent, const void* src, hsa_agent_t src_agent, std::size_t bytes,
                    hsa_signal_t done) {
    return HSA(hsa_amd_memory_async_copy)(dst, dst_agent, src, src_agent, bytes, 0, nullptr, done);
  }
};

TEST_F(HsaMemory, PoolInformation) {
  std::size_t bytes = 0;
  bool allowed = true;
  EXPECT_OK(HSA(hsa_amd_memory_pool_get_info)(device, HSA_AMD_MEMORY_POOL_INFO_SIZE, &bytes));
  EXPECT_EQ(bytes, std::size_t{64} << 20);
  EXPECT_OK(HSA(hsa_amd_memory_pool_get_info)(group, HSA_AMD_MEMORY_POOL_INFO_SIZE, &bytes));
  EXPECT_EQ(bytes, 65536u);
  EXPECT_OK(HSA(hsa_amd_memory_pool_get_info)(group, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED, &allowed));
  EXPECT_FALSE(allowed);
  EXPECT_EQ(HSA(hsa_amd_memory_pool_get_info)({1}, HSA_AMD_MEMORY_POOL_INFO_SIZE, &bytes),
            static_cast<hsa_status_t>(HSA_STATUS_ERROR_INVALID_MEMORY_POOL));
  EXPECT_EQ(HSA(hsa_amd_memory_pool_get_info)(fine, HSA_AMD_MEMORY_POOL_INFO_SIZE, nullptr),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_amd_memory_pool_get_info)(fine, static_cast<hsa_amd_memory_pool_info_t>(99), &bytes),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  hsa_amd_memory_pool_access_t access{};
  const auto access_of = [&](hsa_agent_t a, hsa_amd_memory_pool_t p) {
    EXPECT_OK(HSA(hsa_amd_agent_memory_pool_get_info)(a, p, HSA_AMD_AGENT_MEMORY_POOL_INFO_ACCESS, &access));
    return access;
  };
  EXPECT_EQ(access_of(gpu, device), HSA_AMD_MEMORY_POOL_ACCESS_ALLOWED_BY_DEFAULT);
  EXPECT_EQ(access_of(gpu, fine), HSA_AMD_MEMORY_POOL_ACCESS_DISALLOWED_BY_DEFAULT);
  EXPECT_EQ(access_of(cpu, group), HSA_AMD_MEMORY_POOL_ACCESS_NEVER_ALLOWED);
  hsa_region_segment_t segment{};
  EXPECT_OK(HSA(hsa_region_get_info)({group.handle}, HSA_REGION_INFO_SEGMENT, &segment));
  EXPECT_EQ(segment, HSA_REGION_SEGMENT_GROUP);
  EXPECT_EQ(HSA(hsa_region_get_info)({1}, HSA_REGION_INFO_SEGMENT, &segment), HSA_STATUS_ERROR_INVALID_REGION);
}

TEST_F(HsaMemory, AllocationArguments) {
  void* p = nullptr;
  const auto pool_allocate = HSA(hsa_amd_memory_pool_allocate);
  EXPECT_EQ(pool_allocate(fine, 0, 0, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(pool_allocate(fine, 1, 1, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(pool_allocate(fine, 1, 0, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(pool_allocate({7}, 1, 0, &p), static_cast<hsa_status_t>(HSA_STATUS_ERROR_INVALID_MEMORY_POOL));
  EXPECT_EQ(pool_allocate(group, 1, 0, &p), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_EQ(pool_allocate(device, (64 << 20) + 1, 0, &p), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_EQ(pool_allocate(device, SIZE_MAX, 0, &p), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_EQ(HSA(hsa_memory_allocate)({7}, 1, &p), HSA_STATUS_ERROR_INVALID_REGION);
  EXPECT_EQ(HSA(hsa_memory_allocate)({fine.handle}, 0, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  ASSERT_OK(pool_allocate(device, 60 << 20, 0, &p));
  void* q = nullptr;
  EXPECT_EQ(pool_allocate(device, 5 << 20, 0, &q), HSA_STATUS_ERROR_OUT_OF_RESOURCES);
  EXPECT_EQ(HSA(hsa_amd_memory_pool_free)(static_cast<char*>(p) + 64), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(p));
  EXPECT_EQ(HSA(hsa_amd_memory_pool_free)(p), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_OK(HSA(hsa_memory_free)(nullptr));
  ASSERT_OK(pool_allocate(device, 5 << 20, 0, &q));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(q) % 4096, 0u);
  EXPECT_OK(HSA(hsa_memory_free)(q));
}

TEST_F(HsaMemory, AccessLists) {
  void* p = nullptr;
  const hsa_agent_t both[] = {cpu, gpu}, none{0x999};
  const auto allow = HSA(hsa_amd_agents_allow_access);
  ASSERT_OK(HSA(hsa_amd_memory_pool_allocate)(fine, 256, 0, &p));
  std::uint32_t flags = 0;
  EXPECT_EQ(allow(0, both, nullptr, p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(allow(1, nullptr, nullptr, p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(allow(2, both, &flags, p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(allow(2, both, nullptr, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(allow(2, both, nullptr, &flags), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(allow(1, &none, nullptr, p), HSA_STATUS_ERROR_INVALID_AGENT);

  void* d = allocate(device, 256);
  std::iota(static_cast<char*>(p), static_cast<char*>(p) + 256, 0);
  const hsa_signal_t done = signal(1);
  // A copy by the GPU agent needs its access.
  testing::internal::CaptureStderr();
  ASSERT_OK(copy(d, gpu, p, cpu, 256, done));
  EXPECT_EQ(HSA(hsa_signal_wait_scacquire)(done, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX, HSA_WAIT_STATE_BLOCKED), -1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("hsa_amd_agents_allow_access"));
  ASSERT_OK(allow(2, both, nullptr, p));
  HSA(hsa_signal_store_relaxed)(done, 1);
  ASSERT_OK(copy(d, gpu, p, cpu, 256, done));
  EXPECT_TRUE(wait(done));
  EXPECT_EQ(std::memcmp(d, p, 256), 0);
  // The next list replaces it.
  ASSERT_OK(allow(1, &cpu, nullptr, p));
  HSA(hsa_signal_store_relaxed)(done, 1);
  testing::internal::CaptureStderr();
  ASSERT_OK(copy(d, gpu, p, cpu, 256, done));
  EXPECT_EQ(HSA(hsa_signal_wait_scacquire)(done, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX, HSA_WAIT_STATE_BLOCKED), -1);
  testing::internal::GetCapturedStderr();
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(p));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(d));
}

TEST_F(HsaMemory, Locking) {
  std::vector<char> host(4096);
  void* p = nullptr;
  const auto lock = HSA(hsa_amd_memory_lock);
  EXPECT_EQ(lock(nullptr, 1, nullptr, 0, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(lock(host.data(), 0, nullptr, 0, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(lock(host.data(), 1, nullptr, 0, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(lock(host.data(), 1, nullptr, 1, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(lock(host.data(), 1, &gpu, 0, &p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_amd_memory_lock_to_pool)(host.data(), 1, nullptr, 0, device, 0, &p),
            static_cast<hsa_status_t>(HSA_STATUS_ERROR_INVALID_MEMORY_POOL));
  EXPECT_EQ(HSA(hsa_amd_memory_unlock)(host.data()), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  // Overlapping locks: each end of a lock takes only what no other holds.
  ASSERT_OK(lock(host.data(), 1000, nullptr, 0, &p));
  EXPECT_EQ(p, host.data());
  ASSERT_OK(lock(host.data() + 500, 1000, &gpu, 1, &p));
  ASSERT_OK(HSA(hsa_amd_memory_lock_to_pool)(host.data() + 2000, 100, &gpu, 1, fine, 0, &p));
  void* d = allocate(device, 4096);
  const hsa_signal_t done = signal(1);
  const auto result = [&](std::size_t from, std::size_t bytes) {
    HSA(hsa_signal_store_relaxed)(done, 1);
    testing::internal::CaptureStderr();
    EXPECT_OK(copy(d, gpu, host.data() + from, cpu, bytes, done));
    const auto value =
        HSA(hsa_signal_wait_scacquire)(done, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX, HSA_WAIT_STATE_BLOCKED);
    testing::internal::GetCapturedStderr();
    return value;
  };
  EXPECT_EQ(result(0, 1500), 0);
  EXPECT_EQ(result(0, 1501), -1);
  EXPECT_EQ(result(2000, 100), 0);
  EXPECT_EQ(result(1900, 200), -1);
  ASSERT_OK(HSA(hsa_amd_memory_unlock)(host.data()));
  EXPECT_EQ(result(499, 10), -1);
  EXPECT_EQ(result(500, 1000), 0);
  ASSERT_OK(HSA(hsa_amd_memory_unlock)(host.data() + 500));
  ASSERT_OK(HSA(hsa_amd_memory_unlock)(host.data() + 2000));
  EXPECT_EQ(result(500, 10), -1);
  EXPECT_EQ(lock(d, 16, nullptr, 0, &p), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(d));
}

TEST_F(HsaMemory, CopiesAndFills) {
  int source[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  auto* d = static_cast<int*>(allocate(device, sizeof source));
  EXPECT_EQ(HSA(hsa_memory_copy)(nullptr, source, 4), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_memory_copy)(d, nullptr, 4), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  ASSERT_OK(HSA(hsa_memory_copy)(d, source, sizeof source));
  EXPECT_EQ(std::memcmp(d, source, sizeof source), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(HSA(hsa_memory_copy)(d + 1, source, sizeof source), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("4 bytes past the end"));
  ASSERT_OK(HSA(hsa_amd_memory_fill)(d + 2, 0x01020304, 3));
  EXPECT_THAT(std::vector<int>(d, d + 8), testing::ElementsAre(1, 2, 0x01020304, 0x01020304, 0x01020304, 6, 7, 8));
  EXPECT_EQ(HSA(hsa_amd_memory_fill)(nullptr, 0, 1), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_amd_memory_fill)(reinterpret_cast<char*>(d) + 1, 0, 1), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(HSA(hsa_amd_memory_fill)(source, 0, 1), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  testing::internal::CaptureStderr();
  EXPECT_EQ(HSA(hsa_amd_memory_fill)(d, 0, 9), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  testing::internal::GetCapturedStderr();
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(d));
}

TEST_F(HsaMemory, AsynchronousCopiesWaitForTheirSignals) {
  auto* p = static_cast<int*>(allocate(fine, 4096));
  const hsa_signal_t first = signal(2), middle = signal(1), last = signal(1);
  const auto async = HSA(hsa_amd_memory_async_copy);
  EXPECT_EQ(async(p + 8, gpu, p, gpu, 4, 0, nullptr, {0}), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(async(p + 8, gpu, p, gpu, 4, 0, nullptr, {8}), HSA_STATUS_ERROR_INVALID_SIGNAL);
  EXPECT_EQ(async(p + 8, {3}, p, gpu, 4, 0, nullptr, last), HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_EQ(async(p + 8, gpu, p, gpu, 4, 1, nullptr, last), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(async(nullptr, gpu, p, gpu, 4, 0, nullptr, last), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  ASSERT_OK(HSA(hsa_amd_profiling_async_copy_enable)(true));
  p[0] = 42;
  // Submitted in the wrong order: the second waits for the first by its signal.
  ASSERT_OK(async(p + 2, gpu, p + 1, gpu, 4, 1, &middle, last));
  ASSERT_OK(async(p + 1, gpu, p, gpu, 4, 1, &first, middle));
  EXPECT_EQ(HSA(hsa_signal_wait_relaxed)(last, HSA_SIGNAL_CONDITION_EQ, 0, 5'000'000, HSA_WAIT_STATE_BLOCKED), 1);
  EXPECT_EQ(p[2], 0);
  HSA(hsa_signal_store_release)(first, 0);
  EXPECT_TRUE(wait(last));
  EXPECT_EQ(p[2], 42);
  hsa_amd_profiling_async_copy_time_t one{}, two{};
  EXPECT_OK(HSA(hsa_amd_profiling_get_async_copy_time)(middle, &one));
  EXPECT_OK(HSA(hsa_amd_profiling_get_async_copy_time)(last, &two));
  EXPECT_LE(one.start, one.end);
  EXPECT_LE(one.end, two.end);
  EXPECT_GT(one.start, 0u);
  for (const hsa_signal_t s : {first, middle, last}) EXPECT_OK(HSA(hsa_signal_destroy)(s));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(p));
}

TEST_F(HsaMemory, CopiesBoxes) {
  auto* from = static_cast<char*>(allocate(fine, 4 * 64));
  auto* to = static_cast<char*>(allocate(device, 4 * 128));
  for (int i = 0; i < 256; ++i) from[i] = static_cast<char>(i);
  const hsa_signal_t done = signal(1);
  // A box of 8 x 2 x 3 bytes out of planes of 4 rows of 16 into planes of 4 rows of 32.
  const hsa_pitched_ptr_t src{from, 16, 64}, dst{to, 32, 128};
  const hsa_dim3_t src_offset{4, 1, 1}, dst_offset{12, 2, 0}, range{8, 2, 3};
  const auto rect = HSA(hsa_amd_memory_async_copy_rect);
  EXPECT_EQ(rect(&dst, &dst_offset, &src, &src_offset, &range, cpu, hsaHostToDevice, 0, nullptr, done),
            HSA_STATUS_ERROR_INVALID_AGENT);
  EXPECT_EQ(rect(&dst, nullptr, &src, &src_offset, &range, gpu, hsaHostToDevice, 0, nullptr, done),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  const hsa_dim3_t wide{16, 2, 3};
  EXPECT_EQ(rect(&dst, &dst_offset, &src, &src_offset, &wide, gpu, hsaHostToDevice, 0, nullptr, done),
            HSA_STATUS_ERROR_INVALID_ARGUMENT);
  ASSERT_OK(rect(&dst, &dst_offset, &src, &src_offset, &range, gpu, hsaHostToDevice, 0, nullptr, done));
  EXPECT_TRUE(wait(done));
  int copied = 0;
  for (int z = 0; z < 4; ++z) {
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 32; ++x) {
        const bool in = z < 3 && y >= 2 && x >= 12 && x < 20;
        const int expected = in ? (z + 1) * 64 + (y - 1) * 16 + (x - 8) : 0;
        copied += in;
        ASSERT_EQ(static_cast<unsigned char>(to[z * 128 + y * 32 + x]), expected) << x << ' ' << y << ' ' << z;
      }
    }
  }
  EXPECT_EQ(copied, 48);
  EXPECT_OK(HSA(hsa_signal_destroy)(done));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(from));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(to));
}

TEST_F(HsaMemory, PointerInformation) {
  auto* p = static_cast<char*>(allocate(device, 100));
  int userdata = 0;
  hsa_amd_pointer_info_t info{};
  EXPECT_EQ(HSA(hsa_amd_pointer_info)(p, &info, nullptr, nullptr, nullptr), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  info.size = sizeof info;
  EXPECT_OK(HSA(hsa_amd_pointer_info_set_userdata)(p, &userdata));
  EXPECT_EQ(HSA(hsa_amd_pointer_info_set_userdata)(&userdata, p), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  std::uint32_t agents = 0;
  hsa_agent_t* list = nullptr;
  ASSERT_OK(HSA(hsa_amd_pointer_info)(p + 60, &info, std::malloc, &agents, &list));
  EXPECT_EQ(info.type, HSA_EXT_POINTER_TYPE_HSA);
  EXPECT_EQ(info.agentBaseAddress, p);
  EXPECT_EQ(info.sizeInBytes, 100u);
  EXPECT_EQ(info.userData, &userdata);
  EXPECT_EQ(info.agentOwner.handle, gpu.handle);
  EXPECT_EQ(agents, 2u);
  std::free(list);
  EXPECT_OK(HSA(hsa_amd_pointer_info)(&userdata, &info, nullptr, nullptr, nullptr));
  EXPECT_EQ(info.type, HSA_EXT_POINTER_TYPE_UNKNOWN);
  static int freed;
  freed = 0;
  const hsa_amd_deallocation_callback_t count = [](void*, void* by) { freed += *static_cast<int*>(by); };
  static int one = 1;
  EXPECT_EQ(HSA(hsa_amd_register_deallocation_callback)(&userdata, count, &one), HSA_STATUS_ERROR_INVALID_ALLOCATION);
  EXPECT_EQ(HSA(hsa_amd_deregister_deallocation_callback)(p, count), HSA_STATUS_ERROR_INVALID_ARGUMENT);
  EXPECT_OK(HSA(hsa_amd_register_deallocation_callback)(p, count, &one));
  EXPECT_OK(HSA(hsa_amd_memory_pool_free)(p));
  EXPECT_EQ(freed, 1);
}

}  // namespace
}  // namespace wavetile::emu
