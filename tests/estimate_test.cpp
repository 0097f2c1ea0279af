// The estimate's arithmetic, each term by hand; and that there is none where nothing was counted.
#include "bench/estimate.h"

#include <gtest/gtest.h>

#include "bench/report.h"
#include "kernels/kernels.h"

namespace wavetile::bench {
namespace {

using emu::Class;
using emu::Counters;

constexpr double kMicro = 1e-6, kClose = 1e-15;

// One instruction on one wave, and nothing else that takes time.
Counters least() {
  Counters c;
  c.kernel = "k";
  c.chip = "gfx1151";
  c.lanes = 32;
  c.line_bytes = 128;
  c.waves = c.workgroups = 1;
  c.waves_per_simd = 16;
  c.instructions = 1;
  return c;
}
void set(Counters& c, Class k, std::uint64_t n) { c.by_class[static_cast<std::size_t>(k)] = n; }

TEST(Estimate, MemoryIsDistinctLinesOverTheBandwidth) {
  Counters c = least();
  c.distinct_lines_read = 1'000'000;
  c.distinct_lines_written = 656'250;
  const Estimate e = estimate(c);
  EXPECT_NEAR(e.memory, 1000 * kMicro, kClose);  // 212 MB
  EXPECT_NEAR(e.seconds(), 1002 * kMicro, kClose);
  EXPECT_EQ(e.bound(), "memory");
}

TEST(Estimate, VectorInstructionsIssueOnTheSimdsThatHaveAWave) {
  Counters c = least();
  set(c, Class::valu, 100'000);
  set(c, Class::vopd, 50'000);
  set(c, Class::packed, 20'000);
  set(c, Class::dot, 22'000);
  set(c, Class::trans, 10'000);  // four cycles each
  set(c, Class::salu, 1'000'000);
  EXPECT_NEAR(estimate(c).valu, 80 * kMicro, kClose);  // 232,000 cycles at 2.9 GHz
  c.waves = 8;
  EXPECT_NEAR(estimate(c).valu, 10 * kMicro, kClose);
  c.waves = 1000;
  EXPECT_NEAR(estimate(c).valu, 1 * kMicro, kClose);
  c.lanes = 64;
  EXPECT_NEAR(estimate(c).valu, 2 * kMicro, kClose);
  EXPECT_EQ(estimate(c).bound(), "valu");
}

TEST(Estimate, LdsServesAPassACycleAndEachConflictCostsOne) {
  Counters c = least();
  c.lds_passes = 200'000;
  c.lds_conflict_cycles = 32'000;
  EXPECT_NEAR(estimate(c).lds, 80 * kMicro, kClose);
  c.workgroups = 100;
  EXPECT_NEAR(estimate(c).lds, 2 * kMicro, kClose);  // of 40 compute units
  EXPECT_EQ(estimate(c).bound(), "lds");
}

TEST(Estimate, MatrixInstructionsAreCountedByTheirTiles) {
  Counters c = least();
  c.by_mnemonic["v_wmma_f32_16x16x16_bf16"] = 725'098;
  EXPECT_NEAR(estimate(c).matrix, 725'098 * 8192.0 / 59.4e12, kClose);
  EXPECT_NEAR(estimate(c).matrix, 100 * kMicro, 1e-10);
  EXPECT_EQ(estimate(c).bound(), "matrix");
}

TEST(Estimate, LatencyIsARoundTripForEachTimeThatWhatIsInFlightHasToCome) {
  Counters c = least();
  EXPECT_EQ(estimate(c).latency, 0);  // nothing is loaded
  c.bytes_in_flight = 1280;
  c.waves = 10;
  EXPECT_EQ(bytes_in_flight(c), 12800);
  c.distinct_lines_read = 50;
  EXPECT_NEAR(estimate(c).latency, 0.8 * kMicro, kClose);  // once at least
  c.distinct_lines_read = 1000;
  EXPECT_NEAR(estimate(c).latency, 8 * kMicro, kClose);
  EXPECT_EQ(estimate(c).bound(), "latency");
  c.waves = 1'000'000;  // only those that fit count: 16 on each of 80 SIMDs
  EXPECT_EQ(bytes_in_flight(c), 1280.0 * 1280);
  EXPECT_NEAR(bytes_to_cover(), 169'600, 1e-6);
}

TEST(Estimate, MultiplyAddsOfDualPackedAndDotInstructions) {
  Counters c = least();
  c.by_mnemonic = {{"v_dual_fmac_f32 :: v_dual_mul_f32", 1},
                   {"v_fma_f32", 2},
                   {"v_pk_fma_f16", 3},
                   {"v_dot2_f32_bf16", 4},
                   {"v_add_f32", 100},
                   {"v_dual_add_f32 :: v_dual_fmac_f32", 5},
                   {"v_mul_lo_u32", 7},
                   {"v_wmma_f32_16x16x16_f16", 2}};
  const MultiplyAdds m = multiply_adds(c);
  EXPECT_EQ(m.vector, 32.0 * (2 + 2 + 6 + 8 + 5));
  EXPECT_EQ(m.matrix, 2.0 * 4096);
}

TEST(Estimate, OfNothingIsAnErrorAndNoZero) {
  for (auto forget : {+[](Counters& c) { c.instructions = 0; }, +[](Counters& c) { c.waves = 0; },
                      +[](Counters& c) { c.line_bytes = 0; }, +[](Counters& c) { c.chip = "gfx1100"; },
                      +[](Counters& c) { c.chip.clear(); }}) {
    Counters c = least();
    forget(c);
    EXPECT_THROW(estimate(c), Error);
  }
}

TEST(Report, ResourcesComeFromTheMetadataOfTheSymbol) {
  const std::string text =
      "amdhsa.kernels:\n  - .agpr_count: 0\n    .args: []\n    .group_segment_fixed_size: 128\n    .name: k.0\n"
      "    .private_segment_fixed_size: 4\n    .sgpr_count: 20\n    .sgpr_spill_count: 1\n    .vgpr_count: 30\n"
      "    .vgpr_spill_count: 2\n  - .agpr_count: 0\n    .group_segment_fixed_size: 0\n    .name:           k\n"
      "    .private_segment_fixed_size: 0\n    .sgpr_count: 7\n    .sgpr_spill_count: 0\n    .vgpr_count: 8\n"
      "    .vgpr_spill_count: 0\namdhsa.target: x\n";
  const Resources r = resources_of(text, "k.0");
  EXPECT_EQ(r.vgprs, 30);
  EXPECT_EQ(r.sgprs, 20);
  EXPECT_EQ(r.lds_bytes, 128);
  EXPECT_EQ(r.scratch_bytes, 4);
  EXPECT_EQ(r.spilled_vgprs, 2);
  EXPECT_EQ(r.spilled_sgprs, 1);
  EXPECT_EQ(resources_of(text, "k").vgprs, 8);
  EXPECT_THROW(resources_of(text, "kx0"), Error);
  EXPECT_THROW(resources_of("", "k"), Error);
  EXPECT_THROW(resources_of("amdhsa.kernels:\n  - .args: []\n    .name: k\n  - .x: 1\n", "k"), Error);
}

// An elementwise kernel whose traffic is plain: three tensors of 1 KB, no byte twice.
TEST(Report, CountsAKernelOnTheEmulator) {
  const auto target = amdgpu_target("gfx1151");
  const TensorSpec rows{DType::f32, {4, 64}, {64, 1}, 16};
  const Sample s{kernels::add(), {rows, rows, rows}, {}};
  const KernelReport r = report_kernel("add", s, *target, counting_device("gfx1151"));
  ASSERT_EQ(r.refusal, "");
  EXPECT_EQ(r.least_bytes, 3 * 1024);
  ASSERT_EQ(r.stages.size(), 1u);
  ASSERT_TRUE(r.stages[0].counters && r.stages[0].estimate);
  EXPECT_GE(r.stages[0].counters->distinct_lines_read, 16u);  // and those of the arguments
  EXPECT_EQ(r.stages[0].counters->distinct_lines_written, 8u);
  EXPECT_GT(r.stages[0].estimate->latency, 0);
  EXPECT_GT(r.stages[0].resources.vgprs, 0);
}

TEST(Report, AChipThatTheEmulatorLacksIsNamed) {
  EXPECT_FALSE(can_count("gfx90a"));
  EXPECT_THROW(counting_device("gfx90a"), Error);
}

}  // namespace
}  // namespace wavetile::bench
