// Reads of registers that nothing wrote, or whose load is outstanding: for each a kernel that is right and one that is
// not, with the report at the right instruction.
#include <gmock/gmock.h>

#include "tests/emulator/compiler.h"
#include "tests/emulator/kernel_run.h"

namespace wavetile::emu::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

KernelRun kernel(const std::string& body, const std::string& chip = "gfx1151", unsigned lds = 0, unsigned scratch = 0) {
  KernelRun r;
  r.chip = chip;
  r.file = assemble_kernel(chip, {.body = body, .lds = lds, .scratch = scratch});
  r.items = chip == "gfx942" ? 64 : 32;
  r.buffers = {{std::vector<std::uint32_t>(256, 1)}, {std::vector<std::uint32_t>(256, 2)}};
  return r;
}

std::vector<std::string> reports(const std::string& body, const std::string& chip = "gfx1151", unsigned lds = 0,
                                 unsigned scratch = 0) {
  KernelRun r = kernel(body, chip, lds, scratch);
  const Outcome o = run_kernel(r);
  EXPECT_TRUE(o.completed) << texts(o);
  return found(o);
}

// Loads the pointers of the two buffers into s[4:5] and s[6:7], and a byte offset for each lane into v1.
const std::string kBegin = "s_load_b128 s[4:7], s[0:1], 0x0\nv_lshlrev_b32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\n";
const std::string kBegin942 = "s_load_dwordx4 s[4:7], s[0:1], 0x0\nv_lshlrev_b32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\n";

