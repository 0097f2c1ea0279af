// Attention over a cache, and appending to it.
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

class Attention : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Kernels, Attention, ::testing::Values(DType::f32, DType::f16, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });
TEST_P(Attention, OverACache) { check_subject(checks::attention(GetParam())); }
TEST_P(Attention, AppendToCache) { check_subject(checks::append_to_cache(GetParam())); }
TEST(BatchedAttention, OverCaches) { check_subject(checks::batched_attention()); }
TEST(BatchedAttention, AppendToCache) { check_subject(checks::batched_append_to_cache()); }

struct Shape {
  int64_t heads, rows, keys, d, e;
};
void check_everywhere(DType cache, const Schedule& s, const Shape& shape, double start) {
  check_everywhere(kernels::attention(cache, 0.25), s,
                   {random_tensor(DType::f32, {shape.heads, shape.rows, shape.d}),
                    random_tensor(cache, {shape.heads, shape.keys, shape.d}),
                    random_tensor(cache, {shape.heads, shape.keys, shape.e}), tensor_of(DType::i32, {1}, {start}),
                    output(DType::f32, {shape.heads, shape.rows, shape.e})},
                   attention_of(shape.keys, 0.25 * summation(shape.d).absolute), {}, {false, Known::innermost, false});
}

// A split part may hold no key that a row sees: it must not count.
TEST(AttentionTiles, PartsThatARowDoesNotSee) {
  Schedule s;
  s.tile = {{"head", 1}, {"m", 8}, {"t", 4}};
  s.split = {{"t", 3}};
  check_everywhere(DType::f32, s, {2, 16, 16, 16, 16}, 0);
}

// Scores are computed with keys in the warps, and multiplied with rows there.
TEST(AttentionTiles, WeightsThatMoveBetweenWarps) {
  Schedule s;
  s.tile = {{"head", 1}, {"m", 4}, {"t", 8}};
  s.split = {{"t", 2}};
  s.packing = {{"K", {{{1, 4}}}}};
  check_everywhere(DType::f16, s, {2, 8, 40, 64, 32}, 40);
}

// Three elements of a head take four places in the lanes: what is converted has one element less.
TEST(AttentionTiles, HeadsThatAreNoPowerOfTwo) {
  Schedule s;
  s.tile = {{"head", 1}, {"m", 2}, {"t", 16}};
  check_everywhere(DType::f32, s, {1, 2, 7, 3, 3}, 5);
}

}  // namespace
}  // namespace wavetile
