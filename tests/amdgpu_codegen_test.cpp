// The amdgpu target as far as the code object: what the assembly of each chip must and must not contain.
#include <cstring>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codegen/compile.h"
#include "codegen/testing/amdgpu_probe.h"
#include "tests/support/asm.h"
#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace wavetile {
namespace {

using ::testing::HasSubstr;

constexpr const char* all_chips[] = {"gfx90a", "gfx942", "gfx1100", "gfx1151", "gfx1201"};

TensorSpec dense_spec(DType t, std::vector<std::optional<int64_t>> extents) {
  TensorSpec s{t, std::move(extents), {}, 64};
  int64_t stride = 1;
  for (size_t d = s.extents.size(); d-- > 0;) {
    s.strides.insert(s.strides.begin(), stride);
    stride *= s.extents[d].value_or(1);  // only the outermost may be open
  }
  return s;
}
Schedule schedule(std::map<std::string, int> tile, int warps = 1) {
  Schedule s;
  s.tile = std::move(tile);
  s.warps = warps;
  return s;
}

struct Sample {
  Kernel kernel;
  Signature signature;
  Schedule schedule;
};

Sample row_sum(int cols, int warps = 1) {
  return {Kernel("row_sum", {"X", "Y"},
                 [=](Tensor<f32> X, Tensor<f32> Y) {
                   Range r = parallel("row", X.dim(0)), c = whole("col", cols);
                   Y(r) = sum(X(r, c), c);
                 }),
          {dense_spec(DType::f32, {std::nullopt, cols}), dense_spec(DType::f32, {std::nullopt})},
          schedule({{"row", 1}}, warps)};
}
Sample row_argmax(int cols) {
  return {Kernel("row_argmax", {"X", "Y"},
                 [=](Tensor<f32> X, Tensor<i32> Y) {
                   Range r = parallel("row", X.dim(0)), c = whole("col", cols);
                   Y(r) = argmax(X(r, c), c);
                 }),
          {dense_spec(DType::f32, {std::nullopt, cols}), dense_spec(DType::i32, {std::nullopt})},
          schedule({{"row", 1}})};
}
Sample softmax(int cols) {
  return {Kernel("softmax", {"X", "Y"},
                 [=](Tensor<f32> X, Tensor<f32> Y) {
                   Range r = parallel("row", X.dim(0)), c = whole("col", cols);
                   Tile x = X(r, c);
                   Tile e = exp(x - max(x, c));
                   Y(r, c) = e / sum(e, c);
                 }),
          {dense_spec(DType::f32, {std::nullopt, cols}), dense_spec(DType::f32, {std::nullopt, cols})},
          schedule({{"row", 1}})};
}
Sample layernorm(int cols) {
  return {Kernel("layernorm", {"X", "W", "B", "Y"},
                 [=](Tensor<f32> X, Tensor<f32> W, Tensor<f32> B, Tensor<f32> Y) {
                   Range r = parallel("row", X.dim(0)), c = whole("col", cols);
                   Tile x = X(r, c);
                   Tile d = x - mean(x, c);
                   Y(r, c) = d * rsqrt(mean(d * d, c) + 1e-5) * W(c) + B(c);
                 }),
          {dense_spec(DType::f32, {std::nullopt, cols}), dense_spec(DType::f32, {cols}), dense_spec(DType::f32, {cols}),
           dense_spec(DType::f32, {std::nullopt, cols})},
          schedule({{"row", 1}})};
}
Sample vector_add() {
  return {Kernel("vector_add", {"A", "B", "C"},
                 [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
                   Range i = parallel("i", A.dim(0));
                   C(i) = A(i) + B(i);
                 }),
          Signature(3, dense_spec(DType::f32, {std::nullopt})), schedule({{"i", 1024}})};
}
template <class T>
Sample matmul(int warps) {
  return {Kernel("matmul", {"A", "B", "Bias", "C"},
                 [](Tensor<T> A, Tensor<T> B, Tensor<f32> Bias, Tensor<T> C) {
                   Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1));
                   Tile acc = fold(serial("k", A.dim(1)), fill(0, m, n),
                                   [=](Range k, Tile acc) { return acc + dot(A(m, k), B(k, n), k); });
                   C(m, n) = cast<T>(acc + Bias(n));
                 }),
          {dense_spec(T::dtype, {std::nullopt, 768}), dense_spec(T::dtype, {768, 2304}), dense_spec(DType::f32, {2304}),
           dense_spec(T::dtype, {std::nullopt, 2304})},
          schedule({{"m", 16}, {"n", 64}, {"k", 8}}, warps)};
}
Sample gather() {
  return {Kernel("gather", {"Table", "I", "Y"},
                 [](Tensor<bf16> Table, Tensor<i32> I, Tensor<f32> Y) {
                   Range t = parallel("t", I.dim(0)), c = whole("c", 768);
                   Y(t, c) = cast<f32>(Table(I(t), c));
                 }),
          {dense_spec(DType::bf16, {50257, 768}), dense_spec(DType::i32, {std::nullopt}),
           dense_spec(DType::f32, {std::nullopt, 768})},
          schedule({{"t", 1}})};
}
Sample transpose() {
  return {Kernel("transpose", {"X", "Y"},
                 [](Tensor<f32> X, Tensor<f32> Y) {
                   Range m = parallel("m", X.dim(0)), n = parallel("n", X.dim(1));
                   Y(n, m) = X(m, n);
                 }),
          {dense_spec(DType::f32, {1024, 768}), dense_spec(DType::f32, {768, 1024})},
          schedule({{"m", 32}, {"n", 32}})};
}
Sample attention() {
  Kernel k("attention", {"Q", "K", "V", "O"}, [](Tensor<f32> Q, Tensor<f32> K, Tensor<f32> V, Tensor<f32> O) {
    Range q = parallel("q", Q.dim(0)), d = whole("d", 64), e = whole("e", 64);
    Tile scaled = Q(q, d) * 0.125;
    State s = fold(serial("t", 0, last(q) + 1), State{fill(-1e30, q), fill(0, q), fill(0, q, e)},
                   [=](Range t, const State& s) {
                     Tile score = where(index(t) <= index(q), dot(scaled, K(t, d), d), -1e30);
                     Tile m = max(s[0], max(score, t));
                     Tile p = exp(score - m), keep = exp(s[0] - m);
                     return State{m, s[1] * keep + sum(p, t), s[2] * keep + dot(p, V(t, e), t)};
                   });
    O(q, e) = s[2] / s[1];
  });
  return {std::move(k), Signature(4, dense_spec(DType::f32, {std::nullopt, 64})), schedule({{"q", 1}, {"t", 32}})};
}

