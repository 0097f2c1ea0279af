// Kernels that look at whole rows.
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

TEST(RowKernels, Layernorm) { check_subject(checks::layernorm(DType::f32)); }
TEST(RowKernels, LayernormToBf16) { check_subject(checks::layernorm(DType::bf16)); }
TEST(RowKernels, Softmax) { check_subject(checks::softmax()); }
TEST(RowKernels, CausalSoftmax) { check_subject(checks::causal_softmax()); }
TEST(RowKernels, Argmax) { check_subject(checks::argmax()); }

}  // namespace
}  // namespace wavetile
