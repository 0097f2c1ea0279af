// GPT-2 on the HSA device, as machine code of AMD GPUs on the emulator: the reference's tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "models/gpt2/model.h"
#include "tests/gpt2/golden.h"
#include "tests/support/process.h"

namespace wavetile {
namespace {

struct Case {
  const char* chip;
  PlanKind plan;
  DType dtype;
  size_t prompts, steps;  // at most
  bool large = false;     // 124M
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.chip << " " << name_of(c.plan) << " " << name_of(c.dtype) << ", " << c.prompts << " prompts, " << c.steps
       << " steps" << (c.large ? ", 124M" : "");
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  return std::string(info.param.chip) + "_" + std::string(name_of(info.param.plan)) + "_" +
         std::string(name_of(info.param.dtype));
}

class HsaGolden : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Model8M, HsaGolden,
                         testing::Values(Case{"gfx1151", PlanKind::fused, DType::f32, 99, 99},
                                         Case{"gfx1151", PlanKind::fused, DType::bf16, 99, 99},
                                         Case{"gfx1151", PlanKind::unfused, DType::f32, 99, 99},
                                         Case{"gfx1151", PlanKind::unfused, DType::bf16, 99, 99},
                                         Case{"gfx1100", PlanKind::fused, DType::f32, 1, 8},
                                         Case{"gfx942", PlanKind::fused, DType::f32, 1, 8},
                                         Case{"gfx942", PlanKind::unfused, DType::f32, 1, 8},
                                         Case{"gfx942", PlanKind::fused, DType::bf16, 1, 8}),
                         name_of_case);

INSTANTIATE_TEST_SUITE_P(Model124M, HsaGolden,
                         testing::Values(Case{"gfx1151", PlanKind::fused, DType::f32, 2, 16, true},
                                         Case{"gfx1151", PlanKind::fused, DType::bf16, 2, 16, true}),
                         [](const auto& info) { return std::string(name_of(info.param.dtype)); });

TEST_P(HsaGolden, Tokens) {
  const Case& c = GetParam();
  const fs::path path = c.large ? large_model() : kDemo;
  if (!fs::exists(path / "model.safetensors"))
    GTEST_SKIP() << path.string() << " is missing; set WAVETILE_SHARED to the folder that has models/gutenberg-124M";
  setenv("WAVETILE_EMULATOR", (std::string(c.chip) + ",strict").c_str(), 1);
  Model model(Checkpoint(path), Device::open("hsa:emulated"),
              {.dtype = c.dtype, .plan = c.plan, .kernels = {.enabled = false}});
  const GoldenResult r = follow_golden(model, read_golden(path), c.prompts, c.steps);
  EXPECT_EQ(r.failure, "");
  EXPECT_GT(r.steps, 0);
  std::printf("%d of %d tokens equal to the reference; top-20 logits off by at most %.2g\n", r.same, r.steps,
              r.worst_logit);
}

// Both plans work in place here and there: a report of the emulator's checks makes the process fail.
class HsaChecks : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Model8M, HsaChecks,
                         testing::Values(Case{"gfx1151", PlanKind::fused, DType::f32, 1, 3},
                                         Case{"gfx1100", PlanKind::fused, DType::f32, 1, 3},
                                         Case{"gfx942", PlanKind::fused, DType::f32, 1, 3},
                                         Case{"gfx1151", PlanKind::unfused, DType::f32, 1, 2}),
                         name_of_case);

TEST_P(HsaChecks, NothingIsReported) {
  const Case& c = GetParam();
  setenv("WAVETILE_EMULATOR", (std::string(c.chip) + ",checks,strict").c_str(), 1);
  Model model(Checkpoint(kDemo), Device::open("hsa:emulated"),
              {.dtype = c.dtype, .plan = c.plan, .kernels = {.enabled = false}});
  const GoldenPrompt golden = read_golden(kDemo)[0];
  std::vector<int32_t> text = golden.ids;
  text.insert(text.end(), golden.greedy.begin(), golden.greedy.end());
  const size_t rows = 17;  // more than a block of them, and one at the edge
  ASSERT_LT(golden.ids.size(), rows);
  ASSERT_LT(rows + c.steps, text.size());
  model.read({text.begin(), text.begin() + rows});
  for (size_t i = 0; i < c.steps; ++i) {
    if (i) model.step();
    ASSERT_EQ(model.next(), text[rows + i]) << "step " << i;
  }
}

// Launches that do not wait for one another, in the least expected order.
class HsaReordered : public testing::TestWithParam<PlanKind> {};
INSTANTIATE_TEST_SUITE_P(Model8M, HsaReordered, testing::Values(PlanKind::fused, PlanKind::unfused),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(HsaReordered, Tokens) {
  setenv("WAVETILE_EMULATOR", "gfx1151,reorder,strict", 1);
  Model model(Checkpoint(kDemo), Device::open("hsa:emulated"),
              {.dtype = DType::f32, .plan = GetParam(), .kernels = {.enabled = false}});
  const GoldenResult r = follow_golden(model, read_golden(kDemo), 1, 4);
  EXPECT_EQ(r.failure, "");
  EXPECT_EQ(r.steps, 4);
}

// What is read and written a byte or a few at a time goes through the device.
TEST(HsaModel, SamplesAsTheCpuDoes) {
  setenv("WAVETILE_EMULATOR", "gfx1100,strict", 1);  // whose memory is not the host's
  std::vector<std::vector<int32_t>> texts;
  for (const char* name : {"cpu", "hsa:emulated"}) {
    Model model(Checkpoint(kDemo), Device::open(name), {.dtype = DType::f32, .kernels = {.enabled = false}});
    model.set_sampling({.temperature = 0.9F, .top_k = 50, .top_p = 0.95F, .repetition_penalty = 1.3F, .seed = 11});
    std::vector<int32_t> ids;
    for (int round = 0; round < 2; ++round) {  // the second time what was seen is forgotten
      model.reset();
      model.read(read_golden(kDemo)[0].ids);
      for (int i = 0; i < 4; ++i) {
        if (i) model.step();
        ids.push_back(model.next());
      }
    }
    texts.push_back(ids);
  }
  EXPECT_EQ(texts[0], texts[1]);
}

// What the program leaves behind, or does wrong on the way, makes the emulator end it with a code of its own.
TEST(HsaRun, LeavesNothingBehindAndProfilesByTheDevicesClock) {
  for (const char* chip : {"gfx1151", "gfx942"}) {
    setenv("WAVETILE_EMULATOR", (std::string(chip) + ",strict").c_str(), 1);
    const ProcessResult r = run_process({GPT2_DSL_RUN, "--device", "hsa:emulated", "--dtype", "f32", "--prompt",
                                         "The old sailor", "--max-tokens", "2", "--temperature", "0.5", "--profile"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.err, testing::Not(testing::HasSubstr("libhsa-runtime64")));
    EXPECT_THAT(r.err, testing::HasSubstr("ms; taken by the device's time stamps"));
  }
}

}  // namespace
}  // namespace wavetile
