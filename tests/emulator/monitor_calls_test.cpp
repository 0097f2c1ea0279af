// What monitors are told of accesses and waits; scalar memory, MODE, messages, calls and register indices.
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulator/memory.h"
#include "emulator/monitor.h"
#include "tests/emulator/wave_bench.h"

namespace wavetile::emu::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using U = std::uint32_t;

TEST(ScalarMemory, OffsetsAlignmentAndTheNullRegister) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "s_load_b64 s[4:5], s[2:3], 0x9\n s_load_b32 s6, s[2:3], s0 offset:0x4\n s_load_b32 s7, s[8:9], -0x4\n"
      "s_load_b32 null, s[2:3], 0x0\n s_buffer_load_b128 s[16:19], s[12:15], 0x18");
  w.set_scalar(0, 16);
  w.set_scalar64(8, b.address() + 32);
  w.set_scalar64(12, b.address());
  w.set_scalar(14, 32);
  w.set_scalar(18, 1);
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.s[4], 102u);
  EXPECT_EQ(w.s[5], 103u);
  EXPECT_EQ(w.s[6], 105u);
  EXPECT_EQ(w.s[7], 107u);
  EXPECT_EQ(w.s[kNull], 0u);
  EXPECT_THAT(std::vector<U>(w.s.begin() + 16, w.s.begin() + 20), ElementsAre(106u, 107u, 0u, 0u));
}

// --- what a monitor is told

struct Recorder : Monitor {
  void access(Wave&, const Op&, const Access& a) override {
    accesses.push_back(a);
    addresses.emplace_back(a.address, a.address + 64);
  }
  bool stale() const override { return is_stale; }
  void read(Wave&, const Op&, const Access&, std::uint64_t, void* to, std::uint32_t bytes) override {
    std::memset(to, 0x11, bytes);
  }
  void wait(Wave&, const Op&, const Wait& w) override { waits.push_back({w.vm, w.vs, w.lgkm, w.exp}); }
  void cache(Wave&, const Op&, CacheOp op, bool sc0, bool sc1) override {
    caches.push_back(static_cast<int>(op) * 4 + (sc0 ? 1 : 0) + (sc1 ? 2 : 0));
  }
  void barrier_arrive(Wave&, const Op&) override { ++barriers; }
  bool is_stale = false;
  int barriers = 0;
  std::vector<Access> accesses;
  std::vector<std::vector<std::uint64_t>> addresses;
  std::vector<std::vector<int>> waits;
  std::vector<int> caches;
};

TEST(MonitorCalls, AccessesAreDescribedExactly) {
  Bench b("gfx1151");
  Recorder r;
  Wave& w = b.make(
      "global_load_d16_hi_b16 v4, v[2:3], off offset:6 glc\n ds_load_2addr_b64 v[4:7], v1 offset0:1 offset1:3\n"
      "global_atomic_add_u64 v[8:9], v[2:3], v[10:11], off glc slc\n scratch_store_b96 off, v[12:14], off offset:4\n"
      "s_load_b128 s[4:7], s[2:3], 0x20\n global_store_b8 v[2:3], v4, off dlc");
  w.set_scalar(kExec, 0x6);
  b.fragment->launch.monitor = &r;
  ASSERT_TRUE(b.go());
  ASSERT_EQ(r.accesses.size(), 7u);
  auto check = [&](std::size_t i, Space space, AccessKind kind, std::uint64_t mask, std::uint64_t at, U bytes,
                   int row) {
    const Access& a = r.accesses[i];
    EXPECT_EQ(a.space, space) << i;
    EXPECT_EQ(a.kind, kind) << i;
    EXPECT_EQ(a.mask, mask) << i;
    EXPECT_EQ(r.addresses[i][space == Space::constant ? 0 : 1], at) << i;
    EXPECT_EQ(a.bytes, bytes) << i;
    EXPECT_EQ(a.row, row) << i;
  };
  check(0, Space::global, AccessKind::load, 6, b.address() + 6, 2, 4);
  EXPECT_EQ(r.accesses[0].half, Half::high);
  EXPECT_EQ(r.accesses[6].half, Half::low);
  EXPECT_TRUE(r.accesses[0].glc && !r.accesses[0].slc && !r.accesses[0].returns);
  check(1, Space::lds, AccessKind::load, 6, 8, 8, 4);
  check(2, Space::lds, AccessKind::load, 6, 24, 8, 6);
  check(3, Space::global, AccessKind::atomic, 6, b.address(), 8, 8);
  EXPECT_TRUE(r.accesses[3].returns && r.accesses[3].glc && r.accesses[3].slc);
  check(4, Space::scratch, AccessKind::store, 6, 4, 12, 12);
  check(5, Space::constant, AccessKind::load, 1, b.address() + 32, 16, 4);
  check(6, Space::global, AccessKind::store, 6, b.address(), 1, 4);
  EXPECT_TRUE(r.accesses[6].dlc);
}

