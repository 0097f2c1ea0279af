// Workgroups and waves together: grid barriers over host threads, dead-locks, cancelling, what a launch sets up.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulator/emulator.h"
#include "emulator/monitor.h"
#include "tests/emulator/compiler.h"

namespace wavetile::emu {
namespace {

using ::testing::HasSubstr;

struct Prepared {
  explicit Prepared(const std::string& ir, Options options = {}, const std::string& features = "")
      : emulator(options), object(emulator.load(compile_ir(options.chip->name, ir, features), "k.hsaco")) {
    emulator.memory().add(words.data(), words.size() * 4, "words", true, true);
    emulator.memory().add(arguments, sizeof arguments, "arguments", false, true);
    arguments[0] = reinterpret_cast<std::uint64_t>(words.data());
    dispatch.kernel_object = object->kernels().at(0).descriptor;
    dispatch.kernarg = reinterpret_cast<std::uint64_t>(arguments);
    dispatch.group_bytes = object->kernels()[0].group_bytes;
    dispatch.private_bytes = object->kernels()[0].private_bytes;
  }
  ~Prepared() { emulator.unload(object); }
  Outcome run(std::array<std::uint32_t, 3> grid, std::array<std::uint16_t, 3> workgroup,
              const std::atomic<bool>* cancel = nullptr) {
    dispatch.grid = grid;
    dispatch.workgroup = workgroup;
    return emulator.run(dispatch, cancel);
  }
  Emulator emulator;
  std::shared_ptr<CodeObject> object;
  std::vector<std::uint32_t> words = std::vector<std::uint32_t>(1 << 16);
  std::uint64_t arguments[40] = {};
  Dispatch dispatch;
};

Options chip(const char* name, int threads = 2, int compute_units = 0) {
  Options o;
  o.chip = find_chip(name);
  o.threads = threads;
  o.compute_units = compute_units;
  return o;
}

TEST(Machine, AKernelThatAsksForItsPacketIsGivenOne) {
  Prepared p(R"(
define amdgpu_kernel void @k(ptr addrspace(1) %p) #0 {
  %packet = call ptr addrspace(4) @llvm.amdgcn.dispatch.ptr()
  %sizes = load <8 x i32>, ptr addrspace(4) %packet
  store <8 x i32> %sizes, ptr addrspace(1) %p
  ret void
}
attributes #0 = { "amdgpu-implicitarg-num-bytes"="0" "amdgpu-flat-work-group-size"="12,12" }
)",
             chip("gfx1151"));
  p.dispatch.group_bytes = 48;
  ASSERT_TRUE(p.run({30, 8, 2}, {3, 2, 2}).completed);
  EXPECT_THAT(std::vector(p.words.begin() + 1, p.words.begin() + 8),
              testing::ElementsAre(3u | 2u << 16, 2u, 30u, 8u, 2u, 0u, 48u));
}

// Each workgroup adds to a counter and waits until all have; then each reads what its neighbour wrote before.
constexpr const char* kGridBarrier = R"(
define amdgpu_kernel void @k(ptr addrspace(1) %p, i32 %groups) #0 {
entry:
  %g = call i32 @llvm.amdgcn.workgroup.id.x()
  %i = call i32 @llvm.amdgcn.workitem.id.x()
  %first = icmp eq i32 %i, 0
  br i1 %first, label %wait, label %done
wait:
  %at = add i32 %g, 16
  %mine = getelementptr i32, ptr addrspace(1) %p, i32 %at
  %value = add i32 %g, 1000
  store i32 %value, ptr addrspace(1) %mine
  fence syncscope("agent") release
  %old = atomicrmw add ptr addrspace(1) %p, i32 1 syncscope("agent") monotonic
  br label %loop
loop:
  %now = load atomic i32, ptr addrspace(1) %p syncscope("agent") monotonic, align 4
  %all = icmp uge i32 %now, %groups
  br i1 %all, label %go, label %loop