TEST(ChecksRegisters, ComputingWithWhatNothingWroteIsReported) {
  EXPECT_THAT(reports("v_mov_b32 v2, 1.0\nv_add_f32 v3, v2, v2"), IsEmpty());
  EXPECT_THAT(reports("v_mov_b32 v2, 1.0\nv_add_f32 v3, v2, v5"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v3, v2, v5"));
  EXPECT_THAT(reports("s_bcnt1_i32_b32 s8, s9"), ElementsAre("uninitialised-register: s_bcnt1_i32_b32 s8, s9"));
  EXPECT_THAT(reports("v_max_u32 v3, v2, v2", "gfx942"),
              ElementsAre("uninitialised-register: v_max_u32_e32 v3, v2, v2"));
}

TEST(ChecksRegisters, MovesPassUndefinedBitsOn) {
  EXPECT_THAT(reports("v_mov_b32 v3, v5\nv_mov_b32 v4, v3"), IsEmpty());
  EXPECT_THAT(reports("v_mov_b32 v3, v5\nv_mov_b32 v4, v3\nv_add_f32 v6, v4, v4"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v6, v4, v4"));
  EXPECT_THAT(reports("s_mov_b64 s[8:9], s[10:11]\ns_mov_b32 s8, 0\ns_add_i32 s12, s8, 1"), IsEmpty());
}

TEST(ChecksRegisters, IndicesChooseRegisters) {
  // v5 is written, and v2 is not; then the other way round.
  const std::string write = "s_mov_b32 m0, 3\nv_movreld_b32 v2, 1.0\n", read = "v_movrels_b32 v9, v2\n";
  EXPECT_THAT(reports(write + "v_add_f32 v6, v5, v5"), IsEmpty());
  EXPECT_THAT(reports(write + "v_add_f32 v6, v2, v2"), ElementsAre("uninitialised-register: v_add_f32_e32 v6, v2, v2"));
  EXPECT_THAT(reports(write + read + "v_add_f32 v6, v9, v9"), IsEmpty());
  EXPECT_THAT(reports(write + "s_mov_b32 m0, 2\n" + read + "v_add_f32 v6, v9, v9"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v6, v9, v9"));
  EXPECT_THAT(reports("v_mov_b32 v3, 0\nv_mov_b32 v5, 1\ns_mov_b32 m0, 0x10002\nv_swaprel_b32 v2, v3\n"
                      "v_add_nc_u32 v6, v3, v5"),
              IsEmpty());
  EXPECT_THAT(reports("s_mov_b32 m0, 3\ns_movreld_b32 s8, 1\ns_movrels_b32 s12, s8\ns_add_i32 s13, s11, s12"),
              IsEmpty());
  EXPECT_THAT(reports("s_mov_b32 m0, 3\ns_movreld_b32 s8, 1\ns_bcnt1_i32_b32 s13, s8"),
              ElementsAre("uninitialised-register: s_bcnt1_i32_b32 s13, s8"));
  KernelRun no_index = kernel(read);
  EXPECT_THAT(found(run_kernel(no_index)), ElementsAre("register-out-of-range: v_movrels_b32_e32 v9, v2",
                                                       "uninitialised-register: v_movrels_b32_e32 v9, v2"));
}

TEST(ChecksRegisters, IndicesOfCdna3ChooseRegisters) {
  const std::string to = "s_mov_b32 s8, 3\ns_set_gpr_idx_on s8, gpr_idx(DST)\nv_mov_b32 v2, 1.0\ns_set_gpr_idx_off\n",
                    from = "s_set_gpr_idx_on s8, gpr_idx(SRC0)\nv_mov_b32 v9, v2\ns_set_gpr_idx_off\n";
  EXPECT_THAT(reports(to + "v_add_f32 v6, v5, v5", "gfx942"), IsEmpty());
  EXPECT_THAT(reports(to + "v_add_f32 v6, v2, v2", "gfx942"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v6, v2, v2"));
  EXPECT_THAT(reports(to + from + "v_add_f32 v6, v9, v9", "gfx942"), IsEmpty());
  EXPECT_THAT(reports(to + "s_mov_b32 s8, 2\n" + from + "v_add_f32 v6, v9, v9", "gfx942"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v6, v9, v9"));
  // The kernel has 32 registers.
  KernelRun r = kernel("s_mov_b32 s8, 30\n" + from, "gfx942");
  EXPECT_THAT(found(run_kernel(r)), ElementsAre("register-out-of-range: v_mov_b32_e32 v9, v2"));
}

// Registers of a vector of eight are written one by one in a loop.
TEST(ChecksRegisters, VectorsByElement) {
  for (const std::string chip : {"gfx1151", "gfx942"}) {
    KernelRun r;
    r.chip = chip;
    r.items = 64;
    r.file = compile_ir(chip, R"(
define amdgpu_kernel void @k(ptr addrspace(1) %out, i32 %n) #0 {
entry:
  %x = call i32 @llvm.amdgcn.workitem.id.x()
  br label %loop
loop:
  %i = phi i32 [0, %entry], [%next, %loop]
  %v = phi <8 x i32> [poison, %entry], [%w, %loop]
  %y = add i32 %x, %i
  %w = insertelement <8 x i32> %v, i32 %y, i32 %i
  %next = add i32 %i, 1
  %more = icmp ult i32 %next, 8
  br i1 %more, label %loop, label %done
done:
  %e = extractelement <8 x i32> %w, i32 %n
  %to = getelementptr i32, ptr addrspace(1) %out, i32 %x
  store i32 %e, ptr addrspace(1) %to
  ret void
}
declare i32 @llvm.amdgcn.workitem.id.x()
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" "amdgpu-implicitarg-num-bytes"="0" "amdgpu-no-workitem-id-y" "amdgpu-no-workitem-id-z" }
)");
    r.buffers = {{std::vector<std::uint32_t>(64), false}};
    r.scalars = {5};
    const Outcome o = run_kernel(r);
    EXPECT_TRUE(o.completed && o.reports.empty()) << chip << "\n" << texts(o);
    EXPECT_EQ(r.buffers[0].words[7], 12u);
  }
}

TEST(ChecksRegisters, BitsThatAreMaskedOffDoNotCount) {
  EXPECT_THAT(reports("v_mov_b16 v3.l, 1\nv_and_b32 v4, 0xffff, v3\nv_add_nc_u32 v5, v4, v4"), IsEmpty());
  EXPECT_THAT(reports("v_mov_b16 v3.l, 1\nv_max_u32 v5, v3, v3"),
              ElementsAre("uninitialised-register: v_max_u32_e32 v5, v3, v3"));
  EXPECT_THAT(reports("v_mov_b16 v3.l, 1.0\nv_add_f16 v5.l, v3.l, v3.l"), IsEmpty());
  EXPECT_THAT(reports("v_mov_b16 v3.l, 1.0\nv_add_f16 v5.l, v3.h, v3.l"),
              ElementsAre("uninitialised-register: v_add_f16_e32 v5.l, v3.h, v3.l"));
  EXPECT_THAT(reports("v_mov_b32 v2, 3\nv_lshl_or_b32 v3, v5, 16, v2\nv_and_b32 v3, 0xffff, v3\nv_cvt_f32_u32 v4, v3"),
              IsEmpty());
  EXPECT_THAT(reports("v_mov_b32 v2, 3\nv_perm_b32 v3, v5, v2, 0x01000100\nv_cvt_f32_u32 v4, v3"), IsEmpty());
}

TEST(ChecksRegisters, SelectsTakeTheChosenSideOnly) {
  const std::string select = "v_cmp_gt_u32 vcc_lo, 8, v0\nv_mov_b32 v2, 1.0\nv_cndmask_b32 v3, v5, v2, vcc_lo\n";
  EXPECT_THAT(reports(select), IsEmpty());
  EXPECT_THAT(reports(select + "s_mov_b32 exec_lo, vcc_lo\nv_add_f32 v4, v3, v3"), IsEmpty());
  EXPECT_THAT(reports(select + "v_add_f32 v4, v3, v3"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v4, v3, v3"));
}

TEST(ChecksRegisters, LanesThatAreOffDoNotCount) {
  EXPECT_THAT(reports("s_mov_b32 exec_lo, 0xff\nv_mov_b32 v2, 1.0\nv_add_f32 v3, v2, v2"), IsEmpty());
  EXPECT_THAT(reports("s_mov_b32 exec_lo, 0xff\nv_mov_b32 v2, 1.0\ns_mov_b32 exec_lo, -1\nv_add_f32 v3, v2, v2"),
              ElementsAre("uninitialised-register: v_add_f32_e32 v3, v2, v2"));
  EXPECT_THAT(reports("v_writelane_b32 v2, 5, 3\nv_readlane_b32 s8, v2, 3\ns_add_i32 s8, s8, 1"), IsEmpty());
  EXPECT_THAT(reports("v_writelane_b32 v2, 5, 3\nv_readlane_b32 s8, v2, 4\ns_bcnt1_i32_b32 s8, s8"),
              ElementsAre("uninitialised-register: s_bcnt1_i32_b32 s8, s8"));
}

TEST(ChecksRegisters, DppReadsTheLanesThatItNames) {
  const std::string one = "s_mov_b32 exec_lo, 0x1\nv_mov_b32 v2, 1.0\ns_mov_b32 exec_lo, -1\n";
  EXPECT_THAT(reports(one + "v_mov_b32_dpp v3, v2 row_share:0 row_mask:0x1 bank_mask:0xf\ns_mov_b32 exec_lo, 0xffff\n"
                            "v_add_f32 v4, v3, v3"),
              IsEmpty());
  EXPECT_THAT(reports(one + "v_add_f32_dpp v3, v2, v2 row_share:0 row_mask:0x1 bank_mask:0xf"),
              ElementsAre("uninitialised-register: v_add_f32_dpp v3, v2, v2 row_share:0 row_mask:0x1 bank_mask:0xf"));
}

TEST(ChecksRegisters, BranchesAddressesAndExecReport) {
  EXPECT_THAT(reports("s_cbranch_scc1 .Lx\n.Lx:"), ElementsAre("uninitialised-register: s_cbranch_scc1 0"));
  EXPECT_THAT(reports("s_and_b32 s8, s9, s10\ns_cbranch_scc1 .Lx\n.Lx:"),
              ElementsAre("uninitialised-register: s_cbranch_scc1 0"));
  EXPECT_THAT(reports("s_cbranch_vccz .Lx\n.Lx:"), ElementsAre("uninitialised-register: s_cbranch_vccz 0"));
  // With 32 lanes its upper half is a register like others.
  EXPECT_THAT(reports("s_mov_b32 vcc_lo, 0\ns_load_b32 vcc_hi, s[0:1], 0x0\ns_cbranch_vccz .Lx\n.Lx:"), IsEmpty());
  EXPECT_THAT(reports("s_mov_b32 s8, s9\ns_and_b32 exec_lo, exec_lo, s8"),
              ElementsAre("uninitialised-register: s_and_b32 exec_lo, exec_lo, s8"));
  // The address is noise, so that the access itself ends the run.
  KernelRun r = kernel("ds_load_b32 v3, v5", "gfx1151", 1024);
  EXPECT_THAT(found(run_kernel(r)),
              ElementsAre("uninitialised-register: ds_load_b32 v3, v5", "lds-out-of-bounds: ds_load_b32 v3, v5"));
}

TEST(ChecksRegisters, RegistersBeyondTheAllocatedOnesAreReported) {
  EXPECT_THAT(reports("v_mov_b32 v200, 1.0"), ElementsAre("register-out-of-range: v_mov_b32_e32 v200, 1.0"));
}

TEST(ChecksRegisters, PackedHalvesDoNotTouch) {
  EXPECT_THAT(reports("v_mov_b16 v3.l, 1.0\nv_pk_add_f16 v4, v3, v3\nv_cvt_f32_f16 v5, v4.l"), IsEmpty());
  EXPECT_THAT(reports("v_mov_b16 v3.l, 1.0\nv_pk_add_f16 v4, v3, v3\nv_cvt_f32_f16 v5, v4.h"),
              ElementsAre("uninitialised-register: v_cvt_f32_f16_e32 v5, v4.h"));
}

TEST(ChecksWaits, LoadsHaveToBeWaitedFor) {
  EXPECT_THAT(reports(kBegin + "global_load_b32 v2, v1, s[4:5]\ns_waitcnt vmcnt(0)\nv_add_f32 v3, v2, v2"), IsEmpty());
  EXPECT_THAT(reports(kBegin + "global_load_b32 v2, v1, s[4:5]\nv_add_f32 v3, v2, v2"),
              ElementsAre("missing-wait: v_add_f32_e32 v3, v2, v2"));
  EXPECT_THAT(reports(kBegin + "global_load_b32 v2, v1, s[4:5]\nv_mov_b32 v2, 0"),
              ElementsAre("missing-wait: v_mov_b32_e32 v2, 0"));
  EXPECT_THAT(reports("s_load_b128 s[4:7], s[0:1], 0x0\ns_add_u32 s8, s4, 1"),
              ElementsAre("missing-wait: s_add_u32 s8, s4, 1"));
  // A wave of 32 lanes branches on half of VCC; the other is a register like others.
  const std::string vcc = "s_load_b32 vcc_hi, s[0:1], 0x0\ns_mov_b32 vcc_lo, 0\n";
  EXPECT_THAT(reports(vcc + "s_cbranch_vccz .Lx\n.Lx:"), IsEmpty());
  EXPECT_THAT(reports(vcc + "s_add_u32 s8, vcc_hi, 1"), ElementsAre("missing-wait: s_add_u32 s8, vcc_hi, 1"));
}

TEST(ChecksWaits, CountersArePassedInOrder) {
  const std::string two = kBegin + "global_load_b32 v2, v1, s[4:5]\nglobal_load_b32 v3, v1, s[6:7]\n";
  EXPECT_THAT(reports(two + "s_waitcnt vmcnt(1)\nv_add_f32 v4, v2, v2"), IsEmpty());
  EXPECT_THAT(reports(two + "s_waitcnt vmcnt(1)\nv_add_f32 v4, v3, v3"),
              ElementsAre("missing-wait: v_add_f32_e32 v4, v3, v3"));
  // RDNA3 counts stores apart, CDNA3 does not.
  EXPECT_THAT(reports(kBegin + "global_load_b32 v2, v1, s[4:5]\nglobal_store_b32 v1, v1, s[6:7]\ns_waitcnt vmcnt(1)\n"
                               "v_add_f32 v4, v2, v2"),
              ElementsAre("missing-wait: v_add_f32_e32 v4, v2, v2"));
  EXPECT_THAT(
      reports(kBegin942 + "global_load_dword v2, v1, s[4:5]\nglobal_store_dword v1, v1, s[6:7]\ns_waitcnt vmcnt(1)\n"
                          "v_add_f32 v4, v2, v2",
              "gfx942"),
      IsEmpty());
}

// The most that a wait can say ends what is older than the counter has room for.
TEST(ChecksRegisters, ACounterHoldsSoManyAndNoMore) {
  auto others = [](int n, const std::string& use) {
    std::string body = kBegin + "global_load_b32 v2, v1, s[4:5]\n";
    for (int i = 0; i < n; ++i) body += "global_load_b32 v3, v1, s[6:7]\n";
    return reports(body + use);
  };
  const std::string use = "v_add_f32 v4, v2, v2", missing = "missing-wait: v_add_f32_e32 v4, v2, v2";
  EXPECT_THAT(others(63, "s_waitcnt vmcnt(63)\n" + use), IsEmpty());
  EXPECT_THAT(others(62, "s_waitcnt vmcnt(63)\n" + use), ElementsAre(missing));
  EXPECT_THAT(others(63, use), ElementsAre(missing));
}

TEST(ChecksWaits, HalvesOfARegisterAreWaitedForApart) {
  const std::string two =
      kBegin + "global_load_d16_b16 v2, v1, s[4:5]\nglobal_load_d16_hi_b16 v2, v1, s[6:7]\ns_waitcnt vmcnt(1)\n";
  EXPECT_THAT(reports(two + "v_cvt_f32_f16 v3, v2.l"), IsEmpty());
  EXPECT_THAT(reports(two + "ds_store_b16 v1, v2", "gfx1151", 1024), IsEmpty());
  EXPECT_THAT(reports(two + "v_mov_b16 v2.l, 0"), IsEmpty());
  EXPECT_THAT(reports(two + "v_cvt_f32_f16 v3, v2.h"), ElementsAre("missing-wait: v_cvt_f32_f16_e32 v3, v2.h"));
  EXPECT_THAT(reports(two + "ds_store_b16_d16_hi v1, v2", "gfx1151", 1024),
              ElementsAre("missing-wait: ds_store_b16_d16_hi v1, v2"));
  EXPECT_THAT(reports(two + "v_mov_b32 v3, v2"), ElementsAre("missing-wait: v_mov_b32_e32 v3, v2"));
  // The second load does not hide the first.
  EXPECT_THAT(reports(kBegin + "global_load_d16_b16 v2, v1, s[4:5]\nglobal_load_d16_hi_b16 v2, v1, s[6:7]\n"
                               "v_cvt_f32_f16 v3, v2.l"),
              ElementsAre("missing-wait: v_cvt_f32_f16_e32 v3, v2.l"));
}

TEST(ChecksWaits, ScalarLoadsAreOutOfOrder) {
  const std::string two = "s_load_b32 s8, s[0:1], 0x0\ns_load_b32 s9, s[0:1], 0x4\n";
  EXPECT_THAT(reports(two + "s_waitcnt lgkmcnt(0)\ns_add_u32 s10, s8, 1"), IsEmpty());
  EXPECT_THAT(reports(two + "s_waitcnt lgkmcnt(1)\ns_add_u32 s10, s8, 1"),
              ElementsAre("missing-wait: s_add_u32 s10, s8, 1"));
}

TEST(ChecksWaits, LdsAnswersInOrder) {
  const std::string two = "v_lshlrev_b32 v1, 2, v0\nds_store_b32 v1, v0\nds_load_b32 v2, v1\nds_load_b32 v3, v1\n";
  EXPECT_THAT(reports(two + "s_waitcnt lgkmcnt(1)\nv_add_nc_u32 v4, v2, v2", "gfx1151", 1024), IsEmpty());
  EXPECT_THAT(reports(two + "s_waitcnt lgkmcnt(1)\nv_add_nc_u32 v4, v3, v3", "gfx1151", 1024),
              ElementsAre("missing-wait: v_add_nc_u32_e32 v4, v3, v3"));
}

TEST(ChecksMemory, LoadsOfWhatNothingWroteAreReportedWhereTheyAreUsed) {
  KernelRun r =
      kernel(kBegin + "global_load_b32 v2, v1, s[4:5]\ns_waitcnt vmcnt(0)\nv_mov_b32 v3, v2\nv_add_f32 v4, v3, v3");
  EXPECT_THAT(found(run_kernel(r)), IsEmpty());
  r.buffers[0].initialised = false;
  const Outcome o = run_kernel(r);
  EXPECT_THAT(found(o), ElementsAre("uninitialised-memory: v_add_f32_e32 v4, v3, v3"));
  EXPECT_THAT(texts(o), HasSubstr("loaded at + 0x10: global_load_b32 v2, v1, s[4:5]"));
}

TEST(ChecksMemory, LdsAndScratchBeginUnwritten) {
  const std::string lds = "v_lshlrev_b32 v1, 2, v0\nds_load_b32 v2, v1\ns_waitcnt lgkmcnt(0)\nv_add_f32 v3, v2, v2\n";
  EXPECT_THAT(reports("v_lshlrev_b32 v1, 2, v0\nds_store_b32 v1, v0\n" + lds, "gfx1151", 1024), IsEmpty());
  EXPECT_THAT(reports(lds, "gfx1151", 1024), ElementsAre("uninitialised-memory: v_add_f32_e32 v3, v2, v2"));
  const std::string scratch = "scratch_load_b32 v2, off, off offset:4\ns_waitcnt vmcnt(0)\nv_add_f32 v3, v2, v2\n";
  EXPECT_THAT(reports("scratch_store_b32 off, v0, off offset:4\n" + scratch, "gfx1151", 0, 64), IsEmpty());
  EXPECT_THAT(reports(scratch, "gfx1151", 0, 64), ElementsAre("uninitialised-memory: v_add_f32_e32 v3, v2, v2"));
}

TEST(ChecksMemory, StoresPassUndefinedBytesOn) {
  // A spill of a register that holds nothing is no defect; what is made of it is.
  const std::string spill = "scratch_store_b32 off, v9, off\nscratch_load_b32 v2, off, off\ns_waitcnt vmcnt(0)\n";
  EXPECT_THAT(reports(spill, "gfx1151", 0, 64), IsEmpty());
  EXPECT_THAT(reports(spill + "v_add_f32 v3, v2, v2", "gfx1151", 0, 64),
              ElementsAre("uninitialised-memory: v_add_f32_e32 v3, v2, v2"));
  // An output is.
  EXPECT_THAT(reports(kBegin + "global_store_b32 v1, v9, s[6:7]"),
              ElementsAre("uninitialised-register: global_store_b32 v1, v9, s[6:7]"));
}

}  // namespace
}  // namespace wavetile::emu::testing
