// The plug-in for AMD's runtime, driven as that runtime drives it, without it.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/compiler.h"
#include "tests/emulator/model_harness.h"

namespace wavetile::emu::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// c[i] = a[i] OPERATION b[i]
constexpr const char* kBinary = R"(
define amdgpu_kernel void @binary(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %c) #0 {
  %item = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %first = mul i32 %group, 64
  %i = add i32 %first, %item
  %pa = getelementptr i32, ptr addrspace(1) %a, i32 %i
  %pb = getelementptr i32, ptr addrspace(1) %b, i32 %i
  %pc = getelementptr i32, ptr addrspace(1) %c, i32 %i
  %x = load i32, ptr addrspace(1) %pa
  %y = load i32, ptr addrspace(1) %pb
  %z = OPERATION i32 %x, %y
  store i32 %z, ptr addrspace(1) %pc
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
)";

constexpr const char* kEndless = R"(
define amdgpu_kernel void @endless(ptr addrspace(1) %flag) {
  br label %loop
loop:
  %v = load atomic i32, ptr addrspace(1) %flag syncscope("agent") monotonic, align 4
  %n = atomicrmw add ptr addrspace(1) %flag, i32 1 syncscope("agent") monotonic
  %go = icmp ne i32 %v, -1
  br i1 %go, label %loop, label %end
end:
  ret void
}
)";

std::vector<std::byte> binary(std::string_view chip, const std::string& operation) {
  std::string text = kBinary;
  text.replace(text.find("OPERATION"), 9, operation);
  return compile_ir(chip, text);
}

struct Arguments {
  const std::uint32_t *a, *b;
  std::uint32_t* c;
};

std::uint32_t low(const void* p) { return static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(p)); }
std::uint32_t high(const void* p) { return static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(p) >> 32); }

// Three vectors of 256 numbers in device memory, and the arguments of the kernel above.
struct Vectors {
  static constexpr std::uint32_t kCount = 256;
  explicit Vectors(Harness& h)
      : a(static_cast<std::uint32_t*>(h.allocate(kCount * 4, kDeviceFlags))),
        b(static_cast<std::uint32_t*>(h.allocate(kCount * 4, kDeviceFlags))),
        c(static_cast<std::uint32_t*>(h.allocate(kCount * 4, kDeviceFlags))),
        arguments(static_cast<Arguments*>(h.allocate(sizeof(Arguments)))) {
    std::iota(a, a + kCount, 1u);
    std::fill_n(b, kCount, 1000u);
    *arguments = {a, b, c};
  }
  std::uint32_t *a, *b, *c;
  Arguments* arguments;
};

bool is_done(amd_signal_t* s) {
  return eventually([s] { return value_of(*s).load() == 0; });
}

class ModelOfChip : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Chips, ModelOfChip, testing::Values("gfx1151", "gfx1100", "gfx942"),
                         [](const auto& info) { return info.param; });

TEST_P(ModelOfChip, RunsKernels) {
  Harness h(GetParam());
  ASSERT_TRUE(h.device());
  const Vectors v(h);
  const std::uint64_t kernel = h.load(binary(GetParam(), "add"), "binary");
  AqlQueue queue(h);
  // More packets than the ring holds.
  constexpr std::uint64_t kPackets = 150;
  for (std::uint64_t n = 0; n < kPackets; ++n) {
    amd_signal_t* done = h.signal();
    std::fill_n(v.c, Vectors::kCount, 0u);
    queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, done));
    ASSERT_TRUE(is_done(done));
    for (std::uint32_t i = 0; i < Vectors::kCount; ++i) ASSERT_EQ(v.c[i], i + 1001);
    EXPECT_LE(done->start_ts, done->end_ts);
    EXPECT_NE(done->start_ts, 0u);
  }
  EXPECT_EQ(queue.read_index(), kPackets);
  EXPECT_EQ(queue.header(kPackets - 1), HSA_PACKET_TYPE_INVALID);
  EXPECT_EQ(queue.error(), 0);
  EXPECT_GE(h.events(), kPackets);
}

