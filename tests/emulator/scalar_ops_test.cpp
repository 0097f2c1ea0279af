// Scalar instructions: results and SCC at the edges, as AMD's ISA documents define them. One line is one experiment:
// the instruction, s2 (and s3) and s4 (and s5) before it, SCC before it, then s0 (and s1) and SCC after it.
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/memory.h"
#include "emulator/program.h"

namespace wavetile::emu {
namespace {

using U64 = std::uint64_t;

struct Case {
  const char* text;
  U64 a, b;
  int scc;
  U64 d;      // s[0:1]; s[0:1] begin as all ones
  int after;  // SCC
};

constexpr U64 kOnes = 0xffffffff00000000;  // above a result of 32 bits

std::unique_ptr<Fragment> ran(const char* chip, const Case& c, Memory& memory) {
  const Chip& device = *find_chip(chip);
  const int lanes = device.native_lanes;
  auto f = make_fragment(device, lanes, assemble(device, lanes, std::string(c.text) + "\n s_endpgm"), memory);
  Wave& w = f->wave();
  w.set_scalar64(0, ~U64{0});
  w.set_scalar64(2, c.a);
  w.set_scalar64(4, c.b);
  w.scc = c.scc != 0;
  EXPECT_TRUE(run_fragment(*f)) << c.text << (f->reports.empty() ? "" : f->reports[0].text);
  return f;
}

void check(const char* chip, const std::vector<Case>& cases) {
  Memory memory;
  for (const Case& c : cases) {
    const auto f = ran(chip, c, memory);
    EXPECT_EQ(f->wave().scalar64(0), c.d) << chip << ": " << c.text << std::hex << ' ' << c.a << ' ' << c.b;
    EXPECT_EQ(f->wave().scc, c.after != 0) << chip << ": " << c.text << std::hex << ' ' << c.a << ' ' << c.b;
  }
}

const std::vector<Case> kBoth{
    {"s_add_u32 s0, s2, s4", 0xffffffff, 1, 0, kOnes, 1},
    {"s_addc_u32 s0, s2, s4", 0xffffffff, 0, 1, kOnes, 1},
    {"s_addc_u32 s0, s2, s4", 0xffffffff, 0xffffffff, 1, kOnes | 0xffffffff, 1},
    {"s_sub_u32 s0, s2, s4", 0, 1, 0, kOnes | 0xffffffff, 1},
    {"s_subb_u32 s0, s2, s4", 5, 5, 1, kOnes | 0xffffffff, 1},
    {"s_subb_u32 s0, s2, s4", 5, 0xffffffff, 1, kOnes | 5, 1},
    {"s_add_i32 s0, s2, s4", 0x7fffffff, 1, 0, kOnes | 0x80000000, 1},
    {"s_add_i32 s0, s2, s4", 0xffffffff, 1, 1, kOnes, 0},
    {"s_sub_i32 s0, s2, s4", 0x80000000, 1, 0, kOnes | 0x7fffffff, 1},
    {"s_sub_i32 s0, s2, s4", 0, 0x80000000, 0, kOnes | 0x80000000, 1},
    {"s_min_i32 s0, s2, s4", 0xffffffff, 1, 0, kOnes | 0xffffffff, 1},
    {"s_max_u32 s0, s2, s4", 0xffffffff, 1, 0, kOnes | 0xffffffff, 1},
    {"s_mul_hi_i32 s0, s2, s4", 0x80000000, 0x80000000, 1, kOnes | 0x40000000, 1},
    {"s_mul_hi_u32 s0, s2, s4", 0xffffffff, 0xffffffff, 0, kOnes | 0xfffffffe, 0},
    {"s_mul_i32 s0, s2, s4", 0xffffffff, 0xffffffff, 1, kOnes | 1, 1},
    {"s_absdiff_i32 s0, s2, s4", 3, 10, 0, kOnes | 7, 1},
    {"s_abs_i32 s0, s2", 0x80000000, 0, 0, kOnes | 0x80000000, 1},
    {"s_lshl_b32 s0, s2, s4", 3, 33, 0, kOnes | 6, 1},
    {"s_lshr_b64 s[0:1], s[2:3], s4", 0x8000000000000000, 127, 0, 1, 1},
    {"s_ashr_i64 s[0:1], s[2:3], s4", 0x8000000000000000, 63, 0, ~U64{0}, 1},
    {"s_lshl1_add_u32 s0, s2, s4", 0x80000000, 5, 0, kOnes | 5, 1},
    {"s_bfm_b32 s0, s2, s4", 8, 4, 1, kOnes | 0xff0, 1},
    {"s_bfm_b64 s[0:1], s2, s4", 40, 20, 0, 0x0ffffffffff00000, 0},
    {"s_bfe_u32 s0, s2, s4", 0x12345678, 8 | 16 << 16, 0, kOnes | 0x3456, 1},
    {"s_bfe_u32 s0, s2, s4", 0x12345678, 28 | 16 << 16, 0, kOnes | 1, 1},
    {"s_bfe_i32 s0, s2, s4", 0x0000f000, 12 | 4 << 16, 0, kOnes | 0xffffffff, 1},
    {"s_bfe_i32 s0, s2, s4", 0xffffffff, 3, 1, kOnes, 0},  // a width of 0
    {"s_bfe_i64 s[0:1], s[2:3], s4", 0x00ff000000000000, 48 | 8 << 16, 0, ~U64{0}, 1},
    {"s_bfe_u64 s[0:1], s[2:3], s4", 0xabcdef0000000000, 40 | 64 << 16, 0, 0xabcdef, 1},
    {"s_pack_lh_b32_b16 s0, s2, s4", 0x11112222, 0x33334444, 0, kOnes | 0x33332222, 0},
    {"s_pack_hh_b32_b16 s0, s2, s4", 0x11112222, 0x33334444, 0, kOnes | 0x33331111, 0},
    {"s_bcnt0_i32_b64 s0, s[2:3]", 0xffffffff, 0, 0, kOnes | 32, 1},
    {"s_bcnt1_i32_b32 s0, s2", 0, 0, 1, kOnes, 0},
    {"s_brev_b64 s[0:1], s[2:3]", 1, 0, 0, 0x8000000000000000, 0},
    {"s_sext_i32_i8 s0, s2", 0x1280, 0, 0, kOnes | 0xffffff80, 0},
    {"s_wqm_b32 s0, s2", 0x80000010, 0, 0, kOnes | 0xf00000f0, 1},
    {"s_wqm_b64 s[0:1], s[2:3]", 0x0100000000000002, 0, 0, 0x0f0000000000000f, 1},
    {"s_quadmask_b64 s[0:1], s[2:3]", 0x0100000000000002, 0, 0, 0x4001, 1},
    {"s_bitset1_b32 s0, s2", 32, 0, 0, ~U64{0}, 0},
    {"s_bitset0_b64 s[0:1], s2", 95, 0, 0, 0xffffffff7fffffff, 0},
    {"s_bitreplicate_b64_b32 s[0:1], s2", 0x80000005, 0, 0, 0xc000000000000033, 0},
    {"s_cmov_b32 s0, s2", 7, 0, 0, ~U64{0}, 0},
    {"s_cmov_b64 s[0:1], s[2:3]", 7, 0, 1, 7, 1},
    {"s_cselect_b64 s[0:1], s[2:3], s[4:5]", 7, 8, 0, 8, 0},
    {"s_not_b64 s[0:1], s[2:3]", ~U64{0}, 0, 1, 0, 0},
    {"s_nor_b32 s0, s2, s4", 0xf0f0f0f0, 0x0f0f0f0f, 1, kOnes, 0},
    {"s_movk_i32 s0, 0xfffb", 0, 0, 0, kOnes | 0xfffffffb, 0},
    {"s_cmovk_i32 s0, 0x8000", 0, 0, 1, kOnes | 0xffff8000, 1},
    {"s_addk_i32 s0, 1", 0, 0, 1, kOnes, 0},  // -1 + 1
    {"s_mulk_i32 s0, 0xfffe", 0, 0, 1, kOnes | 2, 1},
    {"s_cmpk_eq_i32 s2, 0xffff", 0xffffffff, 0, 0, ~U64{0}, 1},
    {"s_cmpk_eq_u32 s2, 0xffff", 0xffffffff, 0, 1, ~U64{0}, 0},
    {"s_cmp_lt_i32 s2, s4", 0x80000000, 1, 0, ~U64{0}, 1},
    {"s_cmp_lt_u32 s2, s4", 0x80000000, 1, 1, ~U64{0}, 0},
    {"s_cmp_lg_u64 s[2:3], s[4:5]", U64{1} << 40, 0, 0, ~U64{0}, 1},
    {"s_bitcmp1_b64 s[2:3], s4", U64{1} << 40, 104, 0, ~U64{0}, 1},
    {"s_mov_b64 s[0:1], 0xf2345678", 0, 0, 0, 0xf2345678, 0},
    {"s_mov_b64 s[0:1], -2", 0, 0, 0, ~U64{1}, 0},
    {"s_mov_b64 s[0:1], 0.5", 0, 0, 0, 0x3fe0000000000000, 0},
    {"s_mov_b64 s[0:1], src_shared_base", 0, 0, 0, 0x0100000000000000, 0},
};

TEST(ScalarOps, ResultsAndScc) {
  check("gfx1151", kBoth);
  check("gfx942", kBoth);
  check("gfx1151", {{"s_ctz_i32_b32 s0, s2", 0, 0, 0, ~U64{0}, 0},
                    {"s_ctz_i32_b64 s0, s[2:3]", U64{1} << 50, 0, 0, kOnes | 50, 0},
                    {"s_clz_i32_u32 s0, s2", 1, 0, 0, kOnes | 31, 0},
                    {"s_clz_i32_u64 s0, s[2:3]", 1, 0, 0, kOnes | 63, 0},
                    {"s_cls_i32 s0, s2", 0xffffffff, 0, 0, ~U64{0}, 0},
                    {"s_cls_i32 s0, s2", 0xff800000, 0, 0, kOnes | 9, 0},
                    {"s_cls_i32_i64 s0, s[2:3]", 1, 0, 0, kOnes | 63, 0},
                    {"s_pack_hl_b32_b16 s0, s2, s4", 0x11112222, 0x33334444, 0, kOnes | 0x44441111, 0},
                    {"s_mov_b64 s[0:1], null", 0, 0, 0, 0, 0},
                    {"s_mov_b32 null, s2", 5, 0, 0, ~U64{0}, 0}});
  check("gfx942", {{"s_ff0_i32_b64 s0, s[2:3]", 0x0000ffffffffffff, 0, 0, kOnes | 48, 0},
                   {"s_ff1_i32_b32 s0, s2", 0, 0, 0, ~U64{0}, 0},
                   {"s_flbit_i32 s0, s2", 0x00800000, 0, 0, kOnes | 8, 0}});
}

TEST(ScalarOps, ExecIsSavedAndNarrowed) {
  Memory memory;
  struct ExecCase {
    const char* text;
    U64 d, exec;
    int scc;
  };
  // EXEC = 0xff0, the source 0xf00f.
  for (const ExecCase& c : {ExecCase{"s_and_saveexec_b32 s0, s2", 0xff0, 0x000, 0},
                            {"s_or_saveexec_b32 s0, s2", 0xff0, 0xffff, 1},
                            {"s_and_not1_saveexec_b32 s0, s2", 0xff0, 0xf00f, 1},
                            {"s_and_not0_saveexec_b32 s0, s2", 0xff0, 0xff0, 1},
                            {"s_or_not1_saveexec_b32 s0, s2", 0xff0, 0xfffff00f, 1},
                            {"s_nand_saveexec_b32 s0, s2", 0xff0, 0xffffffff, 1},
                            {"s_and_not0_wrexec_b32 s0, s2", 0xff0, 0xff0, 1},
                            {"s_and_not1_wrexec_b32 s0, s2", 0xf00f, 0xf00f, 1}}) {
    const Chip& chip = *find_chip("gfx1151");
    auto f = make_fragment(chip, 32, assemble(chip, 32, std::string(c.text) + "\n s_endpgm"), memory);
    f->wave().set_scalar(kExec, 0xff0);
    f->wave().set_scalar(2, 0xf00f);
    ASSERT_TRUE(run_fragment(*f));
    EXPECT_EQ(f->wave().s[0], c.d) << c.text;
    EXPECT_EQ(f->wave().exec, c.exec) << c.text;
    EXPECT_EQ(f->wave().scc, c.scc != 0) << c.text;
  }
}

TEST(ScalarOps, MovesRelativeToM0) {
  Memory memory;
  const Chip& chip = *find_chip("gfx942");
  auto f = make_fragment(chip, 64,
                         assemble(chip, 64,
                                  "s_mov_b32 m0, 4\n s_movrels_b32 s0, s2\n s_movreld_b64 s[2:3], s[6:7]\n"
                                  "s_mov_b32 m0, 101\n s_movreld_b32 s1, s6\n s_endpgm"),
                         memory);
  f->wave().set_scalar64(6, 0x700000006);
  EXPECT_FALSE(run_fragment(*f));  // s102 is none
  EXPECT_EQ(f->reports.at(0).kind, "register-out-of-range");
  EXPECT_EQ(f->wave().s[0], 6u);
  EXPECT_EQ(f->wave().s[7], 7u);
}

U64 bits(float v) { return std::bit_cast<std::uint32_t>(v); }

TEST(ScalarFloats, RoundAndFlushAsModeSays) {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  const U64 nan = bits(NAN);
  check("gfx1151",
        {{"s_add_f32 s0, s2, s4", bits(1), bits(0x1p-24f), 0, kOnes | bits(1), 0},
         {"s_round_mode 1\n s_add_f32 s0, s2, s4", bits(1), bits(0x1p-30f), 0, kOnes | bits(0x1.000002p0f), 0},
         {"s_round_mode 2\n s_sub_f32 s0, s2, s4", bits(1), bits(0x1p-30f), 0, kOnes | bits(0x1.fffffep-1f), 0},
         {"s_round_mode 3\n s_mul_f32 s0, s2, s4", bits(-0x1.000002p0f), bits(0x1.000002p0f), 0,
          kOnes | bits(-0x1.000004p0f), 0},
         {"s_add_f32 s0, s2, s4", bits(kTiny), bits(kTiny), 0, kOnes | 2, 0},
         {"s_denorm_mode 0xe\n s_add_f32 s0, s2, s4", bits(kTiny), bits(kTiny), 0, kOnes, 0},
         {"s_fmamk_f32 s0, s2, 0x40400000, s4", bits(2), bits(1), 0, kOnes | bits(7), 0},
         {"s_fmaak_f32 s0, s2, s4, 0x40400000", bits(2), bits(1), 0, kOnes | bits(5), 0},
         {"s_mov_b32 s0, 1.0\n s_fmac_f32 s0, s2, s4", bits(2), bits(3), 0, kOnes | bits(7), 0},
         {"s_max_f32 s0, s2, s4", nan, bits(3), 0, kOnes | bits(3), 0},
         {"s_min_f32 s0, s2, s4", bits(0.0f), bits(-0.0f), 0, kOnes | bits(-0.0f), 0},
         {"s_rndne_f32 s0, s2", bits(2.5f), 0, 0, kOnes | bits(2), 0},
         {"s_ceil_f32 s0, s2", bits(-0.5f), 0, 0, kOnes | bits(-0.0f), 0},
         {"s_cvt_i32_f32 s0, s2", bits(-1e20f), 0, 0, kOnes | 0x80000000, 0},
         {"s_cvt_u32_f32 s0, s2", bits(-1.5f), 0, 0, kOnes, 0},
         {"s_cvt_u32_f32 s0, s2", nan, 0, 0, kOnes, 0},
         {"s_cvt_f32_u32 s0, s2", 0xffffffff, 0, 0, kOnes | bits(0x1p32f), 0},
         {"s_round_mode 3\n s_cvt_f32_u32 s0, s2", 0xffffffff, 0, 0, kOnes | bits(0x1.fffffep31f), 0},
         {"s_cvt_f16_f32 s0, s2", bits(65520), 0, 0, kOnes | 0x7c00, 0},
         {"s_cvt_pk_rtz_f16_f32 s0, s2, s4", bits(65535), bits(-1e-7f), 0, kOnes | 0x80017bff, 0},
         {"s_cvt_hi_f32_f16 s0, s2", 0x3c000000, 0, 0, kOnes | bits(1), 0},
         {"s_cmp_lt_f32 s2, s4", nan, bits(1), 1, ~U64{0}, 0},
         {"s_cmp_nlt_f32 s2, s4", nan, bits(1), 0, ~U64{0}, 1},
         {"s_cmp_lg_f32 s2, s4", nan, bits(1), 1, ~U64{0}, 0},
         {"s_cmp_neq_f16 s2, 1.0", 0x3c01, 0, 0, ~U64{0}, 1}});
}

TEST(ScalarFloats, HalvesRoundOnce) {
  check("gfx1151", {{"s_add_f16 s0, s2, s4", 0x3c00, 0x1000, 0, kOnes | 0x3c00, 0},
                    {"s_round_mode 4\n s_add_f16 s0, s2, s4", 0x3c00, 0x1000, 0, kOnes | 0x3c01, 0},
                    {"s_mul_f16 s0, s2, s4", 0x0400, 0x3800, 0, kOnes | 0x0200, 0},
                    {"s_denorm_mode 0x3\n s_mul_f16 s0, s2, s4", 0x0400, 0x3800, 0, kOnes, 0},
                    {"s_mov_b32 s0, 0x3c01\n s_fmac_f16 s0, s2, s4", 0x0001, 0x0001, 0, kOnes | 0x3c01, 0},
                    // 2^-11 exactly is a tie, to even; 2^-11 and a little is not.
                    {"s_mov_b32 s0, 0x3c00\n s_fmac_f16 s0, s2, s4", 0x1000, 0x3c00, 0, kOnes | 0x3c00, 0},
                    {"s_mov_b32 s0, 0x3c00\n s_fmac_f16 s0, s2, s4", 0x1001, 0x3c00, 0, kOnes | 0x3c01, 0},
                    // Too far apart for double: upwards from the largest half.
                    {"s_round_mode 4\n s_mov_b32 s0, 0x7bff\n s_fmac_f16 s0, s2, s4", 1, 1, 0, kOnes | 0x7c00, 0},
                    {"s_floor_f16 s0, s2", 0xb800, 0, 0, kOnes | 0xbc00, 0}});
}

}  // namespace
}  // namespace wavetile::emu
