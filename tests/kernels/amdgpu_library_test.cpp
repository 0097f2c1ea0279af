// Every kernel of the library, with the library's own schedules, compiles for AMD GPUs; the assembly says how well.
#include <algorithm>

#include <gtest/gtest.h>

#include "bench/library.h"
#include "codegen/compile.h"
#include "tests/support/asm.h"

namespace wavetile {
namespace {

using bench::library;
using bench::prompt_library;
using bench::Sample;

std::string assembly_of(const Sample& s, const Target& t) {
  return wavetile::assembly_of(s.kernel.graph(), s.signature, s.schedule, t);
}

class AmdgpuLibrary : public ::testing::TestWithParam<std::tuple<const char*, DType>> {
 protected:
  void SetUp() override { target_ = amdgpu_target(std::get<0>(GetParam())); }
  const Caps& caps() const { return caps_of(*target_); }
  DType weights() const { return std::get<1>(GetParam()); }
  TargetPtr target_;
};
INSTANTIATE_TEST_SUITE_P(Kernels, AmdgpuLibrary,
                         ::testing::Combine(::testing::Values("gfx1151", "gfx1100", "gfx1201", "gfx90a", "gfx942"),
                                            ::testing::Values(DType::f32, DType::f16, DType::bf16)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });

TEST_P(AmdgpuLibrary, EveryKernelCompilesWithoutScratch) {
  const auto open = library(caps(), weights());
  for (const auto& [name, s] : open) {
    SCOPED_TRACE(name);
    try {
      std::string text = assembly_of(s, *target_);
      expect_no_scratch(text);
      CompiledKernel k = compile(s.kernel, s.signature, s.schedule, *target_);
      EXPECT_GT(k.object.size(), 64u);
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
  for (const auto& [name, s] : library(caps(), weights(), {1, 1})) {  // as a token is decoded
    if (s.signature == open.at(name).signature) continue;
    SCOPED_TRACE(name + " of one row");
    expect_no_scratch(assembly_of(s, *target_));
  }
}

TEST_P(AmdgpuLibrary, WeightsAndRowsAreReadIn16Bytes) {
  auto all = library(caps(), weights());
  for (const char* name :
       {"matmul", "linear", "linear_residual", "gemv", "gemv_linear", "gemv_residual", "layernorm 768"}) {
    auto s = all.find(name);
    if (s == all.end()) continue;
    SCOPED_TRACE(name);
    std::string code = instructions_of(assembly_of(s->second, *target_), s->second.kernel.name());
    EXPECT_GE(count_instructions(code, "global_load_(b128|dwordx4)"), 2) << code;
  }
}

class AmdgpuPrompt : public ::testing::TestWithParam<std::tuple<const char*, DType>> {};
INSTANTIATE_TEST_SUITE_P(Kernels, AmdgpuPrompt,
                         ::testing::Combine(::testing::Values("gfx90a", "gfx942", "gfx1100", "gfx1151", "gfx1201"),
                                            ::testing::Values(DType::f16, DType::bf16)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });

TEST_P(AmdgpuPrompt, RunsOnMatrixInstructionsWithoutScratch) {
  auto target = amdgpu_target(std::get<0>(GetParam()));
  const Caps& caps = caps_of(*target);
  const DType halves = std::get<1>(GetParam());
  const bool units =
      std::any_of(caps.matrix.begin(), caps.matrix.end(), [&](const MatrixUnit& u) { return u.factor == halves; });
  ASSERT_EQ(units, std::get<0>(GetParam()) != std::string("gfx90a") || halves != DType::f16);
  for (const auto& [name, s] : prompt_library(caps, halves)) {
    SCOPED_TRACE(name);
    try {
      std::string text = assembly_of(s, *target);
      expect_no_scratch(text);
      std::string code = instructions_of(text, s.kernel.name());
      EXPECT_GE(count_instructions(code, "v_(wmma|mfma)_f32_16x16x16"), units ? 8 : 0);
      if (name != "attention") {
        EXPECT_EQ(s.schedule.tile.at("m"), !units ? 8 : name.ends_with("many rows") ? 128 : 64);
      }
      if (!name.starts_with("logits") && units) {  // its rows are aligned to nothing
        EXPECT_EQ(count_instructions(code, "global_load_(d16|u16|ushort|short)"), 0) << "operands are read by elements";
      }
      CompiledKernel k = compile(s.kernel, s.signature, s.schedule, *target);
      EXPECT_GT(k.object.size(), 64u);
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
}

// What a block of k loads is counted in the prologue, and in each of the loop's bodies; for full blocks of rows and
// those at the edge. LLVM may not take it back to where it is used: a block at least is on its way under every product.
TEST_P(AmdgpuPrompt, LoadsAreOnTheirWayWhileTheUnitsMultiply) {
  auto target = amdgpu_target(std::get<0>(GetParam()));
  const Caps& caps = caps_of(*target);
  const auto prompt = prompt_library(caps, std::get<1>(GetParam()));
  for (const auto& [name, stages] :
       {std::pair("matmul", 2), std::pair("matmul", 3), std::pair("matmul, many rows", 2)}) {
    SCOPED_TRACE(std::string(name) + ", stages " + std::to_string(stages));
    Sample s = prompt.at(name);
    s.schedule.stages = stages;
    const std::string code = instructions_of(assembly_of(s, *target), s.kernel.name()), matrix = "v_(wmma|mfma)_f32_16";
    if (std::get<1>(GetParam()) == DType::f16 && std::get<0>(GetParam()) == std::string("gfx90a")) {
      EXPECT_EQ(count_instructions(code, matrix), 0) << "it would drop denormal halves";
      continue;
    }
    const int loads = count_instructions(code, "global_load"), copies = 2 * (2 * stages - 1);
    ASSERT_EQ(loads % copies, 0) << code;
    EXPECT_GE(loads, copies);
    EXPECT_GE(count_instructions(code, matrix), 16 * stages);
    EXPECT_EQ(count_under_loads(code, matrix, loads / copies), count_instructions(code, matrix)) << code;
  }
}

// Rows of a result lie side by side in a lane, as keys of a column of values do: nothing moves by single halves.
TEST_P(AmdgpuPrompt, AttentionMovesHalvesSideBySide) {
  auto target = amdgpu_target(std::get<0>(GetParam()));
  const Caps& caps = caps_of(*target);
  const Sample s = prompt_library(caps, std::get<1>(GetParam())).at("attention");
  const std::string code = instructions_of(assembly_of(s, *target), s.kernel.name());
  if (count_instructions(code, "v_(wmma|mfma)") == 0) return;  // gfx90a's would drop denormal halves
  EXPECT_EQ(count_instructions(code, "global_store_(b16|short|d16)"), 0) << code;
  EXPECT_EQ(count_instructions(code, "ds_(load|read)_u16"), 0) << code;
  if (caps.lanes == 32) {  // whole fragments of 8 or 16 halves, each in its place
    EXPECT_EQ(count_instructions(code, "ds_load_(2addr|b32|b64)"), 0) << code;
  }
}

// Blocks of keys that all rows see are a loop of their own, without comparisons; one for full blocks of rows, and one
// for those at the edge.
TEST_P(AmdgpuPrompt, AttentionComparesOnTheDiagonalAlone) {
  auto target = amdgpu_target(std::get<0>(GetParam()));
  const Sample s = prompt_library(caps_of(*target), std::get<1>(GetParam())).at("attention");
  const std::string code = instructions_of(assembly_of(s, *target), s.kernel.name());
  if (count_instructions(code, "v_(wmma|mfma)") == 0) return;  // gfx90a's would drop denormal halves
  std::istringstream in(code);
  std::string line, between;  // two branches
  int loops = 0;
  while (std::getline(in, line)) {
    between += line + "\n";
    if (line.rfind("s_cbranch", 0) != 0) continue;
    loops +=
        count_instructions(between, "v_(wmma|mfma)") == 16 && count_instructions(between, "v_cmp_[a-z]+_[iu]32") == 0;
    between.clear();
  }
  EXPECT_EQ(loops, 2) << code;
}

class AmdgpuRows : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kernels, AmdgpuRows, ::testing::Values("gfx1151", "gfx942"),
                         [](const auto& info) { return std::string(info.param); });

// 5 steps a reduction on wave32; 6 on wave64, and one readlane that hands the total to all lanes.
TEST_P(AmdgpuRows, OneWaveReducesARowInOneStepALaneBit) {
  auto target = amdgpu_target(GetParam());
  bool wave64 = caps_of(*target).lanes == 64;
  auto all = library(caps_of(*target), DType::f32);
  for (const char* name : {"layernorm 768", "layernorm 64", "softmax 768", "softmax 64"}) {
    SCOPED_TRACE(name);
    const Sample& s = all.at(name);
    std::string code = instructions_of(assembly_of(s, *target), s.kernel.name());
    CrossLane c = count_cross_lane(code);
    // A step of a maximum folds into the comparison that looks for NaN too.
    const int again = count_instructions(code, "v_cmp_[ou]_f32[a-z0-9_]*dpp");
    EXPECT_EQ(c.steps() - again, 2 * (wave64 ? 6 : 5)) << code;
    EXPECT_EQ(c.readlane, wave64 ? 2 : 0) << code;
    EXPECT_EQ(c.bpermute, 0) << code;
    expect_no_shared_memory(code);
  }
}

// RDNA 4 has a maximum that gives NaN for NaN; what others look for with comparisons, it does not.
TEST(AmdgpuMaximum, LooksForNanWhereTheChipDoesNot) {
  for (const auto& [chip, looks] : {std::pair{"gfx1201", false}, {"gfx1151", true}, {"gfx942", true}}) {
    const auto target = amdgpu_target(chip);
    const Sample s = library(caps_of(*target), DType::f32).at("softmax 768");
    const std::string code = instructions_of(assembly_of(s, *target), s.kernel.name());
    EXPECT_EQ(count_instructions(code, "v_cmp_[ou]_f32") > 0, looks) << code;
    EXPECT_EQ(count_instructions(code, "v_maximum3?_f32") > 0, !looks) << code;
  }
}

}  // namespace
}  // namespace wavetile
