// Kernels that look at whole rows.
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

TEST(RowKernels, Layernorm) { check_subject(checks::layernorm(DType::f32)); }
TEST(RowKernels, LayernormToBf16) { check_subject(checks::layernorm(DType::bf16)); }
TEST(RowKernels, Softmax) { check_subject(checks::softmax()); }
TEST(RowKernels, CausalSoftmax) { check_subject(checks::causal_softmax()); }
TEST(RowKernels, Argmax) { check_subject(checks::argmax()); }

// Row r has it in column r. Machines differ in what the greater of a number and NaN is; lanes hold odd and even numbers
// of elements.
TEST(RowKernels, NotANumberInAnyPlace) {
  Kernel extremes("extremes", {"X", "Max", "Min"}, [](Tensor<f32> X, Tensor<f32> Max, Tensor<f32> Min) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Max(r) = max(X(r, c), c);
    Min(r) = min(X(r, c), c);
  });
  for (int64_t n : {3, 24, 65, 96, 161}) {
    HostTensor x = random_tensor(DType::f32, {n, n});
    for (int64_t r = 0; r < n; ++r) x.set(r * n + r, NAN);
    for (const HostTensor& way : {x, strided(x, {1, n})})
      check_everywhere(extremes, {}, {way, output(DType::f32, {n}), output(DType::f32, {n})}, exact());
  }
}

}  // namespace
}  // namespace wavetile