std::map<std::string, Sample> samples() {
  return {{"row_sum 768", row_sum(768)},
          {"row_sum 64", row_sum(64)},
          {"row_sum 768, 4 warps", row_sum(768, 4)},
          {"row_argmax", row_argmax(768)},
          {"softmax 768", softmax(768)},
          {"softmax 64", softmax(64)},
          {"layernorm 768", layernorm(768)},
          {"layernorm 64", layernorm(64)},
          {"vector_add", vector_add()},
          {"matmul f32", matmul<f32>(1)},
          {"matmul bf16", matmul<bf16>(4)},
          {"matmul f16", matmul<f16>(2)},
          {"gather", gather()},
          {"transpose", transpose()},
          {"attention", attention()}};
}

std::string assembly_of(const Sample& s, const std::string& chip) {
  return wavetile::assembly_of(s.kernel.graph(), s.signature, s.schedule, *amdgpu_target(chip));
}
bool is_wave64(const std::string& chip) { return caps_of(*amdgpu_target(chip)).lanes == 64; }

class EachChip : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Amdgpu, EachChip, ::testing::ValuesIn(all_chips),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(EachChip, CompilesEverythingWithoutScratch) {
  for (const auto& [name, s] : samples()) {
    SCOPED_TRACE(name);
    expect_no_scratch(assembly_of(s, GetParam()));
  }
}

