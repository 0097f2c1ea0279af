// Reductions, folds and what is built of them, on every machine.
#include <array>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

template <class T>
Kernel reductions() {
  return Kernel("reductions", {"X", "Sum", "Max", "Min", "Arg"},
                [](Tensor<T> X, Tensor<T> Sum, Tensor<T> Max, Tensor<T> Min, Tensor<i32> Arg) {
                  Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
                  Sum(r) = sum(X(r, c), c);
                  Max(r) = max(X(r, c), c);
                  Min(r) = min(X(r, c), c);
                  Arg(r) = argmax(X(r, c), c);
                });
}
template <class T>
void check_reductions(int64_t rows, int64_t cols, int tile, const HostTensor& x, const Known& known = {}) {
  Schedule s;
  s.tile = {{"row", tile}};
  auto out = [&](DType t) { return output(t, {rows}); };
  check_everywhere(reductions<T>(), s, {x, out(T::dtype), out(T::dtype), out(T::dtype), out(DType::i32)},
                   is_float(T::dtype) ? summation(cols) : exact(), {}, known);
}

class Reductions : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Columns, Reductions, testing::Values(1, 3, 64, 771, 1024, 50257));
TEST_P(Reductions, Floats) { check_reductions<f32>(3, GetParam(), 1, random_tensor(DType::f32, {3, GetParam()})); }
TEST_P(Reductions, RowsTogether) {
  if (GetParam() <= 1024) check_reductions<f32>(7, GetParam(), 4, random_tensor(DType::f32, {7, GetParam()}));
}
TEST_P(Reductions, Integers) {
  if (GetParam() <= 1024) check_reductions<i32>(3, GetParam(), 2, random_tensor(DType::i32, {3, GetParam()}));
}
TEST_P(Reductions, AlongTheOuterDimension) {  // lanes go along the rows
  if (GetParam() > 1024) return;
  HostTensor x = random_tensor(DType::f32, {20, GetParam()});
  check_reductions<f32>(20, GetParam(), 16, strided(x, {1, 20}));
}

Kernel extremes() {
  return Kernel("extremes", {"X", "Max", "Min", "Arg"},
                [](Tensor<f32> X, Tensor<f32> Max, Tensor<f32> Min, Tensor<i32> Arg) {
                  Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
                  Max(r) = max(X(r, c), c);
                  Min(r) = min(X(r, c), c);
                  Arg(r) = argmax(X(r, c), c);
                });
}
TEST(LoweringReduce, NotANumberAndInfinity) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (int64_t cols : {1, 5, 64, 700, 5000}) {
    HostTensor x = random_tensor(DType::f32, {6, cols});
    for (int64_t c = 0; c < cols; ++c) {
      x.set(1 * cols + c, -inf);
      x.set(2 * cols + c, NAN);
      x.set(3 * cols + c, inf);
    }
    x.set(0 * cols + cols / 2, NAN);
    x.set(0 * cols + cols - 1, NAN);
    x.set(4 * cols + cols - 1, inf);
    x.set(5 * cols, -inf);
    check_everywhere(extremes(), {}, {x, output(DType::f32, {6}), output(DType::f32, {6}), output(DType::i32, {6})},
                     exact());
  }
}
TEST(LoweringReduce, ArgmaxTakesTheFirst) {
  for (int64_t cols : {2, 64, 300, 3000}) {
    HostTensor x = random_integers(DType::f32, {5, cols}, 0, 2);
    check_everywhere(extremes(), {}, {x, output(DType::f32, {5}), output(DType::f32, {5}), output(DType::i32, {5})},
                     exact());
  }
}

TEST(LoweringReduce, TwoAxes) {
  Kernel k("two_axes", {"X", "Y", "M"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> M) {
    Range b = parallel("b", X.dim(0)), r = whole("r", X.dim(1)), c = whole("c", X.dim(2));
    Y(b) = sum(sum(X(b, r, c), c), r);
    M(b, c) = mean(X(b, r, c), r) + max(max(X(b, r, c), r), c);
  });
  for (auto [r, c] : {std::array<int64_t, 2>{1, 1}, {3, 5}, {4, 64}, {12, 40}, {16, 16}})
    check_everywhere(k, {}, {random_tensor(DType::f32, {3, r, c}), output(DType::f32, {3}), output(DType::f32, {3, c})},
                     summation(r * c));
}

TEST(LoweringReduce, Softmax) {
  Kernel k("softmax", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Tile e = exp(x - max(x, c));
    Y(r, c) = e / sum(e, c);
  });
  for (int64_t cols : {1, 3, 64, 771, 3000})
    for (int rows : {1, 4}) {
      Schedule s;
      s.tile = {{"row", rows}};
      check_everywhere(k, s, {random_tensor(DType::f32, {5, cols}), output(DType::f32, {5, cols})}, summation(cols));
    }
}

Kernel layernorm_kernel() {
  return Kernel("layernorm", {"X", "G", "B", "Y"},
                [](Tensor<bf16> X, Tensor<f32> G, Tensor<f32> B, Tensor<bf16> Y, Param<f32> eps) {
                  Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
                  Tile x = cast<f32>(X(r, c));
                  Tile d = x - mean(x, c);
                  Y(r, c) = cast<bf16>(d * rsqrt(mean(d * d, c) + eps) * G(c) + B(c));
                });
}
TEST(LoweringReduce, Layernorm) {
  for (int64_t n : {5, 64, 768, 1600}) {
    std::vector<HostTensor> t{random_tensor(DType::bf16, {3, n}), random_tensor(DType::f32, {n}),
                              random_tensor(DType::f32, {n}), output(DType::bf16, {3, n})};
    check_everywhere(layernorm_kernel(), {}, t, summation(n, 4), {1e-5});
  }
}

