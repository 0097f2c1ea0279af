// Dots on matrix instructions: shapes that are multiples of nothing, both orders of operands, chains of dots, what the
// tiles do not fit, and NaN where nothing should be read.
#include <array>
#include <limits>

#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "tests/support/asm.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

Schedule schedule_of(std::map<std::string, int> tile, int warps = 1) {
  Schedule s;
  s.tile = std::move(tile);
  s.warps = warps;
  return s;
}
void check(const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors, const Tolerance& t,
           const Known& known = {}) {
  for (const Machine& m : machines())  // of those that have no such instructions the first is enough
    if (!caps_of(*m.target).matrix.empty() || &m == &machines().front()) check_kernel(m, k, s, tensors, t, {}, known);
}

template <class In>
Kernel product() {
  return kernels::matmul(In::dtype, In::dtype);
}

template <class In>
class MatrixUnits : public ::testing::Test {};
using Factors = ::testing::Types<bf16, f16>;
TYPED_TEST_SUITE(MatrixUnits, Factors);

TYPED_TEST(MatrixUnits, ProductsOfAnyShape) {
  using In = TypeParam;
  struct {
    std::array<int64_t, 3> shape;
    std::map<std::string, int> tile;
    int warps;
  } cases[] = {
      {{16, 16, 16}, {{"m", 16}, {"n", 16}, {"k", 16}}, 1},  {{33, 47, 50}, {{"m", 16}, {"n", 32}, {"k", 32}}, 1},
      {{70, 67, 41}, {{"m", 32}, {"n", 32}, {"k", 16}}, 4},  {{1, 100, 64}, {{"m", 16}, {"n", 64}, {"k", 32}}, 2},
      {{50, 49, 100}, {{"m", 48}, {"n", 48}, {"k", 48}}, 2}, {{5, 3, 7}, {{"m", 16}, {"n", 16}, {"k", 16}}, 2}};
  for (auto& [shape, tile, warps] : cases) {
    auto [m, n, k] = shape;
    std::vector<HostTensor> tensors{random_tensor(In::dtype, {m, k}), random_tensor(In::dtype, {k, n}),
                                    output(DType::f32, {m, n})};
    check(product<In>(), schedule_of(tile, warps), tensors, summation(k));
    check(product<In>(), schedule_of(tile, warps), tensors, summation(k), {false, Known::innermost, false});
  }
}
// Prompts of different lengths have tiles of different sizes.
TYPED_TEST(MatrixUnits, TheTileDoesNotShowInTheSums) {
  using In = TypeParam;
  std::vector<HostTensor> few{random_tensor(In::dtype, {70, 101}), random_tensor(In::dtype, {101, 150}),
                              output(DType::f32, {70, 150})},
      many = few;
  for (const Machine& m : machines()) {
    const Caps& caps = caps_of(*m.target);
    if (caps.matrix.empty()) continue;
    auto schedule = [&](long rows, long columns) {
      return kernels::matmul_schedule(caps, In::dtype, rows, columns, 101, In::dtype);
    };
    ASSERT_NE(schedule(64, 64), schedule(1 << 14, 1 << 14));
    run_on(m, product<In>(), schedule(64, 64), few);
    run_on(m, product<In>(), schedule(1 << 14, 1 << 14), many);
    EXPECT_EQ(few[2].bytes, many[2].bytes) << m.name << "; WAVETILE_SEED=" << seed();
  }
}
// Pairs of k go to dot instructions, and the last one of an odd number by itself.
TYPED_TEST(MatrixUnits, ProductsTooSmallForThem) {
  using In = TypeParam;
  HostTensor a = random_tensor(In::dtype, {17, 21}), b = random_tensor(In::dtype, {21, 70}),
             c = output(DType::f32, {17, 70});
  for (int k : {8, 1}) check(product<In>(), schedule_of({{"m", 8}, {"n", 64}, {"k", k}}, 2), {a, b, c}, summation(21));
}
TYPED_TEST(MatrixUnits, TransposedAndPackedOperands) {
  using In = TypeParam;
  HostTensor a = random_tensor(In::dtype, {40, 72}), b = random_tensor(In::dtype, {72, 50}),
             c = output(DType::f32, {40, 50});
  Schedule s = schedule_of({{"m", 32}, {"n", 32}, {"k", 32}}, 2);
  check(product<In>(), s, {strided(a, {1, 40}), b, c}, summation(72));
  check(product<In>(), s, {a, strided(b, {1, 72}), c}, summation(72));
  check(product<In>(), s, {a, b, strided(c, {1, 40})}, summation(72));
  for (const Packing& p : {Packing{{{0, 8}}}, Packing{{{1, 32}, {0, 8}}}, Packing{{{1, 16}, {0, 2}}, 4}}) {
    s.packing = {{"B", p}};
    check(product<In>(), s, {a, b, c}, summation(72));
    check(product<In>(), s, {a, b, c}, summation(72), {false, Known::all, true});
  }
}

