// Kernels that compute each element on its own, and those that only move elements.
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

constexpr DType float_types[] = {DType::f32, DType::f16, DType::bf16};

TEST(ElementKernels, Gelu) { check_subject(checks::gelu()); }
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