// 5 steps on wave32; on wave64 6, and one readlane that hands the total to all lanes.
void expect_reductions(const Sample& s, const std::string& chip, int reductions) {
  std::string code = instructions_of(assembly_of(s, chip), s.kernel.name());
  CrossLane c = count_cross_lane(code);
  // A step of a maximum folds into the comparison that looks for NaN too.
  const int again = count_instructions(code, "v_cmp_[ou]_f32[a-z0-9_]*dpp");
  EXPECT_EQ(c.steps() - again, reductions * (is_wave64(chip) ? 6 : 5)) << code;
  EXPECT_EQ(c.readlane, is_wave64(chip) ? reductions : 0) << code;
  EXPECT_EQ(c.bpermute, 0) << code;
  EXPECT_EQ(c.swizzle, 0) << code;
  expect_no_shared_memory(code);
}
TEST_P(EachChip, ReductionOfARowByOneWaveTakesOneStepALaneBit) {
  for (int cols : {768, 64}) {
    SCOPED_TRACE(cols);
    expect_reductions(row_sum(cols), GetParam(), 1);
    expect_reductions(softmax(cols), GetParam(), 2);
    expect_reductions(layernorm(cols), GetParam(), 2);
  }
  std::string code = instructions_of(assembly_of(row_argmax(768), GetParam()), "row_argmax");
  EXPECT_EQ(count_cross_lane(code).steps(), is_wave64(GetParam()) ? 12 : 10) << code;  // the value and its place
  expect_no_shared_memory(code);
}
TEST_P(EachChip, LanesAddTheirOwnOffsetToScalars) {
  Sample s{Kernel("column_sum", {"X", "Y"},
                  [](Tensor<f32> X, Tensor<f32> Y) {
                    Range n = parallel("n", X.dim(1));
                    Y(n) = fold(serial("k", X.dim(0)), fill(0, n),
                                [=](Range k, Tile acc) { return acc + sum(X(k, n), k); });
                  }),
           {dense_spec(DType::f32, {std::nullopt, 2304}), dense_spec(DType::f32, {2304})},
           schedule({{"n", 256}, {"k", 4}})};
  std::string code = instructions_of(assembly_of(s, GetParam()), "column_sum");
  EXPECT_GE(count_instructions(code, "global_load_[a-z0-9]+ v[^,]+, v[0-9]+, s"), 4) << code;
  EXPECT_EQ(count_instructions(code, "v_add_co_ci|v_addc_co"), 0) << code;
}
// Each load beside its use would be waited for alone.
TEST(AmdgpuLoads, OfATileAreAskedForTogether) {
  for (const char* chip : all_chips) {
    if (is_wave64(chip)) continue;  // half as many, which LLVM keeps apart
    SCOPED_TRACE(chip);
    std::string code = instructions_of(assembly_of(gather(), chip), "gather");
    const int loads = count_instructions(code, "global_load"),
              waits = count_instructions(code, "s_waitcnt vmcnt|s_wait_loadcnt");
    EXPECT_GE(loads, 4) << code;
    EXPECT_LE(4 * waits, loads) << code;
  }
}
TEST_P(EachChip, FunctionsAreTheMachinesOwn) {
  auto code_of = [&](Fn fn) {
    Sample s{Kernel("f", {"X", "Y"},
                    [=](Tensor<f32> X, Tensor<f32> Y) {
                      Range i = parallel("i", X.dim(0));
                      Y(i) = fn == Fn::div ? 1 / X(i) : map(fn, {X(i)});
                    }),
             Signature(2, dense_spec(DType::f32, {1024})),
             schedule({{"i", caps_of(*amdgpu_target(GetParam())).lanes}})};
    return instructions_of(assembly_of(s, GetParam()), "f");
  };
  EXPECT_EQ(count_instructions(code_of(Fn::exp2), "v_exp_f32|v_ldexp|v_mul|v_cmp|v_cndmask"), 1) << code_of(Fn::exp2);
  EXPECT_EQ(count_instructions(code_of(Fn::exp), "v_exp_f32|v_ldexp_f32"), 2) << code_of(Fn::exp);
  EXPECT_EQ(count_instructions(code_of(Fn::rsqrt), "v_rsq_f32"), 1) << code_of(Fn::rsqrt);
  EXPECT_EQ(count_instructions(code_of(Fn::div), "v_rcp_f32|v_div_scale"), 1) << code_of(Fn::div);
}
TEST_P(EachChip, StepsOfASumFoldIntoTheAdditions) {
  std::string code = instructions_of(assembly_of(row_sum(768), GetParam()), "row_sum");
  EXPECT_EQ(count_instructions(code, "v_add_f32_dpp|v_add_f32_e64_dpp"), is_wave64(GetParam()) ? 6 : 4) << code;
  EXPECT_EQ(count_instructions(code, "v_mov_b32[a-z0-9_]*dpp"), 0) << code;
}

