#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "tests/emulator/compiler.h"
#include "tests/emulator/hsa_library.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

// step: p[i] = p[i] * a + b for the i of the grid. wild: writes through p without looking. lds: needs 256 bytes of LDS.
constexpr const char* kSource = R"(
@tile = internal addrspace(3) global [64 x i32] poison, align 16
define amdgpu_kernel void @step(ptr addrspace(1) %p, i32 %a, i32 %b) #0 {
  %w = call i32 @llvm.amdgcn.workgroup.id.x()
  %l = call i32 @llvm.amdgcn.workitem.id.x()
  %base = mul i32 %w, 64
  %i = add i32 %base, %l
  %at = getelementptr i32, ptr addrspace(1) %p, i32 %i
  %v = load i32, ptr addrspace(1) %at
  %m = mul i32 %v, %a
  %r = add i32 %m, %b
  store i32 %r, ptr addrspace(1) %at
  ret void
}
define amdgpu_kernel void @wild(ptr addrspace(1) %p) #0 {
  store i32 1, ptr addrspace(1) %p
  ret void
}
define amdgpu_kernel void @lds(ptr addrspace(1) %p) #0 {
  %l = call i32 @llvm.amdgcn.workitem.id.x()
  %s = getelementptr i32, ptr addrspace(3) @tile, i32 %l
  store volatile i32 %l, ptr addrspace(3) %s
  %v = load volatile i32, ptr addrspace(3) %s
  %at = getelementptr i32, ptr addrspace(1) %p, i32 %l
  store i32 %v, ptr addrspace(1) %at
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" "amdgpu-no-implicitarg-ptr" }
)";

struct Errors {
  std::mutex mutex;
  std::vector<hsa_status_t> statuses;
  static void add(hsa_status_t status, hsa_queue_t*, void* data) {
    auto* self = static_cast<Errors*>(data);
    const std::lock_guard lock(self->mutex);
    self->statuses.push_back(status);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return statuses.size();
  }
};

class HsaQueue : public HsaTest {
 protected:
  void SetUp() override {
    HsaTest::SetUp();
    if (!HasFatalFailure()) load();
  }
  void TearDown() override {
    unload();
    HsaTest::TearDown();
  }
  void load() {
    static const std::vector<std::byte> code = compile_ir("gfx1151", kSource);
    hsa_code_object_reader_t reader{};
    ASSERT_OK(HSA(hsa_code_object_reader_create_from_memory)(code.data(), code.size(), &reader));
    ASSERT_OK(HSA(hsa_executable_create_alt)(HSA_PROFILE_BASE, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, nullptr,
                                             &executable));
    ASSERT_OK(HSA(hsa_executable_load_agent_code_object)(executable, gpu, reader, nullptr, nullptr));
    ASSERT_OK(HSA(hsa_code_object_reader_destroy)(reader));
  }
  void unload() {
    if (executable.handle != 0) {
      EXPECT_OK(HSA(hsa_executable_destroy)(executable));
    }
    executable = {};
  }
  void freeze() { ASSERT_OK(HSA(hsa_executable_freeze)(executable, nullptr)); }

  hsa_queue_t* queue(Errors* errors = nullptr, std::uint32_t size = 64) {
    hsa_queue_t* q = nullptr;
    EXPECT_OK(HSA(hsa_queue_create)(gpu, size, HSA_QUEUE_TYPE_MULTI, errors ? Errors::add : nullptr, errors, 0, 0, &q));
    return q;
  }
  std::uint64_t kernel(const char* name) {
    hsa_executable_symbol_t s{};
    std::uint64_t object = 0;
    EXPECT_OK(HSA(hsa_executable_get_symbol_by_name)(executable, name, &gpu, &s));
    EXPECT_OK(HSA(hsa_executable_symbol_get_info)(s, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &object));
    return object;
  }

  static std::uint16_t header(hsa_packet_type_t type) {
    return static_cast<std::uint16_t>(type << HSA_PACKET_HEADER_TYPE | 1 << HSA_PACKET_HEADER_BARRIER |
                                      HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
                                      HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE);
  }
  // Writes a packet as a producer does: its header last. Packets wait for room.
  template <typename Packet>
  static void submit(hsa_queue_t* q, Packet packet) {
    static_assert(sizeof(Packet) == 64);
    const std::uint64_t position = HSA(hsa_queue_add_write_index_scacq_screl)(q, 1);
    while (position - HSA(hsa_queue_load_read_index_scacquire)(q) >= q->size) std::this_thread::yield();
    auto* slot = static_cast<char*>(q->base_address) + position % q->size * 64;
    std::uint32_t first;
    std::memcpy(&first, &packet, 4);
    std::memcpy(slot + 4, reinterpret_cast<char*>(&packet) + 4, 60);
    std::atomic_ref(*reinterpret_cast<std::uint32_t*>(slot)).store(first, std::memory_order_release);
    HSA(hsa_signal_store_screlease)(q->doorbell_signal, static_cast<hsa_signal_value_t>(position));
  }
  static hsa_barrier_and_packet_t barrier(hsa_packet_type_t type, std::vector<hsa_signal_t> deps, hsa_signal_t done) {
    hsa_barrier_and_packet_t p{};
    p.header = header(type);
    std::copy(deps.begin(), deps.end(), p.dep_signal);
    p.completion_signal = done;
    return p;
  }
  hsa_kernel_dispatch_packet_t dispatch(const char* name, const void* arguments, hsa_signal_t done,
                                        std::uint32_t grid = 64) {
    hsa_kernel_dispatch_packet_t p{};
    p.header = header(HSA_PACKET_TYPE_KERNEL_DISPATCH);
    p.setup = 1;
    p.workgroup_size_x = 64;
    p.workgroup_size_y = p.workgroup_size_z = 1;
    p.grid_size_x = grid;
    p.grid_size_y = p.grid_size_z = 1;
    p.kernel_object = kernel(name);
    p.kernarg_address = const_cast<void*>(arguments);
    p.completion_signal = done;
    return p;
  }
  struct StepArguments {
    void* p;
    std::int32_t a, b;
  };

  hsa_executable_t executable{};
};

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

// Each field of a packet wrong once: the queue's callback hears of it, and nothing runs any more.
TEST_F(HsaQueue, RefusesEachWrongField) {
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
      {"object", "step.kd", [](Dispatch& p) { p.kernel_object += 64; }, HSA_STATUS_ERROR_INVALID_CODE_OBJECT, ""},
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

TEST_F(HsaQueue, AnUnfrozenExecutableDoesNotRun) {
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
TEST_F(HsaQueue, FaultsOfKernels) {
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