go:
  fence syncscope("agent") acquire
  %next = add i32 %g, 1
  %wrapped = urem i32 %next, %groups
  %nat = add i32 %wrapped, 16
  %theirs = getelementptr i32, ptr addrspace(1) %p, i32 %nat
  %seen = load i32, ptr addrspace(1) %theirs
  %oat = add i32 %g, 4096
  %out = getelementptr i32, ptr addrspace(1) %p, i32 %oat
  store i32 %seen, ptr addrspace(1) %out
  br label %done
done:
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
)";

// What each work-item sees of its place, in grids that are no multiples of the workgroup.
constexpr const char* kIds = R"(
define amdgpu_kernel void @k(ptr addrspace(1) %p, i32 %width, i32 %height, i32 %sx, i32 %sy, i32 %sz) #0 {
  %gx = call i32 @llvm.amdgcn.workgroup.id.x()
  %gy = call i32 @llvm.amdgcn.workgroup.id.y()
  %gz = call i32 @llvm.amdgcn.workgroup.id.z()
  %ix = call i32 @llvm.amdgcn.workitem.id.x()
  %iy = call i32 @llvm.amdgcn.workitem.id.y()
  %iz = call i32 @llvm.amdgcn.workitem.id.z()
  %bx = mul i32 %gx, %sx
  %by = mul i32 %gy, %sy
  %bz = mul i32 %gz, %sz
  %x = add i32 %bx, %ix
  %y = add i32 %by, %iy
  %z = add i32 %bz, %iz
  %zh = mul i32 %z, %height
  %zy = add i32 %zh, %y
  %zyw = mul i32 %zy, %width
  %at = add i32 %zyw, %x
  %to = getelementptr i32, ptr addrspace(1) %p, i32 %at
  %old = atomicrmw add ptr addrspace(1) %to, i32 1 monotonic
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="1,1024" }
)";

class Machine : public ::testing::TestWithParam<const char*> {};

TEST_P(Machine, GridBarriersPass) {
  for (int threads : {1, 2, 3}) {
    for (std::uint32_t groups : {1u, 7u, 80u}) {
      Prepared s(kGridBarrier, chip(GetParam(), threads));
      s.arguments[1] = groups;
      const Outcome o = s.run({groups * 64, 1, 1}, {64, 1, 1});
      ASSERT_TRUE(o.completed) << (o.reports.empty() ? "" : o.reports[0].text);
      for (std::uint32_t g = 0; g < groups; ++g) EXPECT_EQ(s.words[4096 + g], 1000 + (g + 1) % groups);
    }
  }
}

// Two workgroups of 64 KiB of LDS cannot be on one compute unit together, so the second never starts.
TEST_P(Machine, WorkgroupsThatDoNotFitDeadlock) {
  Options options = chip(GetParam(), 2, 1);
  options.deadlock_seconds = 1;
  options.waiting = [](const Report&) { ADD_FAILURE() << "nobody can answer"; };
  Prepared s(kGridBarrier, options);
  s.arguments[1] = 2;
  s.dispatch.group_bytes = 65536;
  const Outcome o = s.run({128, 1, 1}, {64, 1, 1});
  EXPECT_FALSE(o.completed);
  ASSERT_EQ(o.reports.size(), 1u);
  EXPECT_EQ(o.reports[0].kind, "deadlock");
  EXPECT_THAT(o.reports[0].text, HasSubstr("1 workgroups cannot start: 1 fit at a time"));
}

// A kernel that waits for the host is no dead-lock as long as the host answers.
TEST_P(Machine, TheHostMayAnswerLate) {
  Prepared s(kGridBarrier, chip(GetParam()));
  s.arguments[1] = 3;  // two workgroups and the host
  std::thread host([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    __atomic_fetch_add(s.words.data(), 1, __ATOMIC_SEQ_CST);
  });
  const Outcome o = s.run({128, 1, 1}, {64, 1, 1});
  host.join();
  EXPECT_TRUE(o.completed) << (o.reports.empty() ? "" : o.reports[0].text);
}

// Waits for the word 0, then counts, storing nothing, until there is the word 1; the count goes to word 2.
constexpr const char* kWaitAndCount = R"(
define amdgpu_kernel void @k(ptr addrspace(1) %p) #0 {
entry:
  %until = getelementptr i32, ptr addrspace(1) %p, i32 1
  %out = getelementptr i32, ptr addrspace(1) %p, i32 2
  br label %wait
