// Races, stale reads and divergent barriers: kernels that are right, and the same with one thing left out.
#include <gmock/gmock.h>

#include "tests/emulator/kernel_run.h"

namespace wavetile::emu::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Grid {
  std::string chip = "gfx1151";
  unsigned lds = 1024;
  std::uint16_t items = 64;
  std::uint32_t groups = 1;
  bool wgp_mode = true, stale = false;
};

Outcome outcome(const std::string& body, const Grid& s = {}) {
  KernelRun r;
  r.chip = s.chip;
  r.file = assemble_kernel(s.chip, {.body = body, .lds = s.lds, .wgp_mode = s.wgp_mode});
  r.items = s.items;
  r.groups = s.groups;
  r.stale = s.stale;
  r.max_instructions = 200000;
  r.buffers = {{std::vector<std::uint32_t>(1024, 0)}, {std::vector<std::uint32_t>(1024, 0)}};
  return run_kernel(r);
}

std::vector<std::string> reports(const std::string& body, const Grid& s = {}) {
  const Outcome o = outcome(body, s);
  EXPECT_TRUE(o.completed) << texts(o);
  return found(o);
}

// v1: 4 * item; v2: 4 * (item ^ 32), of the other wave. s[4:5], s[6:7]: the buffers. s8: the wave's number.
const std::string kBegin =
    "s_load_b128 s[4:7], s[0:1], 0x0\nv_and_b32 v0, 0x3ff, v0\nv_lshlrev_b32 v1, 2, v0\nv_xor_b32 v2, 0x80, v1\n"
    "v_readfirstlane_b32 s8, v0\ns_lshr_b32 s8, s8, 5\ns_waitcnt lgkmcnt(0)\n";
const std::string kUse = "s_waitcnt vmcnt(0) lgkmcnt(0)\nv_add_nc_u32 v4, v3, v3\n";

TEST(ChecksRaces, LdsNeedsABarrierBetweenWaves) {
  const std::string store = kBegin + "ds_store_b32 v1, v0\ns_waitcnt lgkmcnt(0)\n",
                    load = "ds_load_b32 v3, v2\n" + kUse;
  EXPECT_THAT(reports(store + "s_barrier\n" + load), IsEmpty());
  const Outcome o = outcome(store + load);
  EXPECT_THAT(found(o), Contains("race: ds_load_b32 v3, v2"));
  EXPECT_THAT(texts(o), HasSubstr("written by wave 0 of workgroup (0, 0, 0)"));
  EXPECT_THAT(texts(o), HasSubstr("ds_store_b32 v1, v0"));
}

TEST(ChecksRaces, ABarrierOrdersWhatWasWaitedFor) {
  EXPECT_THAT(reports(kBegin + "ds_store_b32 v1, v0\ns_barrier\nds_load_b32 v3, v2\n" + kUse),
              ElementsAre("race: ds_load_b32 v3, v2"));
}

// The upper lanes store once more after the barrier: of the 32 dwords that a wave then loads, the first 16 are ordered.
TEST(ChecksRaces, PartOfALoad) {
  const std::string again =
                        "s_mov_b32 exec_lo, 0xffff0000\nv_mov_b32 v5, 9\nds_store_b32 v1, v5\n"
                        "s_waitcnt lgkmcnt(0)\ns_mov_b32 exec_lo, -1\n",
                    store = kBegin + "ds_store_b32 v1, v0\ns_waitcnt lgkmcnt(0)\ns_barrier\n",
                    load = "ds_load_b32 v3, v2\n" + kUse;
  EXPECT_THAT(reports(store + again + "s_barrier\n" + load), IsEmpty());
  EXPECT_THAT(reports(store + again + load), Contains("race: ds_load_b32 v3, v2"));
}

TEST(ChecksRaces, WritesAfterReads) {
  const std::string body = kBegin + "ds_store_b32 v1, v0\ns_waitcnt lgkmcnt(0)\ns_barrier\nds_load_b32 v3, v2\n" + kUse;
  EXPECT_THAT(reports(body + "s_barrier\nds_store_b32 v1, v4"), IsEmpty());
  EXPECT_THAT(reports(body + "ds_store_b32 v1, v4"), Contains(HasSubstr("race: ds_")));
}