TEST_P(EachChip, LoadsAndStoresAre16Bytes) {
  for (const Sample& s : {row_sum(768), softmax(768), layernorm(768), vector_add()}) {
    SCOPED_TRACE(s.kernel.name());
    std::string code = instructions_of(assembly_of(s, GetParam()), s.kernel.name());
    EXPECT_GE(count_instructions(code, "global_load_(b128|dwordx4)"), 2) << code;
    if (s.kernel.name() != "row_sum") {
      EXPECT_GE(count_instructions(code, "global_store_(b128|dwordx4)"), 1) << code;
    }
    if (s.kernel.name() != "vector_add") {  // its last block is masked
      EXPECT_EQ(count_instructions(code, "global_load_(b32|b64|dword |dwordx2)"), 0) << code;
    }
  }
}

TEST_P(EachChip, SeveralWarpsOnARowMeetInSharedMemory) {
  std::string code = instructions_of(assembly_of(row_sum(768, 4), GetParam()), "row_sum");
  EXPECT_GE(count_instructions(code, "ds_(write|store)"), 1) << code;
  EXPECT_GE(count_instructions(code, "ds_(read|load)"), 1) << code;
  EXPECT_GE(count_instructions(code, "s_barrier"), 1) << code;
}

// The dump of the nest says what does a dot.
std::string nest_of(const Sample& s, const std::string& chip) {
  TempDir dir;
  compile(s.kernel, s.signature, s.schedule, *amdgpu_target(chip), {dir.path()});
  for (const auto& file : std::filesystem::directory_iterator(dir.path()))
    if (file.path().string().find("loop_nest") != std::string::npos) return read_file(file.path());
  return "";
}
TEST_P(EachChip, DotsOfHalvesAreMatrixInstructions) {
  const std::string matrix = is_wave64(GetParam()) ? "v_mfma_f32_16x16x16" : "v_wmma_f32_16x16x16";
  for (Sample s : {matmul<bf16>(4), matmul<f16>(2)}) {
    s.schedule.tile = {{"m", 32}, {"n", 64}, {"k", 32}};
    const bool halves = s.kernel.graph().tensors[0].dtype == DType::f16;
    SCOPED_TRACE(halves ? "f16" : "bf16");
    std::string code = instructions_of(assembly_of(s, GetParam()), "matmul");
    if (halves && GetParam() == std::string("gfx90a")) {  // it would drop denormal halves
      EXPECT_EQ(count_instructions(code, matrix), 0) << code;
      continue;
    }
    const int fragments = 2 * 4 * 2 / s.schedule.warps;  // of a step, for full blocks and for those at the edge
    EXPECT_EQ(count_instructions(code, matrix), 2 * fragments) << code;
    EXPECT_EQ(count_instructions(code, "v_(pk_|dual_)?fma(c|mk|ak)?_"), 0) << code;
    EXPECT_THAT(nest_of(s, GetParam()), HasSubstr(is_wave64(GetParam()) ? "dot by mfma_f32_" : "dot by wmma_f32_"));
    s.schedule.tile = {{"m", 8}, {"n", 64}, {"k", 8}};
    code = instructions_of(assembly_of(s, GetParam()), "matmul");
    EXPECT_EQ(count_instructions(code, matrix), 0);
    EXPECT_THAT(nest_of(s, GetParam()), HasSubstr("dot by multiply-adds"));
    const bool pairs = halves || !is_wave64(GetParam());  // CDNA has no such instruction for bf16
    EXPECT_EQ(count_instructions(code, "v_(dual_)?dot2(c|acc)?_f32_") > 0, pairs) << code;
    EXPECT_EQ(count_instructions(code, "v_(pk_|dual_)?fma(c|mk|ak)?_") > 0, !pairs) << code;
  }
}