TEST_P(ModelOfChip, TopologyAgreesWithTheChip) {
  const Chip& chip = *find_chip(GetParam());
  std::ifstream file(topology_folder(chip.name) + "/nodes/1/properties");
  std::map<std::string, std::uint64_t> p;
  for (std::string name; file >> name;) file >> p[name];
  const auto number = [&](const char* name) { return static_cast<int>(p.at(name)); };
  EXPECT_EQ(number("simd_count"), chip.compute_units * chip.simds);
  EXPECT_EQ(number("simd_per_cu"), chip.simds);
  EXPECT_EQ(number("max_waves_per_simd"), chip.waves_per_simd);
  EXPECT_EQ(number("wave_front_size"), chip.native_lanes);
  EXPECT_EQ(number("lds_size_in_kb") * 1024, static_cast<int>(chip.lds_bytes));
  EXPECT_GE(number("cu_per_simd_array") * number("array_count"), chip.compute_units);
  EXPECT_EQ(number("array_count") % number("simd_arrays_per_engine"), 0);
}

TEST(Model, BarriersWaitForOtherQueues) {
  Harness h("gfx1151");
  const Vectors v(h);
  const std::uint64_t kernel = h.load(binary("gfx1151", "mul"), "binary");
  AqlQueue first(h), second(h);
  amd_signal_t *go = h.signal(), *middle = h.signal(), *done = h.signal(), *value = h.signal(3);
  hsa::Packet both{};  // of the second queue: waits for the first
  both.header = HSA_PACKET_TYPE_BARRIER_AND;
  both.barrier.dep_signal[1] = handle_of(go);
  both.barrier.dep_signal[4] = handle_of(middle);
  second.submit(both);
  second.submit(dispatch(kernel, v.arguments, Vectors::kCount, done));
  hsa::Packet any{};
  any.header = HSA_PACKET_TYPE_BARRIER_OR;
  any.barrier.dep_signal[0] = handle_of(value);
  any.barrier.dep_signal[2] = handle_of(go);
  any.barrier.completion_signal = handle_of(middle);
  first.submit(any);
  hsa::Packet compared{};
  compared.header = HSA_PACKET_TYPE_VENDOR_SPECIFIC;
  compared.barrier_value.header.AmdFormat = HSA_AMD_PACKET_TYPE_BARRIER_VALUE;
  compared.barrier_value.signal = handle_of(value);
  compared.barrier_value.value = -5;
  compared.barrier_value.mask = -1;
  compared.barrier_value.cond = HSA_SIGNAL_CONDITION_EQ;
  compared.barrier_value.reserved0 = compared.barrier_value.reserved3 = 1;  // HIP does not write them
  first.submit(compared);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(first.read_index(), 0u);
  EXPECT_EQ(second.read_index(), 0u);
  value_of(*go) = 0;
  ASSERT_TRUE(is_done(middle));
  ASSERT_TRUE(is_done(done));
  EXPECT_EQ(v.c[3], 4000u);
  EXPECT_EQ(first.read_index(), 1u);
  value_of(*value) = -5;
  EXPECT_TRUE(eventually([&] { return first.read_index() == 2; }));
}

