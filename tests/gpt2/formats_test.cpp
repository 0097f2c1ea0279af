// The same model in llm.c's files: the same weights in memory, bit for bit, and the reference's tokens.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "golden.h"
#include "models/gpt2/checkpoint_writer.h"
#include "models/gpt2/model.h"
#include "models/gpt2/tokenizer.h"

namespace wavetile {
namespace {

struct Case {
  const char* name;
  bool large;
  DType stored;
};

class LlmcFormat : public testing::TestWithParam<Case> {};

TEST_P(LlmcFormat, GivesTheSameModel) {
  const auto [name, large, stored] = GetParam();
  const fs::path original = large ? large_model() : kDemo;
  if (!fs::exists(original / "model.safetensors"))
    GTEST_SKIP() << original.string()
                 << " is missing; set WAVETILE_SHARED to the folder that has models/gutenberg-124M";
  TempDir dir;
  const Checkpoint hugging_face(original);
  {
    OutputFiles files;
    write_llmc({hugging_face.config(), stored, tensors_from(hugging_face)}, files.add(dir / "m.bin"));
    files.add(dir / "gpt2_tokenizer.bin").write(to_llmc_tokenizer(read_vocabulary(original, kVocab)));
    files.commit();
  }
  const Checkpoint llmc(dir / "m.bin");
  EXPECT_EQ(llmc.format(), CheckpointFormat::llmc);
  EXPECT_EQ(llmc.wte().dtype, stored);
  const Tokenizer tokenizer = Tokenizer::load(dir / "m.bin", "");

  DevicePtr device = Device::open("cpu", {.threads = 1, .level = {}});
  Model model(llmc, device, {.dtype = DType::f32});
  {
    const Weights expected = load_weights(hugging_face, *device, DType::f32);
    ASSERT_EQ(model.weights().bytes, expected.bytes);
    EXPECT_EQ(std::memcmp(model.weights().buffer->address(), expected.buffer->address(), expected.bytes), 0);
  }
  const auto prompts = read_golden(original);
  for (size_t i = 0; i < (large ? 1 : prompts.size()); ++i) {
    const GoldenPrompt& p = prompts[i];
    ASSERT_EQ(tokenizer.encode(p.text), p.ids);
    model.reset();
    model.read(p.ids);
    const std::vector<float> logits = model.logits();
    for (auto [id, value] : p.top) EXPECT_NEAR(logits.at(static_cast<size_t>(id)), value, 1e-3);
    for (size_t step = 0; step < (large ? 6 : p.greedy.size()); ++step) {
      if (step) model.step();
      ASSERT_EQ(model.next(), p.greedy[step]) << "step " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, LlmcFormat,
                         testing::Values(Case{"8M_version3", false, DType::f32},
                                         Case{"8M_version5", false, DType::bf16},
                                         Case{"124M_version3", true, DType::f32},
                                         Case{"124M_version5", true, DType::bf16}),
                         [](const auto& param_info) { return param_info.param.name; });

// 16-bit types pack pairs: another path through the loader.
TEST(LlmcFormats, EveryComputeTypeHasTheSameWeights) {
  TempDir dir;
  const Checkpoint hugging_face(kDemo);
  OutputFiles files;
  write_llmc({hugging_face.config(), DType::f32, tensors_from(hugging_face)}, files.add(dir / "m.bin"));
  files.commit();
  const Checkpoint llmc(dir / "m.bin");
  for (int threads : {1, 3})
    for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      DevicePtr device = Device::open("cpu", {.threads = threads, .level = {}});
      std::vector<double> told;
      const Weights a = load_weights(hugging_face, *device, dtype);
      const Weights b = load_weights(llmc, *device, dtype, [&](double fraction) { told.push_back(fraction); });
      ASSERT_EQ(a.bytes, b.bytes);
      EXPECT_EQ(std::memcmp(a.buffer->address(), b.buffer->address(), a.bytes), 0) << name_of(dtype);
      EXPECT_EQ(told.size(), tensors_of(llmc.config()).size());
      EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
      EXPECT_EQ(told.back(), 1);
    }
}

}  // namespace
}  // namespace wavetile