TEST_P(EachChip, NothingIsPassedThatTheKernelDoesNotTake) {
  std::string text = assembly_of(row_sum(768, 2), GetParam());
  EXPECT_THAT(text, HasSubstr(".kernarg_segment_size: 64\n"));  // two tensors: addresses, three extents, three strides
  EXPECT_THAT(text, HasSubstr(".max_flat_workgroup_size: " + std::to_string(is_wave64(GetParam()) ? 128 : 64) + "\n"));
  EXPECT_THAT(text, HasSubstr(".wavefront_size: " + std::to_string(is_wave64(GetParam()) ? 64 : 32) + "\n"));
  EXPECT_EQ(text.find("hidden_"), std::string::npos);
  EXPECT_THAT(text, HasSubstr(".amdhsa_float_denorm_mode_32 3"));
  EXPECT_THAT(text, HasSubstr(".amdhsa_user_sgpr_dispatch_ptr 0"));
  EXPECT_THAT(text, HasSubstr(".amdhsa_system_sgpr_workgroup_id_y 0"));
}

TEST_P(EachChip, GivesACodeObject) {
  Sample s = softmax(768);
  CompiledKernel k = compile(s.kernel, s.signature, s.schedule, *amdgpu_target(GetParam()));
  ASSERT_GT(k.object.size(), 64u);
  EXPECT_EQ(std::memcmp(k.object.data(), "\177ELF", 4), 0);
  auto half = [&](size_t at) {
    return static_cast<unsigned char>(k.object[at]) | static_cast<unsigned char>(k.object[at + 1]) << 8;
  };
  EXPECT_EQ(half(16), 3);     // e_type: ET_DYN
  EXPECT_EQ(half(18), 224);   // e_machine: EM_AMDGPU
  EXPECT_EQ(k.object[8], 3);  // EI_ABIVERSION: code object version 5
  std::string bytes(k.object.begin(), k.object.end());
  EXPECT_THAT(bytes, HasSubstr(std::string("softmax.kd\0", 11)));
  EXPECT_THAT(bytes, HasSubstr("amdhsa.kernels"));
}

TEST(Amdgpu, CompilingTwiceGivesTheSameCodeObject) {
  Sample s = layernorm(768);
  auto target = amdgpu_target("gfx1151");
  EXPECT_EQ(compile(s.kernel, s.signature, s.schedule, *target).object,
            compile(s.kernel, s.signature, s.schedule, *target).object);
}

TEST(Amdgpu, UnknownChipsAreErrors) {
  std::string text = error_of([] { amdgpu_target("gfx803"); });
  EXPECT_THAT(text, HasSubstr("'gfx803'"));
  EXPECT_THAT(text, HasSubstr("gfx1151"));
}

TEST(Amdgpu, TooManyWarpsAreAnError) {
  Sample s = row_sum(4096, 32);
  EXPECT_THAT(error_of([&] { compile(s.kernel, s.signature, s.schedule, *amdgpu_target("gfx942")); }),
              HasSubstr("up to 16"));
}

TEST(Amdgpu, SpillingIsAnError) {
  Sample s = matmul<f32>(1);
  s.schedule.tile = {{"m", 64}, {"n", 128}, {"k", 2}};
  std::string text = error_of([&] { compile(s.kernel, s.signature, s.schedule, *amdgpu_target("gfx1151")); });
  EXPECT_THAT(text, HasSubstr("kernel 'matmul' does not fit the registers of gfx1151"));
  EXPECT_THAT(text, HasSubstr("smaller tiles"));
}

#if defined(__SANITIZE_ADDRESS__)
extern "C" void __lsan_disable();
extern "C" void __lsan_enable();
// An exception through LLVM's back end leaves behind what that held.
struct LeaksOfLlvm {
  LeaksOfLlvm() { __lsan_disable(); }
  ~LeaksOfLlvm() { __lsan_enable(); }
};
#else
struct LeaksOfLlvm {
  LeaksOfLlvm() {}
};
#endif

TEST(Amdgpu, WhatTheBackEndCannotSelectDoesNotEndTheProcess) {
  Sample s = row_sum(64);
  auto target = amdgpu_target("gfx1151");
  CompiledKernel before = compile(s.kernel, s.signature, s.schedule, *target);
  for (int i = 0; i < 2; ++i) {
    try {
      LeaksOfLlvm allowed;
      compile_foreign_instruction("gfx1151");
      ADD_FAILURE() << "gfx1151 has no matrix instruction of CDNA's";
    } catch (const InternalError& e) {
      EXPECT_THAT(e.what(), HasSubstr("annot select"));
    }
  }
  EXPECT_EQ(compile(s.kernel, s.signature, s.schedule, *target).object, before.object);
}

}  // namespace
}  // namespace wavetile
