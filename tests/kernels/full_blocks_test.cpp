// The library's kernels with the library's own schedules, over blocks as large as those: in every range a full one, or
// two, and then a part of one.
#include <algorithm>
#include <cmath>

#include "kernels/schedules.h"
#include "tests/kernels/cases.h"

namespace wavetile {
namespace {

struct Blocks {
  Kernel kernel;
  Schedule schedule;
  std::vector<HostTensor> tensors;
  Tolerance tolerance;
};

// A full block and a part of the next.
int64_t past(int tile) { return tile + std::max(1, tile / 5); }
int64_t past(const Schedule& s, const char* range) { return past(s.tile.at(range)); }

// That no range has full blocks alone, or none.
void check_extents(const Blocks& b, const Target& target) {
  std::vector<TensorView> views;
  std::vector<HostTensor> tensors = b.tensors;
  for (HostTensor& t : tensors) views.push_back(t.view());
  const Signature sig = signature_of(views);
  const Graph g = apply_schedule(simplify(specialise(b.kernel.graph(), sig)), b.schedule, sig, caps_of(target));
  for (size_t r = 0; r < g.ranges.size(); ++r) {
    const auto extent = g.extent(static_cast<RangeId>(r));
    if (g.ranges[r].kind == RangeKind::whole || g.ranges[r].tile == 1 || !extent) continue;
    EXPECT_GT(*extent, g.ranges[r].tile) << g.ranges[r].name;
    EXPECT_NE(*extent % g.ranges[r].tile, 0) << g.ranges[r].name;
  }
}

void check(const std::function<Blocks(const Caps&)>& make, bool open_strides = true) {
  for (const Machine& m : machines()) {
    if (m.is_virtual) continue;  // what there is of it is the chips'
    const Blocks b = make(caps_of(*m.target));
    check_extents(b, *m.target);
    // As models know them: all but how many rows there are; and nothing but that rows are dense.
    check_kernel(m, b.kernel, b.schedule, b.tensors, b.tolerance, {}, {false, Known::all, true});
    if (open_strides)
      check_kernel(m, b.kernel, b.schedule, b.tensors, b.tolerance, {}, {false, Known::innermost, false});
  }
}

class FullBlocks : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Kernels, FullBlocks, ::testing::Values(DType::f32, DType::f16, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

void check_product(DType w, bool many) {
  auto make = [=](const Caps& caps) {
    const DType inputs = kernels::input_type(caps, w);
    const Schedule s = kernels::matmul_schedule(caps, w, 1024, many ? 1 << 16 : 64, 768, inputs);
    const int64_t m = past(s, "m"), n = past(s, "n"), k = s.tile.at("k") + past(s, "k");
    return Blocks{kernels::linear_residual(w, inputs),
                  s,
                  {random_tensor(inputs, {m, k}), random_tensor(w, {k, n}), random_tensor(DType::f32, {n}),
                   random_tensor(DType::f32, {m, n}), output(DType::f32, {m, n})},
                  summation(k + 2)};
  };
  check(make, !many);
}
TEST_P(FullBlocks, Product) { check_product(GetParam(), false); }
TEST_P(FullBlocks, ProductOfManyColumns) { check_product(GetParam(), true); }

TEST_P(FullBlocks, VectorProduct) {
  const DType w = GetParam();
  check([=](const Caps& caps) {
    const DType inputs = kernels::input_type(caps, w);
    const Schedule s = kernels::gemv_schedule(caps, w);
    const int64_t n = past(s, "n"), k = s.warps * s.tile.at("k") + past(s, "k");
    return Blocks{kernels::gemv_residual(w, inputs),
                  s,
                  {random_tensor(inputs, {k}), random_tensor(w, {k, n}), random_tensor(DType::f32, {n}),
                   random_tensor(DType::f32, {n}), output(DType::f32, {n})},
                  summation(k + 2)};
  });
}

void check_attention(DType cache, bool one_row) {
  check([=](const Caps& caps) {
    const DType factors = one_row ? DType::f32 : kernels::factor_type(caps, cache);
    const Schedule s = kernels::attention_schedule(caps, one_row, false, factors);
    const int64_t d = 64, rows = one_row ? 1 : past(s, "m"), keys = s.warps * s.tile.at("t") + past(s, "t");
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    Tolerance tolerance = attention_of(keys, scale * summation(d).absolute);
    if (factors != DType::f32) tolerance.absolute += attention_of(1, unit_roundoff(factors)).absolute;
    return Blocks{kernels::attention(cache, scale, DType::f32, factors),
                  s,
                  {random_tensor(DType::f32, {2, rows, d}), random_tensor(cache, {2, keys, d}),
                   random_tensor(cache, {2, keys, d}), tensor_of(DType::i32, {1}, {static_cast<double>(keys - rows)}),
                   output(DType::f32, {2, rows, d})},
                  tolerance};
  });
}
TEST_P(FullBlocks, Attention) { check_attention(GetParam(), false); }
TEST_P(FullBlocks, AttentionOfOneRow) { check_attention(GetParam(), true); }

TEST(FullBlocksOfRows, Softmax) {
  check([](const Caps& caps) {
    return Blocks{kernels::softmax(),
                  kernels::rows_schedule(caps),
                  {random_tensor(DType::f32, {7, 771}), output(DType::f32, {7, 771})},
                  softmax_of(771)};
  });
}
TEST(FullBlocksOfRows, Layernorm) {
  check([](const Caps& caps) {
    return Blocks{kernels::layernorm(1e-2),
                  kernels::rows_schedule(caps),
                  {random_tensor(DType::f32, {7, 771}), random_tensor(DType::f32, {771}),
                   random_tensor(DType::f32, {771}), output(DType::f32, {7, 771})},
                  normalised(771, 1, 0.1)};
  });
}
TEST(FullBlocksOfRows, Gelu) {
  check([](const Caps& caps) {
    return Blocks{kernels::gelu(),
                  kernels::rows_schedule(caps),
                  {random_tensor(DType::f32, {7, 3 * 1024 + 37}), output(DType::f32, {7, 3 * 1024 + 37})},
                  gelu_of(0)};
  });
}

}  // namespace
}  // namespace wavetile