// What lies past the end of k is not read as a factor, whichever operand it is in.
TYPED_TEST(MatrixUnits, NothingPastTheEndOfKCounts) {
  using In = TypeParam;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const int64_t m = 17, n = 19, k = 21, wide = 40;
  HostTensor a = random_tensor(In::dtype, {m, wide}), b = random_tensor(In::dtype, {wide, n});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t at = k; at < wide; ++at) a.set(i * wide + at, nan);
  for (int64_t at = k; at < wide; ++at)
    for (int64_t j = 0; j < n; ++j) b.set(at * n + j, nan);
  // A load outside may read the tensor's first elements instead: infinity there, where it makes an infinity.
  for (int64_t i = 0; i < m; ++i) a.set(i * wide, i == 3 ? std::numeric_limits<double>::infinity() : 0.5);
  for (int64_t j = 0; j < n; ++j) b.set(j, j == 5 ? std::numeric_limits<double>::infinity() : 0.5);
  Kernel clipped("clipped", {"A", "B", "C"}, [=](Tensor<In> A, Tensor<In> B, Tensor<f32> C) {
    Range i = parallel("m", A.dim(0)), j = parallel("n", B.dim(1));
    C(i, j) = fold(serial("k", 21), fill(0, i, j), [=](Range t, Tile acc) { return acc + dot(A(i, t), B(t, j), t); });
  });
  check(clipped, schedule_of({{"m", 16}, {"n", 16}, {"k", 16}}, 2), {a, b, output(DType::f32, {m, n})}, summation(k));
  Kernel whole_k("whole_k", {"A", "B", "C"}, [=](Tensor<In> A, Tensor<In> B, Tensor<f32> C) {
    Range i = parallel("m", A.dim(0)), j = whole("n", B.dim(1)), t = whole("k", 21);
    Tile d = dot(A(i, t), B(t, j), t);
    C(i, j) = d - max(d, j);
  });
  check(whole_k, schedule_of({{"m", 16}}, 2), {a, b, output(DType::f32, {m, n})}, summation(k));
}

// Scores, their softmax and the weighted sum, for extents of a head that are no multiple of anything.
TYPED_TEST(MatrixUnits, OneResultIsTheOperandOfTheNext) {
  using In = TypeParam;
  Kernel k("chain", {"Q", "K", "V", "O"}, [](Tensor<In> Q, Tensor<In> K, Tensor<In> V, Tensor<f32> O) {
    Range m = parallel("m", Q.dim(0)), d = whole("d", Q.dim(1)), e = whole("e", V.dim(1));
    State s =
        fold(serial("t", K.dim(0)), State{fill(-1e30, m), fill(0, m), fill(0, m, e)}, [=](Range t, const State& s) {
          Tile x = where(index(t) < 1000, dot(Q(m, d), K(t, d), d), -1e30);
          Tile top = max(s[0], max(x, t)), w = exp(x - top), keep = exp(s[0] - top);
          return State{top, s[1] * keep + sum(w, t), s[2] * keep + dot(cast<In>(w), V(t, e), t)};
        });
    O(m, e) = s[2] / s[1];
  });
  for (auto [m, t, d, e] : {std::array<int64_t, 4>{32, 32, 64, 24}, {19, 45, 40, 24}, {5, 70, 16, 16}})
    for (int warps : {1, 2}) {
      // A weight is rounded to the factor's type here and there from sums that differ in their last bits.
      Tolerance tol = attention_of(t, 4 * unit_roundoff(In::dtype));
      check(k, schedule_of({{"m", 16}, {"t", 32}}, warps),
            {random_tensor(In::dtype, {m, d}), random_tensor(In::dtype, {t, d}), random_tensor(In::dtype, {t, e}),
             output(DType::f32, {m, e})},
            tol);
    }
}

// Blocks of keys that all rows see, the diagonal, and keys that some rows or none see; loaded ahead, and not.
TYPED_TEST(MatrixUnits, MaskedScores) {
  using In = TypeParam;
  Kernel k("masked", {"Q", "K", "V", "Start", "O"},
           [](Tensor<In> Q, Tensor<In> K, Tensor<In> V, Tensor<i32> Start, Tensor<f32> O) {
             Range n = single("start", Start.dim(0)), m = parallel("m", Q.dim(0));
             Range d = whole("d", Q.dim(1)), e = whole("e", V.dim(1));
             Scalar start = Start(first(n));
             State s = fold(serial("t", K.dim(0)), State{fill(-1e30, n, m), fill(0, n, m), fill(0, n, m, e)},
                            [=](Range t, const State& s) {
                              Tile x = where(index(t) <= index(m) + start, dot(Q(m, d), K(t, d), d), -1e30);
                              Tile top = max(s[0], max(x, t)), w = exp(x - top), keep = exp(s[0] - top);
                              return State{top, s[1] * keep + sum(w, t), s[2] * keep + dot(cast<In>(w), V(t, e), t)};
                            });
             O(n, m, e) = s[2] / s[1];
           });
  const std::vector<double> starts{0, 7, 33, 200, -3, -70};
  const int64_t n = static_cast<int64_t>(starts.size()), m = 45, t = 107, d = 32, e = 24;
  for (int stages : {1, 2}) {
    Schedule s = schedule_of({{"m", 32}, {"t", 32}}, 2);
    s.stages = stages;
    check(k, s,
          {random_tensor(In::dtype, {m, d}), random_tensor(In::dtype, {t, d}), random_tensor(In::dtype, {t, e}),
           tensor_of(DType::i32, {n}, starts), output(DType::f32, {n, m, e})},
          attention_of(t, 4 * unit_roundoff(In::dtype)));
  }
}

}  // namespace
}  // namespace wavetile