wait:
  %a = load atomic i32, ptr addrspace(1) %p syncscope("agent") monotonic, align 4
  %started = icmp ne i32 %a, 0
  br i1 %started, label %count, label %wait
count:
  %n = phi i32 [ 0, %wait ], [ %next, %count ]
  %next = add i32 %n, 1
  %b = load atomic i32, ptr addrspace(1) %until syncscope("agent") monotonic, align 4
  %enough = icmp ne i32 %b, 0
  br i1 %enough, label %done, label %count
done:
  store i32 %next, ptr addrspace(1) %out
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
)";

// Sets a word after so many milliseconds.
std::thread later(std::uint32_t& word, int milliseconds) {
  return std::thread([&word, milliseconds] {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
  });
}

Options one_second(const char* name) {
  Options o = chip(name, 1);
  o.deadlock_seconds = 1;
  return o;
}

TEST_P(Machine, WhoHasWaitedMayComputeForLong) {
  Prepared s(kWaitAndCount, one_second(GetParam()));
  std::thread start = later(s.words[0], 300), end = later(s.words[1], 1800);
  const Outcome o = s.run({64, 1, 1}, {64, 1, 1});
  start.join();
  end.join();
  EXPECT_TRUE(o.completed) << (o.reports.empty() ? "" : o.reports[0].text);
}

TEST_P(Machine, ADispatchMayWaitForASlowOne) {
  Prepared s(kWaitAndCount, one_second(GetParam()));
  s.words[0] = s.words[3] = 1;
  // The second waits for what the first stores last.
  std::uint64_t second[40] = {reinterpret_cast<std::uint64_t>(&s.words[2])};
  s.emulator.memory().add(second, sizeof second, "arguments of the second", false, true);
  Dispatch d = s.dispatch;
  d.grid = {64, 1, 1};
  d.workgroup = {64, 1, 1};
  d.kernarg = reinterpret_cast<std::uint64_t>(second);
  Outcome waited;
  std::thread end = later(s.words[1], 1800);
  std::thread other([&] { waited = s.emulator.run(d); });
  const Outcome slow = s.run({64, 1, 1}, {64, 1, 1});
  other.join();
  end.join();
  s.emulator.memory().remove(second);
  EXPECT_TRUE(slow.completed && waited.completed) << (waited.reports.empty() ? "" : waited.reports[0].text);
}

TEST_P(Machine, AShellMayLetWavesWait) {
  Options options = one_second(GetParam());
  int told = 0;
  options.waiting = [&](const Report& r) {
    ++told;
    EXPECT_EQ(r.kind, "deadlock");
    EXPECT_FALSE(r.fatal);
  };
  Prepared s(kWaitAndCount, options);
  s.words[1] = 1;
  std::thread start = later(s.words[0], 1800);
  const Outcome o = s.run({64, 1, 1}, {64, 1, 1});
  start.join();
  EXPECT_TRUE(o.completed && o.reports.empty());
  EXPECT_EQ(told, 1);
}

TEST_P(Machine, WhatTheHostFailsAtStopsTheDispatch) {
  struct Fails : Monitor {
    void workgroup_begin(Workgroup& g) override {
      if (g.id[0] == 2) throw std::bad_alloc();
    }
  };
  Prepared s(kIds, chip(GetParam()));
  s.emulator.attach(std::make_shared<Fails>());
  const Outcome o = s.run({256, 1, 1}, {64, 1, 1});
  EXPECT_FALSE(o.completed);
  ASSERT_EQ(o.reports.size(), 1u);
  EXPECT_EQ(o.reports[0].kind, "out-of-resources");
  EXPECT_TRUE(o.reports[0].fatal);
}

// Every workgroup stores out of bounds; the line is found whichever thread asks.
constexpr const char* kLines = R"(
define amdgpu_kernel void @k(ptr addrspace(1) %p) #0 !dbg !4 {
  %g = call i32 @llvm.amdgcn.workgroup.id.x()
  %far = add i32 %g, 1000000
  %q = getelementptr i32, ptr addrspace(1) %p, i32 %far
  store i32 1, ptr addrspace(1) %q, !dbg !7
  ret void, !dbg !7
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2, !3}
!0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "k.c", directory: "/src")
!2 = !{i32 2, !"Debug Info Version", i32 3}
!3 = !{i32 7, !"Dwarf Version", i32 5}
!4 = distinct !DISubprogram(name: "k", file: !1, line: 1, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!5 = !DISubroutineType(types: !6)
!6 = !{null}
!7 = !DILocation(line: 42, scope: !4)
)";