// As when the runtime has freed an executable and loads another to the same place.
TEST(Model, ForgetsCodeWhenToldTo) {
  Harness h("gfx1100");
  const Vectors v(h);
  const auto sum = binary("gfx1100", "add"), product = binary("gfx1100", "mul");
  const std::uint64_t kernel = h.load(sum, "binary"), other = h.load(product, "binary");
  AqlQueue queue(h);
  const auto run = [&] {
    amd_signal_t* done = h.signal();
    queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, done));
    ASSERT_TRUE(is_done(done));
  };
  run();
  EXPECT_EQ(v.c[3], 1004u);
  const KernelDescriptor from = read_descriptor(reinterpret_cast<const void*>(other)),
                         to = read_descriptor(reinterpret_cast<const void*>(kernel));
  std::memcpy(reinterpret_cast<void*>(kernel + to.entry_offset), reinterpret_cast<void*>(other + from.entry_offset),
              256);
  auto* commands = static_cast<std::uint32_t*>(h.allocate(4096));
  commands[0] = 3u << 30 | 6u << 16 | 0x58u << 8;  // ACQUIRE_MEM of 8 dwords
  amd_signal_t* forgotten = h.signal();
  hsa::Packet packet{};
  packet.header = HSA_PACKET_TYPE_VENDOR_SPECIFIC;
  packet.barrier_value.header.AmdFormat = 1;
  auto* words = reinterpret_cast<std::uint32_t*>(&packet);
  words[2] = low(commands);
  words[3] = high(commands);
  words[4] = 8;
  packet.barrier_value.completion_signal = handle_of(forgotten);
  queue.submit(packet);
  ASSERT_TRUE(is_done(forgotten));
  run();
  EXPECT_EQ(v.c[3], 4000u);
}

TEST(Model, ReportsErrorsToTheQueue) {
  Harness h("gfx1151");
  const Vectors v(h);
  const std::uint64_t kernel = h.load(binary("gfx1151", "add"), "binary");
  const hsa::Packet good = dispatch(kernel, v.arguments, Vectors::kCount, nullptr);
  const auto error_of = [&](const hsa::Packet& packet) {
    AqlQueue queue(h);
    queue.submit(packet);
    queue.submit(good);
    EXPECT_TRUE(eventually([&] { return queue.error() != 0; }));
    EXPECT_EQ(queue.read_index(), 0u);
    return queue.error();
  };
  const auto with = [&](auto change) {
    hsa::Packet p = good;
    change(p.dispatch);
    return error_of(p);
  };
  EXPECT_EQ(with([](auto& d) { d.setup = 0; }), 0x2);
  EXPECT_EQ(with([](auto& d) { d.grid_size_y = 0; }), 0x2);
  EXPECT_EQ(with([](auto& d) { d.group_segment_size = 1 << 20; }), 0x4);
  EXPECT_EQ(with([](auto& d) { d.kernel_object = 64; }), 0x8);
  EXPECT_EQ(with([](auto& d) { d.reserved0 = 1; }), 0x20);
  EXPECT_EQ(with([](auto& d) { d.header = 9; }), 0x20);
  EXPECT_EQ(with([](auto& d) { d.completion_signal.handle = 77; }), 0x20);
  EXPECT_EQ(with([](auto& d) { d.workgroup_size_x = 1025, d.grid_size_x = 1025; }), 0x40);
  v.arguments->c = reinterpret_cast<std::uint32_t*>(0x1000);
  EXPECT_EQ(error_of(good), 0x20000000);
}

TEST(Model, StopsAtInstructionsThatDoNotExist) {
  Harness h("gfx1151");
  const Vectors v(h);
  const std::uint64_t kernel = h.load(binary("gfx1151", "add"), "binary");
  const KernelDescriptor d = read_descriptor(reinterpret_cast<const void*>(kernel));
  std::memset(reinterpret_cast<void*>(kernel + d.entry_offset), 0xff, 64);
  AqlQueue queue(h);
  queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, nullptr));
  EXPECT_TRUE(eventually([&] { return queue.error() == 0x40000000; })) << queue.error();
}

TEST(Model, ReportsNameTheKernel) {
  Harness h("gfx1100");
  const Vectors v(h);
  v.arguments->b = nullptr;
  AqlQueue queue(h);
  testing::internal::CaptureStderr();
  queue.submit(dispatch(h.load(binary("gfx1100", "add"), "binary"), v.arguments, Vectors::kCount, nullptr));
  EXPECT_TRUE(eventually([&] { return queue.error() == 0x20000000; })) << queue.error();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("near the null pointer"), HasSubstr("at kernel binary + 0x"),
                    HasSubstr("kernel 'binary' was stopped")));
}

