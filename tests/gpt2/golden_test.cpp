// Whole checkpoints against reference results that were computed without this project. One case is one process and one
// load, on one thread: cases run beside each other, and the number of threads does not change a result (see below).
#include "golden.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "models/gpt2/generate.h"
#include "models/gpt2/tokenizer.h"

namespace wavetile {
namespace {

Model load(const fs::path& path, DType dtype, int threads = 1) {
  return Model(Checkpoint(path), Device::open("cpu", {.threads = threads, .level = {}}), dtype);
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

// f32 has to choose every token of the reference by itself. The 16-bit types are given the reference's token after each
// step: they must agree with it where it is not nearly a tie, and rank it second at worst where it is.
TEST_P(Golden, Tokens) {
  const auto [name, large, dtype] = GetParam();
  fs::path path = large ? large_model() : kDemo;
  if (!fs::exists(path / "model.safetensors"))
    GTEST_SKIP() << path.string() << " is missing; set WAVETILE_SHARED to the folder that has models/gutenberg-124M";
  const bool exact = dtype == DType::f32;
  const double logit_tolerance = exact ? 1e-3 : 0.2, clear_margin = 0.2;

  Model model = load(path, dtype);
  Tokenizer tokenizer = Tokenizer::load(path, kVocab);
  int steps = 0, same = 0, ties = 0;
  double worst = 0;
  for (const GoldenPrompt& p : read_golden(path)) {
    SCOPED_TRACE(p.text);
    ASSERT_EQ(tokenizer.encode(p.text), p.ids);
    model.reset();
    model.read(p.ids);
    std::vector<float> logits = model.logits();
    ASSERT_EQ(p.top.size(), 20u);
    for (auto [id, value] : p.top)
      worst = std::max(worst, std::abs(static_cast<double>(logits.at(static_cast<size_t>(id))) - value));
    for (size_t i = 0; i < p.greedy.size(); ++i, ++steps) {
      if (i) model.step();
      int32_t golden = p.greedy[i], chosen = model.next();
      same += chosen == golden;
      if (exact || p.margins[i] > clear_margin) {
        ASSERT_EQ(chosen, golden) << "step " << i << ", margin " << p.margins[i];
      } else {
        ++ties;
        logits = model.logits();
        float l = logits[static_cast<size_t>(golden)];
        ASSERT_LE(std::count_if(logits.begin(), logits.end(), [l](float other) { return other > l; }), 1)
            << "step " << i;
      }
      model.set_next(golden);
    }
  }
  EXPECT_LE(worst, logit_tolerance);
  EXPECT_EQ(steps, large ? 256 : 192);
  std::printf("%s: %d steps checked, %d tokens equal to the reference", name, steps, same);
  if (!exact) std::printf(" (%d steps within a margin of %.1f)", ties, clear_margin);
  std::printf("; top-20 logits off by at most %.2g\n", worst);
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

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

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

TEST(Generate, GivesExactlyTheTokensAskedForOrAllThatFit) {
  Model model = load(kDemo, DType::f32);
  const GoldenPrompt p = read_golden(kDemo)[0];
  for (int n : {0, 1, 7}) {
    std::vector<int32_t> seen;
    Generation g = generate(model, p.ids, n, [&](int32_t id) { seen.push_back(id); });
    EXPECT_EQ(g.ids, std::vector<int32_t>(p.greedy.begin(), p.greedy.begin() + n));
    EXPECT_EQ(g.ids, seen);
    EXPECT_EQ(g.step_seconds.size(), n ? static_cast<size_t>(n) - 1 : 0);
    EXPECT_FALSE(g.positions_exhausted);
    EXPECT_EQ(g.prompt_logits.size(), 50257u);
  }
  Generation g = generate(model, some_ids(1024), 5, [](int32_t) {});
  EXPECT_EQ(g.ids.size(), 1u);
  EXPECT_TRUE(g.positions_exhausted);
  EXPECT_EQ(generate(model, some_ids(1020), 5, [](int32_t) {}).ids.size(), 5u);
  EXPECT_THAT(error_of([&] { generate(model, {}, 1, [](int32_t) {}); }), testing::HasSubstr("no token to read"));
  std::vector<int32_t> foreign{464, 50257};
  EXPECT_THAT(error_of([&] { generate(model, foreign, 1, [](int32_t) {}); }), testing::HasSubstr("50257"));
}

// Weights of a finite size whose products are not.
TEST(Generate, LogitsThatAreNotNumbersAreAnError) {
  const std::vector<int32_t> ids = read_golden(kDemo)[1].ids;
  TempDir dir;
  copy_with(dir.path(), "h.5.attn.c_attn.bias", {7, 128 + 7}, 0x7f7f);  // the largest bf16, in a query and a key
  Model model = load(dir.path(), DType::bf16);
  EXPECT_THROW(generate(model, ids, 20, [](int32_t) {}), BadLogits);
}

TEST(Generate, NanWeightsAreRefusedAtLoad) {
  for (auto [tensor, element] : {std::pair{"h.5.mlp.c_fc.weight", size_t{700}},
                                 {"wte.weight", size_t{128 * 40000 + 3}},
                                 {"wpe.weight", size_t{128 * 12}}}) {
    TempDir dir;
    copy_with_nan(dir.path(), tensor, element);
    try {
      load(dir.path(), DType::bf16);
      ADD_FAILURE() << tensor;
    } catch (const BadWeights& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr(tensor));
    }
  }
}

}  // namespace
}  // namespace wavetile