TEST_P(Machine, ThreadsFindLines) {
  for (int i = 0; i < 10; ++i) {
    Prepared s(kLines, chip(GetParam(), 4));
    const Outcome o = s.run({64 * 64, 1, 1}, {64, 1, 1});
    ASSERT_FALSE(o.reports.empty());
    for (const Report& r : o.reports) EXPECT_TRUE(r.line == 42 && r.file == "/src/k.c") << r.text;
  }
}

TEST_P(Machine, CancelAndLimitStopAWave) {
  Prepared s(kGridBarrier, chip(GetParam()));
  s.arguments[1] = 3;
  std::atomic<bool> cancel{false};
  std::thread host([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel = true;
  });
  const Outcome o = s.run({128, 1, 1}, {64, 1, 1}, &cancel);
  host.join();
  EXPECT_FALSE(o.completed);
  Options limited = chip(GetParam());
  limited.max_instructions = 10000;
  Prepared t(kGridBarrier, limited);
  t.arguments[1] = 3;
  const Outcome p = t.run({128, 1, 1}, {64, 1, 1});
  EXPECT_FALSE(p.completed);
  ASSERT_FALSE(p.reports.empty());
  EXPECT_EQ(p.reports[0].kind, "too-long");
}

// Dispatches of two threads wait for each other, with checks too.
TEST_P(Machine, DispatchesRunAtTheSameTime) {
  for (bool checks : {false, true}) {
    Options o = chip(GetParam(), 1);
    o.checks = checks;
    Prepared s(kGridBarrier, o);
    s.arguments[1] = 2;
    Dispatch d = s.dispatch;
    d.grid = {64, 1, 1};
    d.workgroup = {64, 1, 1};
    Outcome first;
    std::thread other([&] { first = s.emulator.run(d); });
    const Outcome second = s.emulator.run(d);
    other.join();
    EXPECT_TRUE(first.completed && second.completed) << checks;
  }
}

TEST_P(Machine, EveryWorkItemRunsOnce) {
  struct Shape {
    std::array<std::uint32_t, 3> grid;
    std::array<std::uint16_t, 3> workgroup;
  };
  for (const Shape& shape :
       {Shape{{1, 1, 1}, {1, 1, 1}}, Shape{{100, 1, 1}, {64, 1, 1}}, Shape{{33, 7, 5}, {8, 4, 2}},
        Shape{{5, 3, 2}, {16, 16, 4}}, Shape{{1024, 1, 1}, {1024, 1, 1}}, Shape{{31, 33, 1}, {3, 5, 1}}}) {
    Prepared s(kIds, chip(GetParam()));
    const std::uint32_t sizes[] = {shape.grid[0], shape.grid[1], shape.workgroup[0], shape.workgroup[1],
                                   shape.workgroup[2]};
    std::memcpy(&s.arguments[1], sizes, sizeof sizes);
    const Outcome o = s.run(shape.grid, shape.workgroup);
    ASSERT_TRUE(o.completed) << (o.reports.empty() ? "" : o.reports[0].text);
    const std::size_t items = std::size_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
    for (std::size_t i = 0; i < s.words.size(); ++i) ASSERT_EQ(s.words[i], i < items ? 1u : 0u) << i;
  }
}

// A kernel that asks for x alone is given x alone, in a grid of two dimensions too.
TEST_P(Machine, IdsThatTheKernelDidNotAskForAreZero) {
  Prepared s(R"(
define amdgpu_kernel void @k(ptr addrspace(1) %p) #0 {
  %x = call range(i32 0, 64) i32 @llvm.amdgcn.workitem.id.x()
  %to = getelementptr i32, ptr addrspace(1) %p, i32 %x
  %old = atomicrmw add ptr addrspace(1) %to, i32 1 monotonic
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="1,64" "amdgpu-no-workitem-id-y" "amdgpu-no-workitem-id-z" }
)",
             chip(GetParam()));
  const Outcome o = s.run({8, 8, 1}, {8, 8, 1});
  ASSERT_TRUE(o.completed) << o.reports[0].text;
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(s.words[i], i < 8 ? 8u : 0u) << i;
}

