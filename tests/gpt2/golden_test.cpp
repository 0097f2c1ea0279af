// Whole checkpoints against reference results that were computed without this project. One case is one process and one
// load, on one thread: cases run beside each other, and the number of threads does not change a result (see below).
#include "golden.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "models/gpt2/model.h"
#include "models/gpt2/tokenizer.h"
#include "tests/support/errors.h"

namespace wavetile {
namespace {

Model load(const fs::path& path, DType dtype, int threads = 1) {
  return Model(Checkpoint(path), Device::open("cpu", {.threads = threads, .level = {}}), {.dtype = dtype});
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return INFINITY;
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst;
}

// ------------------------------------------------------------------------------------------- golden

struct Case {
  const char* name;
  bool large;
  DType dtype;
};

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, Tokens) {
  const auto [name, large, dtype] = GetParam();
  fs::path path = large ? large_model() : kDemo;
  if (!fs::exists(path / "model.safetensors"))
    GTEST_SKIP() << path.string() << " is missing; set WAVETILE_SHARED to the folder that has models/gutenberg-124M";
  Model model = load(path, dtype);
  Tokenizer tokenizer = Tokenizer::load(path, kVocab);
  const std::vector<GoldenPrompt> golden = read_golden(path);
  for (const GoldenPrompt& p : golden) {
    EXPECT_EQ(tokenizer.encode(p.text), p.ids);
    EXPECT_EQ(p.top.size(), 20u);
  }
  const GoldenResult r = follow_golden(model, golden);
  EXPECT_EQ(r.failure, "");
  EXPECT_EQ(r.steps, large ? 256 : 192);
  std::printf("%s: %d steps checked, %d tokens equal to the reference", name, r.steps, r.same);
  if (dtype != DType::f32) std::printf(" (%d steps within a margin of %.1f)", r.ties, kClearMargin);
  std::printf("; top-20 logits off by at most %.2g\n", r.worst_logit);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Values(Case{"8M_f32", false, DType::f32}, Case{"8M_bf16", false, DType::bf16},
                                         Case{"8M_f16", false, DType::f16}, Case{"124M_f32", true, DType::f32},
                                         Case{"124M_bf16", true, DType::bf16}, Case{"124M_f16", true, DType::f16}),
                         [](const auto& param_info) { return param_info.param.name; });

// ------------------------------------------------------------------------------------------- cache and threads

std::vector<int32_t> some_ids(size_t n) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>((i * i * 7919 + i * 31 + 464) % 50257));
  return ids;
}

// Logits after tokens read one by one, over the cache, and after the same tokens read in one pass.
TEST(Cache, AgreesWithRecomputingEverything) {
  Model model = load(kDemo, DType::f32);
  const GoldenPrompt p = read_golden(kDemo)[1];
  model.read(p.ids);
  std::vector<int32_t> ids = p.ids;
  std::vector<std::vector<float>> cached;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(model.next());
    model.step();
    cached.push_back(model.logits());
  }
  double worst = 0;
  for (size_t n : {1, 2, 7, 24, 40}) {
    model.reset();
    model.read(std::span(ids).first(p.ids.size() + n));
    worst = std::max(worst, largest_difference(model.logits(), cached[n - 1]));
  }
  EXPECT_LE(worst, 1e-4);
  std::printf("cached and recomputed logits differ by at most %.2g\n", worst);
}

TEST(Cache, APromptMayComeInPieces) {
  Model model = load(kDemo, DType::f32);
  std::vector<int32_t> ids = some_ids(45);
  model.read(ids);
  std::vector<float> whole = model.logits();
  model.reset();
  for (auto [begin, count] : {std::pair{0, 17}, {17, 1}, {18, 27}})
    model.read(std::span(ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(count)));
  EXPECT_LE(largest_difference(model.logits(), whole), 1e-4);
}

class Threads : public testing::TestWithParam<DType> {};

TEST_P(Threads, GiveTheSameBits) {
  const std::vector<int32_t> ids = some_ids(70);
  std::vector<std::vector<float>> expected;
  for (int threads : {1, 1, 2, 4}) {
    Model model = load(kDemo, GetParam(), threads);
    model.read(ids);
    std::vector<std::vector<float>> logits{model.logits()};
    for (int i = 0; i < 6; ++i) {
      model.step();
      logits.push_back(model.logits());
    }
    if (expected.empty()) expected = logits;
    for (size_t i = 0; i < logits.size(); ++i)
      EXPECT_EQ(std::memcmp(logits[i].data(), expected[i].data(), logits[i].size() * sizeof(float)), 0)
          << threads << " threads, step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, Threads, testing::Values(DType::f32, DType::bf16, DType::f16),
                         [](const auto& param_info) { return std::string(name_of(param_info.param)); });

// ------------------------------------------------------------------------------------------- limits and errors

TEST(Positions, AllOfThemInOnePassAndOneByOne) {
  Model model = load(kDemo, DType::f32);
  const std::vector<int32_t> ids = some_ids(1025);
  model.read(std::span(ids).first(1024));
  EXPECT_EQ(model.position(), 1024);
  std::vector<float> whole = model.logits();
  EXPECT_THAT(error_of([&] { model.step(); }), testing::HasSubstr("1024 positions"));

  model.reset();
  model.read(std::span(ids).first(1000));
  for (size_t i = 1000; i < 1024; ++i) {
    model.set_next(ids[i]);
    model.step();
  }
  EXPECT_LE(largest_difference(model.logits(), whole), 1e-4);

  model.reset();
  EXPECT_THAT(error_of([&] { model.read(ids); }), testing::HasSubstr("1025 tokens do not fit"));
  model.read(std::span(ids).first(1));  // an error leaves the model usable
  EXPECT_EQ(model.position(), 1);
}

}  // namespace
}  // namespace wavetile