TEST(MonitorCalls, StaleReadsReplaceMemory) {
  Bench b("gfx1151");
  Recorder r;
  r.is_stale = true;
  Wave& w = b.make("global_load_b64 v[4:5], v[2:3], off\n s_load_b64 s[4:5], s[2:3], 0\n ds_load_b32 v6, v1");
  b.fragment->launch.monitor = &r;
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.row(5)[31], 0x11111111u);
  EXPECT_EQ(w.s[5], 0x11111111u);
  EXPECT_EQ(w.row(6)[0], 0u);
}

TEST(MonitorCalls, LdsOutOfBoundsIsReported) {
  Bench b("gfx1151", 32, 64);
  Recorder r;
  Wave& w = b.make("ds_load_b32 v4, v1");
  w.row(1)[9] = 61;
  b.fragment->launch.checks = true;
  b.fragment->launch.monitor = &r;
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "lds-out-of-bounds");
  EXPECT_EQ(b.report().lane, 9);
  EXPECT_TRUE(r.accesses.empty());
}

TEST(MonitorCalls, WaitsAreDecoded) {
  Recorder rdna, cdna;
  Bench b("gfx1151"), c("gfx942", 64);
  b.make(
      "s_waitcnt vmcnt(5)\n s_waitcnt lgkmcnt(0) expcnt(2)\n s_waitcnt_vscnt null, 0x3\n s_waitcnt_vmcnt null, 0x0\n"
      "s_wait_idle\n s_barrier\n buffer_gl0_inv\n s_dcache_inv");
  b.fragment->launch.monitor = &rdna;
  ASSERT_TRUE(b.go());
  EXPECT_THAT(rdna.waits, ElementsAre(ElementsAre(5, -1, 63, 7), ElementsAre(63, -1, 0, 2), ElementsAre(-1, 3, -1, -1),
                                      ElementsAre(0, -1, -1, -1), ElementsAre(0, 0, 0, 0)));
  EXPECT_THAT(rdna.caches,
              ElementsAre(static_cast<int>(CacheOp::gl0_inv) * 4, static_cast<int>(CacheOp::dcache_inv) * 4));
  EXPECT_EQ(rdna.barriers, 1);
  c.make("s_waitcnt vmcnt(37) lgkmcnt(4)\n s_waitcnt vmcnt(63)\n buffer_inv sc1\n buffer_wbl2 sc0 sc1");
  c.fragment->launch.monitor = &cdna;
  ASSERT_TRUE(c.go());
  EXPECT_THAT(cdna.waits, ElementsAre(ElementsAre(37, -1, 4, 7), ElementsAre(63, -1, 15, 7)));
  EXPECT_THAT(cdna.caches, ElementsAre(static_cast<int>(CacheOp::buffer_inv) * 4 + 2,
                                       static_cast<int>(CacheOp::buffer_wbl2) * 4 + 3));
}

// --- MODE and messages