TEST(LoweringReduce, FoldOverAnUnknownExtent) {
  Kernel k("sums", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> Z) {
    Range r = parallel("r", X.dim(0));
    Y(r) = fold(serial("c", X.dim(1)), fill(0, r), [=](Range c, Tile acc) { return acc + sum(X(r, c), c); });
    State s = fold(serial("d", X.dim(1)), State{fill(-INFINITY, r), fill(0, r)}, [=](Range d, State s) {
      Tile m = max(s[0], max(X(r, d), d));
      return State{m, s[1] * exp(s[0] - m) + sum(exp(X(r, d) - m), d)};
    });
    Z(r) = s[0] + log(s[1]);
  });
  for (int64_t n : {0, 1, 31, 32, 33, 200})
    for (int tile : {1, 8, 32}) {
      Schedule s;
      s.tile = {{"c", tile}, {"d", 32}, {"r", 2}};
      check_everywhere(k, s, {random_tensor(DType::f32, {3, n}), output(DType::f32, {3}), output(DType::f32, {3})},
                       summation(n), {}, {false, Known::innermost, true});
    }
}

TEST(LoweringReduce, FoldWithBoundsFromMemory) {
  Kernel k("bounded", {"X", "From", "To", "Y"}, [](Tensor<f32> X, Tensor<i32> From, Tensor<i32> To, Tensor<f32> Y) {
    Range r = parallel("r", X.dim(0));
    Range t = serial("t", max(From(0), 0), min(To(0), X.dim(1)));
    Y(r) = fold(t, fill(0, r), [=](Range t, Tile acc) { return acc + sum(X(r, t) * cast<f32>(index(t)), t); });
  });
  for (auto [from, to] : {std::array<int, 2>{0, 100}, {3, 77}, {64, 65}, {50, 50}, {60, 20}, {-5, 1000}}) {
    Schedule s;
    s.tile = {{"t", 16}, {"r", 4}};
    check_everywhere(k, s,
                     {random_tensor(DType::f32, {9, 100}), tensor_of(DType::i32, {1}, {double(from)}),
                      tensor_of(DType::i32, {1}, {double(to)}), output(DType::f32, {9})},
                     summation(100, 100), {}, {false, Known::innermost, true});
  }
}

TEST(LoweringReduce, SplitAcrossBlocks) {
  Kernel k("split", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> Z) {
    Range r = parallel("r", X.dim(0));
    Y(r) = fold(serial("c", X.dim(1)), fill(0, r), [=](Range c, Tile acc) { return acc + sum(X(r, c), c); });
    State s = fold(
        serial("d", X.dim(1)), State{fill(-1e30, r), fill(0, r)},
        [=](Range d, State s) {
          Tile m = max(s[0], max(X(r, d), d));
          return State{m, s[1] * exp(s[0] - m) + sum(exp(X(r, d) - m), d)};
        },
        [](State a, State b) {
          Tile m = max(a[0], b[0]);
          return State{m, a[1] * exp(a[0] - m) + b[1] * exp(b[0] - m)};
        });
    Z(r) = s[0] + log(s[1]);
  });
  for (auto [range, parts] : {std::pair<const char*, int>{"c", 5}, {"d", 2}})
    for (int64_t n : {1, 33, 200}) {
      Schedule s;
      s.tile = {{"c", 8}, {"d", 16}, {"r", 2}};
      s.split[range] = parts;
      check_everywhere(k, s, {random_tensor(DType::f32, {3, n}), output(DType::f32, {3}), output(DType::f32, {3})},
                       summation(n), {}, {false, Known::innermost, true});
    }
}

TEST(LoweringReduce, EachStoresInALoop) {
  Kernel k("each", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range r = parallel("r", X.dim(0));
    Tile top =
        fold(serial("c", X.dim(1)), fill(-INFINITY, r), [=](Range c, Tile m) { return max(m, max(X(r, c), c)); });
    each(serial("d", X.dim(1)), [=](Range d) { Y(r, d) = X(r, d) - top; });
  });
  for (int64_t n : {1, 64, 129}) {
    Schedule s;
    s.tile = {{"c", 32}, {"d", 64}, {"r", 2}};
    check_everywhere(k, s, {random_tensor(DType::f32, {5, n}), output(DType::f32, {5, n})}, elementwise(), {},
                     {false, Known::innermost, true});
  }
}

TEST(LoweringReduce, Bools) {
  Kernel k("count", {"X", "N", "Any"}, [](Tensor<f32> X, Tensor<i32> N, Tensor<b1> Any) {
    Range r = parallel("r", X.dim(0)), c = whole("c", X.dim(1));
    Tile positive = X(r, c) > 0.9;
    N(r) = sum(cast<i32>(positive), c);
    Any(r) = max(cast<i32>(positive), c) > 0;
  });
  for (int64_t n : {1, 20, 300})
    check_everywhere(k, {}, {random_tensor(DType::f32, {6, n}), output(DType::i32, {6}), output(DType::b1, {6})},
                     exact());
}

}  // namespace
}  // namespace wavetile