TEST(ChecksRaces, GlobalMemoryOfAWorkgroupInWgpMode) {
  const std::string store = kBegin + "global_store_b32 v1, v0, s[4:5]\n", wait = "s_waitcnt_vscnt null, 0x0\n",
                    load = "global_load_b32 v3, v2, s[4:5]\n" + kUse;
  EXPECT_THAT(reports(store + wait + "s_barrier\nbuffer_gl0_inv\n" + load), IsEmpty());
  EXPECT_THAT(reports(store + "s_barrier\nbuffer_gl0_inv\n" + load),
              ElementsAre("race: global_load_b32 v3, v2, s[4:5]"));
  EXPECT_THAT(reports(store + wait + "s_barrier\n" + load), ElementsAre("race: global_load_b32 v3, v2, s[4:5]"));
  // One L0 for the workgroup: neither is needed.
  EXPECT_THAT(reports(store + "s_barrier\n" + load, {.wgp_mode = false}), IsEmpty());
  EXPECT_THAT(reports(store + load, {.wgp_mode = false}), Contains("race: global_load_b32 v3, v2, s[4:5]"));
}

TEST(ChecksRaces, SameValueTwiceIsNoRace) {
  EXPECT_THAT(reports(kBegin + "v_mov_b32 v5, 7\nv_mov_b32 v6, 0\nds_store_b32 v6, v5"), IsEmpty());
  // Wave 0 stores 0, wave 1 stores 1.
  EXPECT_THAT(reports(kBegin + "v_mov_b32 v5, s8\nv_mov_b32 v6, 0\nds_store_b32 v6, v5"),
              ElementsAre("race: ds_store_b32 v6, v5"));
}

TEST(ChecksRaces, LanesOfOneStore) {
  const Grid one{.items = 32};
  EXPECT_THAT(reports(kBegin + "v_mov_b32 v6, 0\nds_store_b32 v6, v6", one), IsEmpty());
  EXPECT_THAT(reports(kBegin + "v_mov_b32 v6, 0\nds_store_b32 v6, v0", one), ElementsAre("race: ds_store_b32 v6, v0"));
  EXPECT_THAT(reports(kBegin + "v_lshlrev_b32 v6, 1, v0\nds_store_b16 v6, v0", one), IsEmpty());
}

TEST(ChecksRaces, AtomicsDoNotRaceWithEachOther) {
  const std::string add = kBegin + "v_mov_b32 v6, 0\nv_mov_b32 v5, 1\n";
  EXPECT_THAT(reports(add + "global_atomic_add_u32 v6, v5, s[4:5]", {.groups = 4}), IsEmpty());
  EXPECT_THAT(
      reports(add + "global_atomic_add_u32 v6, v5, s[4:5]\nglobal_load_b32 v3, v6, s[4:5] glc\n" + kUse, {.groups = 4}),
      IsEmpty());
  // A plain load does: found by the second wave that changes what the first has read.
  EXPECT_THAT(
      reports(add + "global_atomic_add_u32 v6, v5, s[4:5]\nglobal_load_b32 v3, v6, s[4:5]\n" + kUse, {.groups = 4}),
      ElementsAre("race: global_atomic_add_u32 v6, v5, s[4:5]"));
}

TEST(ChecksRaces, WorkgroupsAreNotOrdered) {
  EXPECT_THAT(reports(kBegin + "v_mov_b32 v5, s2\nglobal_store_b32 v1, v5, s[4:5]", {.groups = 2}),
              ElementsAre("race: global_store_b32 v1, v5, s[4:5]"));
}