TEST(Model, FreedMemoryIsNoLongerAccessible) {
  Harness h("gfx1151");
  const Vectors v(h);
  const std::uint64_t kernel = h.load(binary("gfx1151", "add"), "binary");
  h.free(v.c);
  AqlQueue queue(h);
  queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, nullptr));
  EXPECT_TRUE(eventually([&] { return queue.error() == 0x20000000; })) << queue.error();
}

// The runtime does not say what of the program's own memory is locked.
TEST(Model, KernelsReachMemoryOfTheProgram) {
  Harness h("gfx942");
  const Vectors v(h);
  std::vector<std::uint32_t> mine(Vectors::kCount, 5);
  static std::uint32_t target[Vectors::kCount];
  v.arguments->a = mine.data();
  v.arguments->c = target;
  const std::uint64_t kernel = h.load(binary("gfx942", "add"), "binary");
  {
    AqlQueue queue(h);
    amd_signal_t* done = h.signal();
    queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, done));
    ASSERT_TRUE(is_done(done));
    EXPECT_EQ(target[255], 1005u);
  }
  auto* constant = static_cast<std::uint32_t*>(mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  v.arguments->a = constant;
  {
    AqlQueue queue(h);
    amd_signal_t* done = h.signal();
    queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, done));
    ASSERT_TRUE(is_done(done));
    EXPECT_EQ(target[255], 1000u);
    v.arguments->c = constant;
    queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, nullptr));
    EXPECT_TRUE(eventually([&] { return queue.error() == 0x20000000; })) << queue.error();
  }
  AqlQueue queue(h);
  mprotect(constant, 8192, PROT_NONE);  // what was known of it must be forgotten
  queue.submit(dispatch(kernel, v.arguments, Vectors::kCount, nullptr));
  EXPECT_TRUE(eventually([&] { return queue.error() == 0x20000000; })) << queue.error();
}

TEST(Model, DestroyingAQueueStopsItsKernel) {
  Harness h("gfx1151");
  auto* flag = static_cast<std::uint32_t*>(h.allocate(4));
  auto* argument = static_cast<std::uint32_t**>(h.allocate(8));
  *argument = flag;
  AqlQueue queue(h);
  queue.submit(dispatch(h.load(compile_ir("gfx1151", kEndless), "endless"), argument, 64, nullptr));
  ASSERT_TRUE(eventually([&] { return std::atomic_ref(*flag).load() > 10; }));
  queue.destroy();
  EXPECT_EQ(queue.read_index(), 0u);
  EXPECT_EQ(queue.error(), 0);
}

TEST(Model, CopiesFillsAndSynchronises) {
  Harness h("gfx1151");
  auto* from = static_cast<std::uint32_t*>(h.allocate(65536));
  auto* to = static_cast<std::uint32_t*>(h.allocate(65536, kDeviceFlags));
  std::iota(from, from + 16384, 7u);
  amd_signal_t *copied = h.signal(), *fenced = h.signal(0), *go = h.signal(0);
  auto* time = static_cast<std::uint64_t*>(h.allocate(8));
  void* gate = const_cast<std::int64_t*>(&go->value);
  void* count = const_cast<std::int64_t*>(&copied->value);
  void* fence = const_cast<std::int64_t*>(&fenced->value);
  SdmaQueue queue(h);
  queue.submit({8 | 3u << 28 | 1u << 31, low(gate), high(gate), 1, ~0u, 0});    // poll
  queue.submit({2u << 16, 0, 0});                                               // nop of 3
  queue.submit({8, 0, 0, 0, 0, 0});                                             // poll of a register
  queue.submit({1, 65535, 0, low(from), high(from), low(to), high(to)});        // copy
  queue.submit({17, 0, 0, 0, 0});                                               // cache request
  queue.submit({10 | 47u << 25, low(count), high(count), ~0u, ~0u, 0, 0, 0});   // atomic: subtract one
  queue.submit({11 | 2u << 30, low(to + 4), high(to + 4), 0xabcdef01, 7 * 4});  // fill 8 dwords
  queue.submit({13 | 2u << 8, low(time), high(time)});                          // timestamp
  queue.submit({5, low(fence), high(fence), 42});                               // fence
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(queue.read_bytes(), 0u);
  value_of(*go) = 1;
  ASSERT_TRUE(is_done(copied));
  ASSERT_TRUE(eventually([&] { return value_of(*fenced).load() == 42; }));
  for (std::uint32_t i = 0; i < 16384; ++i) ASSERT_EQ(to[i], i >= 4 && i < 12 ? 0xabcdef01 : i + 7) << i;
  EXPECT_NE(*time, 0u);
  EXPECT_TRUE(eventually([&] { return queue.read_bytes() == queue.written_bytes() && h.events() >= 2; }));
}

