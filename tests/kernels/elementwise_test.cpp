// Kernels that compute each element on its own, and those that only move elements.
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

constexpr DType float_types[] = {DType::f32, DType::f16, DType::bf16};

TEST(ElementKernels, Gelu) { check_subject(checks::gelu()); }
// At all exponents, and where results overflow, vanish or are denormal.
HostTensor wide_values(int64_t n) {
  HostTensor x(DType::f32, {n});
  auto real = [](double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random_engine()); };
  for (int64_t i = 0; i < n; ++i)
    x.set(i, chance(3)   ? one_of<double>({0.0,     -0.0,     1.0,       INFINITY, -INFINITY, NAN,    3.4e38,
                                           -3.4e38, 0x1p-126, -0x1p-149, 0x1p-127, 0x1p127,   -87.5,  -103.9,
                                           88.72,   127.99,   -125.99,   -126.5,   -149.5,    -150.5, 1e-40})
             : chance(2) ? std::ldexp(real(-2, 2), static_cast<int>(random_int(-149, 126)))
                         : real(-160, 160));
  return x;
}

TEST(ElementKernels, FunctionsAreWithinThreeUnitsOfTheLastPlace) {
  constexpr int64_t n = 700;
  const Tolerance three{kFunctionError * unit_roundoff(DType::f32), kFunctionError * smallest_step(DType::f32)};
  for (Fn fn : {Fn::exp, Fn::exp2, Fn::log, Fn::sqrt, Fn::rsqrt, Fn::div, Fn::min, Fn::max}) {
    SCOPED_TRACE(info(fn).name);
    Tolerance t = three;
    if (fn == Fn::exp2) t.absolute += kFlushed;
    const HostTensor x = wide_values(n), z = wide_values(n), y = output(DType::f32, {n});
    if (info(fn).arity == 1) {
      Kernel k("function", {"X", "Y"}, [fn](Tensor<f32> X, Tensor<f32> Y) {
        Range i = parallel("i", X.dim(0));
        Y(i) = map(fn, {X(i)});
      });
      check_everywhere(k, {}, {x, y}, t);
    } else {
      Kernel k("function", {"X", "Z", "Y"}, [fn](Tensor<f32> X, Tensor<f32> Z, Tensor<f32> Y) {
        Range i = parallel("i", X.dim(0));
        Y(i) = map(fn, {X(i), Z(i)});
      });
      check_everywhere(k, {}, {x, z, y}, t);
    }
  }
}

TEST(ElementKernels, Add) { check_subject(checks::add()); }
TEST(ElementKernels, Permute) { check_subject(checks::permute()); }
TEST(ElementKernels, Gather) { check_subject(checks::gather()); }

class Copies : public ::testing::TestWithParam<std::tuple<DType, DType>> {};
INSTANTIATE_TEST_SUITE_P(ElementKernels, Copies,
                         ::testing::Combine(::testing::ValuesIn(float_types), ::testing::ValuesIn(float_types)),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) + "_to_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });
TEST_P(Copies, Copy) { check_subject(checks::copy(std::get<0>(GetParam()), std::get<1>(GetParam()))); }

class Embedding : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(ElementKernels, Embedding, ::testing::ValuesIn(float_types),
                         [](const auto& info) { return std::string(name_of(info.param)); });
TEST_P(Embedding, TokensOutsideTheVocabularyReadZero) { check_subject(checks::embedding(GetParam())); }

TEST(BatchedEmbedding, OfSequencesAtTheirOwnPositions) { check_subject(checks::batched_embedding()); }

}  // namespace
}  // namespace wavetile
