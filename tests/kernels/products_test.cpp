// Every product with weights, with the library's schedules and with random ones.
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

using kernels::Activation;

class Products : public ::testing::TestWithParam<DType> {
 protected:
  void check(const checks::Product& p) { check_subject(checks::product(p, GetParam())); }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Products, ::testing::Values(DType::f32, DType::f16, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(Products, Matmul) { check({}); }
TEST_P(Products, BatchedMatmul) { check({.batched = true}); }
TEST_P(Products, Linear) { check({.bias = true}); }
TEST_P(Products, LinearGelu) { check({.bias = true, .activation = Activation::gelu}); }
TEST_P(Products, LinearResidual) { check({.bias = true, .residual = true}); }
TEST_P(Products, Gemv) { check({.vector = true}); }
TEST_P(Products, GemvLinear) { check({.vector = true, .bias = true}); }
TEST_P(Products, GemvLinearGelu) { check({.vector = true, .bias = true, .activation = Activation::gelu}); }
TEST_P(Products, GemvResidual) { check({.vector = true, .bias = true, .residual = true}); }

}  // namespace
}  // namespace wavetile