// What lld fills in: constants of the module, variables, functions that are called.
TEST_P(Machine, LinkedAddresses) {
  Prepared s(R"(
@table = internal addrspace(4) constant [4 x i32] [i32 11, i32 22, i32 33, i32 44], align 4
@variable = internal addrspace(1) global i32 5, align 4
define internal i32 @twice(i32 %x) noinline {
  %y = mul i32 %x, 2
  ret i32 %y
}
define amdgpu_kernel void @k(ptr addrspace(1) %p) #0 {
  %x = call i32 @llvm.amdgcn.workitem.id.x()
  %low = and i32 %x, 3
  %from = getelementptr i32, ptr addrspace(4) @table, i32 %low
  %v = load i32, ptr addrspace(4) %from
  %g = load volatile i32, ptr addrspace(1) @variable
  %sum = add i32 %v, %g
  %r = call i32 @twice(i32 %sum)
  %to = getelementptr i32, ptr addrspace(1) %p, i32 %x
  store i32 %r, ptr addrspace(1) %to
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
)",
             chip(GetParam()));
  const Outcome o = s.run({64, 1, 1}, {64, 1, 1});
  ASSERT_TRUE(o.completed) << o.reports[0].text;
  for (std::uint32_t i = 0; i < 64; ++i) EXPECT_EQ(s.words[i], 2 * (11 * (i % 4 + 1) + 5)) << i;
}

TEST_P(Machine, RefusesWhatTheHardwareWould) {
  Prepared s(kIds, chip(GetParam()));
  const auto refused = [&](const char* why) {
    const Outcome o = s.emulator.run(s.dispatch);
    EXPECT_FALSE(o.completed);
    ASSERT_EQ(o.reports.size(), 1u);
    EXPECT_EQ(o.reports[0].kind, "bad-dispatch");
    EXPECT_THAT(o.reports[0].text, HasSubstr(why));
  };
  s.dispatch.workgroup = {1024, 2, 1};
  refused("2048 work-items a workgroup");
  s.dispatch.workgroup = {0, 1, 1};
  refused("size 0");
  s.dispatch.workgroup = {64, 1, 1};
  s.dispatch.group_bytes = 1 << 20;
  refused("1048576 bytes of LDS");
  s.dispatch.group_bytes = 0;
  s.dispatch.private_bytes = 4000000000;
  refused("bytes of scratch a work-item");
  s.dispatch.private_bytes = 0;
  s.dispatch.kernarg = 16;
  refused("kernel arguments at 0x10");
  s.dispatch.kernel_object = 64;
  refused("kernel_object 0x40");
}

INSTANTIATE_TEST_SUITE_P(Chips, Machine, ::testing::Values("gfx1151", "gfx1100", "gfx942"),
                         [](const auto& info) { return std::string(info.param); });

// Kernel arguments that the firmware puts into SGPRs before the kernel starts (gfx942).
TEST(Launch, PreloadedArguments) {
  Prepared s(R"(
define amdgpu_kernel void @k(ptr addrspace(1) inreg %p, i32 inreg %a, i32 inreg %b) #0 {
  %c = mul i32 %a, %b
  store i32 %c, ptr addrspace(1) %p
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
)",
             chip("gfx942"));
  ASSERT_NE(read_descriptor(reinterpret_cast<const void*>(s.dispatch.kernel_object)).kernarg_preload & 0x7f, 0);
  const std::uint32_t factors[] = {6, 7};
  std::memcpy(&s.arguments[1], factors, sizeof factors);
  const Outcome o = s.run({64, 1, 1}, {64, 1, 1});
  ASSERT_TRUE(o.completed) << o.reports[0].text;
  EXPECT_EQ(s.words[0], 42u);
}

}  // namespace
}  // namespace wavetile::emu
