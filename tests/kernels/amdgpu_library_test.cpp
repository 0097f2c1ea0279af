// Every kernel of the library, with the library's own schedules, compiles for AMD GPUs; the assembly says how well.
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "codegen/compile.h"
#include "kernels/kernels.h"
#include "kernels/sampling.h"
#include "kernels/schedules.h"
#include "tests/support/asm.h"

namespace wavetile {
namespace {

using namespace kernels;

// A dense tensor whose outermost extent may be open (0).
TensorSpec spec(DType t, std::vector<int64_t> extents) {
  TensorSpec s{t, {}, {}, 16};
  for (int64_t e : extents) s.extents.push_back(e ? std::optional<int64_t>(e) : std::nullopt);
  for (int64_t e : row_major(extents)) s.strides.emplace_back(e);
  return s;
}
// [heads, rows, d] as columns of [rows, c].
TensorSpec heads_spec(int64_t heads, int64_t d, int64_t c) {
  return {DType::f32, {heads, std::nullopt, d}, {d, c, 1}, 16};
}

struct Sample {
  Kernel kernel;
  Signature signature;
  Schedule schedule;
};

// At GPT-2's shapes; rows are open.
std::map<std::string, Sample> library(const Caps& caps, DType w) {
  constexpr DType f = DType::f32, i = DType::i32;
  constexpr int64_t c = 768, n = 2304, heads = 12, d = 64, keys = 1024, vocabulary = 50257;
  const double scale = 0.125;
  Schedule product = matmul_schedule(caps, w, 64, c), vector = gemv_schedule(caps, w), row = rows_schedule(caps),
           batched = product;
  batched.packing.clear();
  auto rows = [&](int64_t columns) { return spec(f, {0, columns}); };
  std::map<std::string, Sample> all;
  auto add_sample = [&](const std::string& name, Kernel k, Signature sig, Schedule s) {
    all.insert({name, {std::move(k), std::move(sig), std::move(s)}});
  };
  add_sample("matmul", matmul(w), {rows(c), spec(w, {c, n}), rows(n)}, product);
  add_sample("batched_matmul", batched_matmul(w),
             {spec(f, {heads, 128, d}), spec(w, {heads, d, 128}), spec(f, {heads, 128, 128})}, batched);
  for (Activation a : {Activation::none, Activation::gelu}) {
    std::string suffix = a == Activation::gelu ? "_gelu" : "";
    add_sample("linear" + suffix, linear(w, a), {rows(c), spec(w, {c, n}), spec(f, {n}), rows(n)}, product);
    add_sample("gemv_linear" + suffix, gemv_linear(w, a), {spec(f, {c}), spec(w, {c, n}), spec(f, {n}), spec(f, {n})},
               vector);
  }
  add_sample("linear_residual", linear_residual(w), {rows(c), spec(w, {c, c}), spec(f, {c}), rows(c), rows(c)},
             product);
  add_sample("gemv", gemv(w), {spec(f, {c}), spec(w, {c, vocabulary}), spec(f, {vocabulary})}, vector);
  add_sample("gemv_residual", gemv_residual(w),
             {spec(f, {c}), spec(w, {c, c}), spec(f, {c}), spec(f, {c}), spec(f, {c})}, vector);
  for (bool one : {false, true})
    add_sample(one ? "attention, one row" : "attention", attention(w, scale),
               {heads_spec(heads, d, 3 * c), spec(w, {heads, keys, d}), spec(w, {heads, keys, d}), spec(i, {1}),
                heads_spec(heads, d, c)},
               attention_schedule(caps, one));
  add_sample("append_to_cache", append_to_cache(w),
             {heads_spec(heads, d, 3 * c), heads_spec(heads, d, 3 * c), spec(i, {1}), spec(w, {heads, keys, d}),
              spec(w, {heads, keys, d})},
             append_schedule(caps));
  TensorSpec grouped_rows{f, {std::nullopt, heads, 1, d}, {3 * c, d, 3 * c, 1}, 16}, grouped_out = grouped_rows;
  grouped_out.strides = {c, d, c, 1};
  TensorSpec grouped_cache = spec(w, {0, heads, keys, d});
  add_sample("batched attention", batched_attention(w, scale),
             {grouped_rows, grouped_cache, grouped_cache, spec(i, {0}), grouped_out},
             attention_schedule(caps, true, true));
  add_sample("batched_append_to_cache", batched_append_to_cache(w),
             {grouped_rows, grouped_rows, spec(i, {0}), grouped_cache, grouped_cache}, append_schedule(caps, true));
  add_sample("batched_embedding", batched_embedding(w),
             {spec(w, {c, vocabulary}), spec(w, {keys, c}), spec(i, {0, 1}), spec(i, {0}), spec(f, {0, 1, c})},
             embedding_schedule(caps, w));
  add_sample("embedding", embedding(w),
             {spec(w, {c, vocabulary}), spec(w, {keys, c}), spec(i, {0}), spec(i, {1}), rows(c)},
             embedding_schedule(caps, w));
  for (DType to : {DType::f32, DType::f16, DType::bf16})
    add_sample("copy to " + std::string(name_of(to)), copy(w, to), {spec(w, {0, c}), spec(to, {0, c})}, row);
  if (w != f) return all;
  for (int64_t columns : {c, d}) {
    std::string suffix = " " + std::to_string(columns);
    add_sample("layernorm" + suffix, layernorm(),
               {rows(columns), spec(f, {columns}), spec(f, {columns}), rows(columns)}, row);
    add_sample("softmax" + suffix, softmax(), {rows(columns), rows(columns)}, row);
  }
  add_sample("causal_softmax", causal_softmax(scale), {spec(f, {0, 128, 128}), spec(i, {1}), spec(f, {0, 128, 128})},
             row);
  add_sample("argmax", argmax(), {spec(f, {0, vocabulary}), spec(i, {0})}, row);
  TensorSpec real{f, {std::nullopt, 4}, {8, 1}, 16}, whole{i, {std::nullopt, 3}, {8, 1}, 16};
  TensorSpec logits = rows(vocabulary), seen = spec(DType::u8, {0, vocabulary}), one = spec(i, {0}),
             least = spec(f, {0});
  Schedule sample = sampling_schedule(caps);
  add_sample("mark_seen", mark_seen(), {spec(i, {0, 1}), seen}, row);
  add_sample("adjust_logits", adjust_logits(), {logits, seen, real, logits}, sample);
  add_sample("weigh_tokens", weigh_tokens(), {logits, real, spec(i, {0, vocabulary})}, sample);
  add_sample("sampling_threshold", sampling_threshold(), {logits, real, whole, spec(i, {0, vocabulary}), least},
             sample);
  add_sample("draw_token", draw_token(), {logits, least, real, whole, one, one}, sample);
  add_sample("log_softmax_statistics", log_softmax_statistics(), {logits, least, least}, row);
  add_sample("gelu", kernels::gelu(), {rows(c), rows(c)}, row);
  add_sample("add", add(), {rows(c), rows(c), rows(c)}, row);
  add_sample("permute", permute(),
             {spec(f, {0, 12, 64}), TensorSpec{f, {std::nullopt, 12, 64}, {64, std::nullopt, 1}, 16}}, row);
  return all;
}

// Products and attention over many rows, as a prompt has them.
std::map<std::string, Sample> prompt_library(const Caps& caps, DType w) {
  constexpr DType f = DType::f32, i = DType::i32;
  constexpr int64_t c = 768, n = 3072, heads = 12, d = 64, keys = 1024;
  const DType in = input_type(caps, w), factors = factor_type(caps, w);
  Schedule s = matmul_schedule(caps, w, 64, c, in);
  std::map<std::string, Sample> all;
  auto add_sample = [&](const std::string& name, Kernel k, Signature sig, Schedule s) {
    all.insert({name, {std::move(k), std::move(sig), std::move(s)}});
  };
  add_sample("matmul", matmul(w, in), {spec(in, {0, c}), spec(w, {c, n}), spec(f, {0, n})}, s);
  add_sample("logits", matmul(w, in), {spec(in, {0, c}), spec(w, {c, 50257}), spec(f, {0, 50257})}, s);
  add_sample("linear", linear(w, Activation::none, in),
             {spec(in, {0, c}), spec(w, {c, n}), spec(f, {n}), spec(f, {0, n})}, s);
  add_sample("linear_gelu", linear(w, Activation::gelu, in, in),
             {spec(in, {0, c}), spec(w, {c, n}), spec(f, {n}), spec(in, {0, n})}, s);
  add_sample("linear_residual", linear_residual(w, in),
             {spec(in, {0, n}), spec(w, {n, c}), spec(f, {c}), spec(f, {0, c}), spec(f, {0, c})}, s);
  TensorSpec out = heads_spec(heads, d, c);
  out.dtype = in;
  add_sample("attention", attention(w, 0.125, in, factors),
             {heads_spec(heads, d, 3 * c), spec(w, {heads, keys, d}), spec(w, {heads, keys, d}), spec(i, {1}), out},
             attention_schedule(caps, false, false, factors));
  return all;
}

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
                         ::testing::Combine(::testing::Values("gfx1151", "gfx942"),
                                            ::testing::Values(DType::f32, DType::f16, DType::bf16)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });

TEST_P(AmdgpuLibrary, EveryKernelCompilesWithoutScratch) {
  for (const auto& [name, s] : library(caps(), weights())) {
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
  for (const auto& [name, s] : prompt_library(caps_of(*target), std::get<1>(GetParam()))) {
    SCOPED_TRACE(name);
    try {
      std::string text = assembly_of(s, *target);
      expect_no_scratch(text);
      std::string code = instructions_of(text, s.kernel.name());
      EXPECT_GE(count_instructions(code, "v_(wmma|mfma)_f32_16x16x16"), 8);
      if (name != "logits")  // whose rows are aligned to nothing
        EXPECT_EQ(count_instructions(code, "global_load_(d16|u16|ushort|short)"), 0) << "operands are read by elements";
      CompiledKernel k = compile(s.kernel, s.signature, s.schedule, *target);
      EXPECT_GT(k.object.size(), 64u);
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
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
    EXPECT_EQ(c.steps(), 2 * (wave64 ? 6 : 5)) << code;
    EXPECT_EQ(c.readlane, wave64 ? 2 : 0) << code;
    EXPECT_EQ(c.bpermute, 0) << code;
    expect_no_shared_memory(code);
  }
}

}  // namespace
}  // namespace wavetile