TEST(Model, CopiesWindows) {
  Harness h("gfx1151");
  auto* from = static_cast<std::uint16_t*>(h.allocate(8192));
  auto* to = static_cast<std::uint16_t*>(h.allocate(8192));
  std::iota(from, from + 4096, std::uint16_t{1});
  constexpr std::uint32_t kPitch = 10, kSlice = 100, kToPitch = 16, kToSlice = 64, kX = 3, kY = 4, kZ = 2;
  SdmaQueue queue(h);
  // Elements of two bytes; from (1, 2, 3) to (1, 0, 1).
  queue.submit({1 | 4u << 8 | 1u << 29, low(from), high(from), 1 | 2u << 16, 3 | (kPitch - 1) << 13, kSlice - 1,
                low(to), high(to), 1, 1 | (kToPitch - 1) << 13, kToSlice - 1, (kX - 1) | (kY - 1) << 16, kZ - 1});
  ASSERT_TRUE(eventually([&] { return queue.read_bytes() == queue.written_bytes(); }));
  std::vector<std::uint16_t> expected(4096, 0);
  for (std::uint32_t z = 0; z < kZ; ++z) {
    for (std::uint32_t y = 0; y < kY; ++y) {
      for (std::uint32_t x = 0; x < kX; ++x) {
        expected[1 + x + y * kToPitch + (1 + z) * kToSlice] = from[1 + x + (2 + y) * kPitch + (3 + z) * kSlice];
      }
    }
  }
  EXPECT_EQ(std::vector(to, to + 4096), expected);
}

TEST(ModelDeathTest, CopiesToNowhereEndTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Harness h("gfx1151");
        auto* from = static_cast<std::uint32_t*>(h.allocate(4096));
        SdmaQueue queue(h);
        queue.submit({1, 4095, 0, low(from), high(from), 0x1000, 0});
        eventually([] { return false; });
      },
      "SDMA queue at .*copy: 0x1000");
}

TEST(Model, RefusesChipsThatItDoesNotKnow) {
  EXPECT_FALSE(Harness("gfx1151", "gfx942").device());
  EXPECT_TRUE(Harness("gfx1151", "gfx1151,threads=1").device());
  EXPECT_FALSE(Harness("gfx1151", "cheques").device());
  setenv("HSA_OVERRIDE_GFX_VERSION", "10.3.0", 1);
  EXPECT_FALSE(Harness("gfx1151").device());
  setenv("HSA_OVERRIDE_GFX_VERSION", "11.0.0", 1);
  EXPECT_TRUE(Harness("gfx1151").device());
  unsetenv("HSA_OVERRIDE_GFX_VERSION");
  setenv("HSA_MODEL_TOPOLOGY", "/nowhere", 1);
  EXPECT_FALSE(library().create());
}

}  // namespace
}  // namespace wavetile::emu::model