TEST(HardwareRegisters, ModeIsReadAndWrittenByFields) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 2, 2), 3\n s_round_mode 0x9\n s_denorm_mode 0x4\n"
      "s_getreg_b32 s4, hwreg(HW_REG_MODE, 0, 8)\n s_mov_b32 s5, 0xff\n s_setreg_b32 hwreg(HW_REG_MODE, 4, 2), s5\n"
      "s_getreg_b32 s6, hwreg(HW_REG_MODE, 4, 4)\n s_getreg_b32 s7, hwreg(HW_REG_SH_MEM_BASES)");
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.s[4], 0x49u);
  EXPECT_EQ(w.s[6], 0x7u);
  EXPECT_EQ(w.mode.round32, 1);
  EXPECT_EQ(w.mode.round64, 2);
  EXPECT_EQ(w.mode.denorm32, 3);
  EXPECT_EQ(w.mode.denorm64, 1);
  EXPECT_FALSE(w.mode_plain);
  EXPECT_TRUE(w.mode.ieee);
  EXPECT_EQ(w.s[7], 0x01000200u);
}

TEST(HardwareRegisters, WhatIsNotEmulatedStopsTheWave) {
  for (const auto& [text, kind] : {std::pair{"s_setreg_imm32_b32 hwreg(HW_REG_MODE, 23, 1), 1", "unsupported-mode"},
                                   {"s_getreg_b32 s0, hwreg(HW_REG_TRAPSTS)", "unknown-instruction"},
                                   {"s_sendmsg sendmsg(MSG_INTERRUPT)", "unknown-instruction"},
                                   {"s_sethalt 1", "halt"},
                                   {"s_trap 2", "trap"},
                                   {"s_code_end", "code-end"},
                                   {"s_mov_b64 s[4:5], 0x40\n s_setpc_b64 s[4:5]", "bad-jump"}}) {
    Bench b("gfx1151");
    b.make(text);
    EXPECT_FALSE(b.go()) << text;
    EXPECT_EQ(b.kind(), kind) << text;
  }
  Bench b("gfx1151");
  b.make("s_trap 3\n s_sendmsg sendmsg(MSG_DEALLOC_VGPRS)");
  EXPECT_TRUE(b.go());
}

TEST(ControlOps, CallsComeBack) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "s_mov_b32 s4, 0\n s_call_b64 s[6:7], 6\n s_add_u32 s4, s4, 16\n s_getpc_b64 s[8:9]\n s_add_u32 s8, s8, 16\n"
      "s_addc_u32 s9, s9, 0\n s_swappc_b64 s[6:7], s[8:9]\n s_branch 2\n"
      "s_add_u32 s4, s4, 1\n s_setpc_b64 s[6:7]\n s_nop 0");
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.s[4], 18u);
}

TEST(ControlOps, BranchesLookAtTheWavesLanesOnly) {
  for (const int lanes : {32, 64}) {
    Bench b("gfx1151", lanes);
    Wave& w = b.make("s_mov_b32 s4, 1\n s_cbranch_vccz 1\n s_mov_b32 s4, 2\n s_nop 0");
    w.set_scalar(kVcc + 1, 1);
    ASSERT_TRUE(b.go());
    EXPECT_EQ(w.s[4], lanes == 32 ? 1u : 2u);
  }
}

TEST(RegisterIndex, ShiftsMovesUntilItIsOff) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "s_set_gpr_idx_on s0, gpr_idx(SRC0)\n v_mov_b32 v4, v10\n s_mov_b32 s5, s2\n s_set_gpr_idx_idx s1\n v_mov_b32 "
      "v5, v10\n"
      "s_set_gpr_idx_off\n v_mov_b32 v6, v10\n s_set_gpr_idx_on s0, gpr_idx(DST)\n v_mov_b32 v20, v4\n"
      "s_set_gpr_idx_off\n s_set_gpr_idx_on s2, gpr_idx(SRC0)\n v_mov_b32 v7, v10");
  w.set_scalar(0, 3);
  w.set_scalar(1, 1);
  w.set_scalar(2, 250);
  for (int k = 10; k < 24; ++k) w.row(k)[63] = static_cast<U>(k);
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "register-out-of-range");
  EXPECT_EQ(w.row(4)[63], 13u);
  EXPECT_EQ(w.s[5], 250u);  // scalar registers have no index
  EXPECT_EQ(w.row(5)[63], 11u);
  EXPECT_EQ(w.row(6)[63], 10u);
  EXPECT_EQ(w.row(20)[63], 20u);
  EXPECT_EQ(w.row(23)[63], 13u);
}

}  // namespace
}  // namespace wavetile::emu::testing