// Workgroup 0 writes data and raises a flag; workgroup 1 waits for the flag and reads.
std::string message(const std::string& release, const std::string& acquire) {
  return kBegin + "v_mov_b32 v6, 0\nv_mov_b32 v5, 1\ns_cmp_eq_u32 s2, 0\ns_cbranch_scc0 .Lreader\n" +
         "global_store_b32 v1, v5, s[4:5]\n" + release +
         "global_store_b32 v6, v5, s[6:7]\ns_branch .Ldone\n.Lreader:\n" +
         "global_load_b32 v7, v6, s[6:7] glc\ns_waitcnt vmcnt(0)\n" + acquire +
         "v_readfirstlane_b32 s9, v7\ns_cmp_eq_u32 s9, 0\ns_cbranch_scc1 .Lreader\nglobal_load_b32 v3, v1, s[4:5]\n" +
         kUse + ".Ldone:";
}

TEST(ChecksRaces, ReleaseAndAcquireOrderWorkgroups) {
  const Grid two{.items = 32, .groups = 2};
  const std::string wait = "s_waitcnt_vscnt null, 0x0\n", both = "buffer_gl1_inv\nbuffer_gl0_inv\n";
  EXPECT_THAT(reports(message(wait, both), two), IsEmpty());
  const auto race = ElementsAre("race: global_load_b32 v3, v1, s[4:5]");
  EXPECT_THAT(reports(message("", both), two), race);
  EXPECT_THAT(reports(message(wait, ""), two), race);
  // An acquire of the workgroup's scope only.
  EXPECT_THAT(reports(message(wait, "buffer_gl0_inv\n"), two), race);
  EXPECT_THAT(reports(message(wait, "buffer_gl1_inv\n"), two), race);
}

TEST(ChecksRaces, ReleaseAndAcquireOfCdna3) {
  const auto body = [](const std::string& release, const std::string& acquire) {
    return "s_load_dwordx4 s[4:7], s[0:1], 0x0\nv_lshlrev_b32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\nv_mov_b32 v6, 0\n"
           "v_mov_b32 v5, 1\ns_cmp_eq_u32 s2, 0\ns_cbranch_scc0 .Lreader\nglobal_store_dword v1, v5, s[4:5]\n" +
           release +
           "global_store_dword v6, v5, s[6:7] sc1\ns_branch .Ldone\n.Lreader:\n"
           "global_load_dword v7, v6, s[6:7] sc1\ns_waitcnt vmcnt(0)\n" +
           acquire +
           "v_readfirstlane_b32 s9, v7\ns_cmp_eq_u32 s9, 0\ns_cbranch_scc1 .Lreader\n"
           "global_load_dword v3, v1, s[4:5]\ns_waitcnt vmcnt(0)\nv_add_u32 v4, v3, v3\n.Ldone:";
  };
  const Grid two{.chip = "gfx942", .items = 64, .groups = 2};
  const std::string good = "buffer_wbl2 sc1\ns_waitcnt vmcnt(0)\n";
  EXPECT_THAT(reports(body(good, "buffer_inv sc1\n"), two), IsEmpty());
  const auto race = ElementsAre("race: global_load_dword v3, v1, s[4:5]");
  EXPECT_THAT(reports(body("s_waitcnt vmcnt(0)\n", "buffer_inv sc1\n"), two), race);
  EXPECT_THAT(reports(body("buffer_wbl2 sc1\n", "buffer_inv sc1\n"), two), race);
  EXPECT_THAT(reports(body(good, ""), two), race);
}

TEST(ChecksStale, LinesAreKeptUntilTheyAreInvalidated) {
  // The reader takes the line in before it waits for the flag.
  const auto body = [](const std::string& acquire) {
    return kBegin + "v_mov_b32 v6, 0\nv_mov_b32 v5, 1\ns_cmp_eq_u32 s2, 0\ns_cbranch_scc1 .Lreader\n" +
           "v_mov_b32 v8, 64\nglobal_store_b32 v8, v5, s[4:5]\ns_waitcnt_vscnt null, 0x0\n" +
           "global_store_b32 v6, v5, s[6:7]\ns_branch .Ldone\n.Lreader:\nglobal_load_b32 v3, v6, s[4:5]\n"
           "s_waitcnt vmcnt(0)\n.Lspin:\nglobal_load_b32 v7, v6, s[6:7] glc\ns_waitcnt vmcnt(0)\n" +
           acquire +
           "v_readfirstlane_b32 s9, v7\ns_cmp_eq_u32 s9, 0\ns_cbranch_scc1 .Lspin\nv_mov_b32 v8, 64\n"
           "global_load_b32 v3, v8, s[4:5]\n" +
           kUse + "v_mov_b32 v8, 128\nglobal_store_b32 v8, v3, s[6:7]\n.Ldone:";
  };
  const auto result = [&](const std::string& acquire, std::vector<std::string>& kinds) {
    KernelRun r;
    r.file = assemble_kernel("gfx1151", {.body = body(acquire)});
    r.groups = 2;
    r.stale = true;
    r.max_instructions = 200000;
    // On lines of their own, whatever the allocator says.
    r.buffers = {{std::vector<std::uint32_t>(1024, 0)}, {std::vector<std::uint32_t>(1024, 0)}};
    kinds = found(run_kernel(r));
    return r.buffers[1].words[32];
  };
  std::vector<std::string> kinds;
  EXPECT_EQ(result("buffer_gl1_inv\nbuffer_gl0_inv\n", kinds), 1u);
  EXPECT_THAT(kinds, IsEmpty());
  result("", kinds);
  EXPECT_THAT(kinds, Contains("race: global_load_b32 v3, v8, s[4:5]"));
}

TEST(ChecksStale, OldDataIsWhatAProgramSees) {
  // Both waves on their own L0s: wave 1 has the line, wave 0 changes it, and only an invalidation shows that.
  const auto body = [](const std::string& acquire) {
    return kBegin + "v_mov_b32 v6, 0\nglobal_load_b32 v3, v6, s[4:5]\ns_waitcnt vmcnt(0)\ns_barrier\n" +
           "s_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .Lwait\nv_mov_b32 v5, 9\nglobal_store_b32 v6, v5, s[4:5]\n"
           "s_waitcnt_vscnt null, 0x0\n.Lwait:\ns_barrier\n" +
           acquire + "global_load_b32 v3, v6, s[4:5]\n" + kUse + "global_store_b32 v1, v3, s[6:7]";
  };
  for (const bool right : {true, false}) {
    KernelRun r;
    r.file =
        assemble_kernel("gfx1151", {.body = body(right ? "buffer_gl0_inv\nbuffer_gl1_inv\nbuffer_gl0_inv\n" : "")});
    r.items = 64;
    r.stale = true;
    r.buffers = {{std::vector<std::uint32_t>(1024, 0)}, {std::vector<std::uint32_t>(1024, 0)}};
    const Outcome o = run_kernel(r);
    EXPECT_EQ(r.buffers[1].words[0], 9u);
    EXPECT_EQ(r.buffers[1].words[32], right ? 9u : 0u);
    if (right) {
      EXPECT_THAT(found(o), IsEmpty());
    } else {
      EXPECT_THAT(found(o), Contains("stale-read: global_load_b32 v3, v6, s[4:5]"));
    }
  }
}

TEST(ChecksBarriers, LanesThatGoAround) {
  const std::string half = kBegin + "s_mov_b32 s10, exec_lo\ns_mov_b32 exec_lo, 0xffff\ns_barrier\n";
  EXPECT_THAT(reports(half), IsEmpty());  // the other lanes returned
  EXPECT_THAT(reports(half + "s_mov_b32 exec_lo, s10\nv_mov_b32 v3, 0"), ElementsAre("divergent-barrier: s_barrier"));
}

TEST(ChecksBarriers, WavesAtDifferentBarriers) {
  const std::string split =
      kBegin + "s_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .Lother\ns_barrier\ns_branch .Ldone\n.Lother:\n";
  EXPECT_THAT(reports(split + "s_barrier\n.Ldone:"), ElementsAre("divergent-barrier: s_barrier"));
  // A wave that leaves before any barrier is not waited for.
  EXPECT_THAT(reports(split + ".Ldone:"), IsEmpty());
  EXPECT_THAT(reports(kBegin + "s_barrier\ns_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .Ldone\ns_barrier\n.Ldone:"),
              ElementsAre("divergent-barrier: s_barrier"));
}

}  // namespace
}  // namespace wavetile::emu::testing
