// The oracle itself, against results that NumPy gave (tests/reference/interpreter.py).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "dsl/dsl.h"
#include "dsl/interpret.h"

namespace wavetile {
namespace {

#include "tests/golden/interpreter.inc"

using Doubles = std::vector<double>;
using Ints = std::vector<int64_t>;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> floats(const Doubles& x) { return {x.begin(), x.end()}; }
std::vector<int32_t> narrow(const Ints& x) { return {x.begin(), x.end()}; }
TensorView view(std::vector<float>& v, std::vector<int64_t> extents = {}) {
  if (extents.empty()) extents = {static_cast<int64_t>(v.size())};
  return dense(DType::f32, v.data(), std::move(extents));
}
TensorView view(std::vector<int32_t>& v) { return dense(DType::i32, v.data(), {static_cast<int64_t>(v.size())}); }
void run(const Kernel& k, std::vector<TensorView> views, std::vector<double> scalars = {},
         const InterpretOptions& o = {}) {
  interpret(k.graph(), views, scalars, o);
}
// Results are f32: within one unit in the last place, the same special values, the same sign of zero if asked.
void expect_like(const std::vector<float>& got, const Doubles& want, bool signs = false) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    auto w = static_cast<float>(want[i]);
    bool same = std::isnan(w)   ? std::isnan(got[i])
                : std::isinf(w) ? got[i] == w
                                : std::abs(got[i] - w) <= std::abs(w) * 0x1p-23 + 0x1p-149;
    if (signs && w == 0) same &= std::signbit(got[i]) == std::signbit(w);
    EXPECT_TRUE(same) << "element " << i << " is " << got[i] << ", not " << w;
  }
}
void expect_equal(const std::vector<int32_t>& got, const Ints& want) { EXPECT_EQ(Ints(got.begin(), got.end()), want); }

template <class F>
std::vector<float> unary(F f) {
  Kernel k("unary", [&](Tensor<f32> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = f(X(i));
  });
  std::vector<float> x = floats(edges), y(x.size(), nan);
  run(k, {view(x), view(y)}, {}, {{{"i", 5}}, {}});
  return y;
}
TEST(Interpreter, UnaryFunctions) {
  using T = const Arg&;
  expect_like(unary([](T x) { return abs(x); }), unary_abs, true);
  expect_like(unary([](T x) { return -x; }), unary_neg, true);
  expect_like(unary([](T x) { return exp(x); }), unary_exp, true);
  expect_like(unary([](T x) { return exp2(x); }), unary_exp2, true);
  expect_like(unary([](T x) { return log(x); }), unary_log, true);
  expect_like(unary([](T x) { return sqrt(x); }), unary_sqrt, true);
  expect_like(unary([](T x) { return rsqrt(x); }), unary_rsqrt, true);
  expect_like(unary([](T x) { return tanh(x); }), unary_tanh, true);
  expect_like(unary([](T x) { return sin(x); }), unary_sin, true);
  expect_like(unary([](T x) { return cos(x); }), unary_cos, true);
  expect_like(unary([](T x) { return floor(x); }), unary_floor, true);
  expect_like(unary([](T x) { return round(x); }), unary_round, true);
}

template <class F>
std::vector<float> binary(F f) {
  Kernel k("binary", [&](Tensor<f32> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0)), j = parallel("j", X.dim(0));
    Y(i, j) = f(X(i), X(j));
  });
  std::vector<float> x = floats(few_edges), y(x.size() * x.size(), nan);
  auto n = static_cast<int64_t>(x.size());
  run(k, {view(x), view(y, {n, n})}, {}, {{{"i", 5}}, {}});
  return y;
}
TEST(Interpreter, BinaryFunctions) {
  using T = const Arg&;
  expect_like(binary([](T a, T b) { return a + b; }), binary_add);
  expect_like(binary([](T a, T b) { return a - b; }), binary_sub);
  expect_like(binary([](T a, T b) { return a * b; }), binary_mul, true);
  expect_like(binary([](T a, T b) { return a / b; }), binary_div, true);
  expect_like(binary([](T a, T b) { return min(a, b); }), binary_min);
  expect_like(binary([](T a, T b) { return max(a, b); }), binary_max);
  expect_like(binary([](T a, T b) { return cast<f32>(a < b); }), binary_lt);
  expect_like(binary([](T a, T b) { return cast<f32>(a <= b); }), binary_le);
  expect_like(binary([](T a, T b) { return cast<f32>(b > a); }), binary_lt);
  expect_like(binary([](T a, T b) { return cast<f32>(b >= a); }), binary_le);
  expect_like(binary([](T a, T b) { return cast<f32>(a == b); }), binary_eq);
  expect_like(binary([](T a, T b) { return where(a != b, 1, 0); }), binary_ne);
  expect_like(binary([](T a, T b) { return mad(a, b, 0.3125); }), mad_results);
}

template <class F>
std::vector<int32_t> integers(F f) {
  Kernel k("integers", [&](Tensor<i32> X, Tensor<i32> Y) {
    Range i = parallel("i", X.dim(0)), j = parallel("j", X.dim(0));
    Y(i, j) = f(X(i), X(j));
  });
  std::vector<int32_t> x = narrow(int_edges), y(x.size() * x.size());
  auto n = static_cast<int64_t>(x.size());
  run(k, {view(x), dense(DType::i32, y.data(), {n, n})});
  return y;
}
TEST(Interpreter, IntegersWrap) {
  using T = const Arg&;
  expect_equal(integers([](T a, T b) { return a + b; }), int_add);
  expect_equal(integers([](T a, T b) { return a - b; }), int_sub);
  expect_equal(integers([](T a, T b) { return a * b; }), int_mul);
  expect_equal(integers([](T a, T b) { return a / b; }), int_idiv);
  expect_equal(integers([](T a, T b) { return a % b; }), int_imod);
  expect_equal(integers([](T a, T b) { return a << b; }), int_shl);
  expect_equal(integers([](T a, T b) { return a >> b; }), int_shr);
  expect_equal(integers([](T a, T b) { return a & b; }), int_bit_and);
  expect_equal(integers([](T a, T b) { return a | b; }), int_bit_or);
  expect_equal(integers([](T a, T b) { return a ^ b; }), int_bit_xor);
  expect_equal(integers([](T a, T b) { return min(a, b); }), int_min);
  expect_equal(integers([](T a, T b) { return max(a, b); }), int_max);
  Kernel k("unary", [](Tensor<i32> X, Tensor<i32> A, Tensor<i32> N) {
    Range i = parallel("i", X.dim(0));
    A(i) = abs(X(i));
    N(i) = -X(i);
  });
  std::vector<int32_t> x = narrow(int_edges), a(x.size()), n(x.size());
  run(k, {view(x), view(a), view(n)});
  expect_equal(a, int_abs);
  expect_equal(n, int_neg);
}

// The sum of two f32 is made in double, cast, and stored as what it was cast to.
template <class To, class Element>
std::vector<Element> cast_sums() {
  Kernel k("cast", [](Tensor<f32> A, Tensor<f32> B, Tensor<To> Y) {
    Range i = parallel("i", A.dim(0));
    Y(i) = cast<To>(A(i) + B(i));
  });
  std::vector<float> a = floats(cast_base), b = floats(cast_tiny);
  std::vector<Element> y(a.size());
  run(k, {view(a), view(b), dense(To::dtype, y.data(), {static_cast<int64_t>(y.size())})});
  return y;
}
template <class List, class F>
auto mapped(const List& list, F f) {
  std::vector<decltype(f(list[0]))> v;
  for (auto x : list) v.push_back(f(x));
  return v;
}
TEST(Interpreter, CastsRoundOnce) {
  auto exactly = [](const std::vector<float>& got, const Doubles& want) {
    for (size_t i = 0; i < want.size(); ++i) {
      if (std::isnan(want[i])) {
        EXPECT_TRUE(std::isnan(got[i]));
      } else {
        EXPECT_EQ(got[i], static_cast<float>(want[i])) << "element " << i;
      }
    }
  };
  exactly(cast_sums<f32, float>(), cast_f32);
  exactly(mapped(cast_sums<f16, uint16_t>(), from_f16), cast_f16);
  exactly(mapped(cast_sums<bf16, uint16_t>(), from_bf16), cast_bf16);
}
TEST(Interpreter, CastsToIntegersTruncateAndSaturate) {
  auto wide = [](auto x) { return int64_t{x}; };
  EXPECT_EQ(mapped(cast_sums<i32, int32_t>(), wide), cast_i32);
  EXPECT_EQ(mapped(cast_sums<i8, int8_t>(), wide), cast_i8);
  EXPECT_EQ(mapped(cast_sums<u8, uint8_t>(), wide), cast_u8);
  EXPECT_EQ(mapped(cast_sums<b1, uint8_t>(), wide), cast_b1);
}
TEST(Interpreter, CastsOfIntegers) {
  Kernel k("casts", [](Tensor<i32> X, Tensor<i8> A, Tensor<u8> B, Tensor<f32> C, Tensor<b1> D, Tensor<i32> E) {
    Range i = parallel("i", X.dim(0));
    A(i) = X(i);
    B(i) = X(i);
    C(i) = cast<f32>(X(i));
    D(i) = X(i) > 0;
    E(i) = cast<i32>(D(i)) + A(i) - B(i);
  });
  std::vector<int32_t> x = narrow(int_edges), e(x.size());
  std::vector<int8_t> a(x.size());
  std::vector<uint8_t> b(x.size()), d(x.size());
  std::vector<float> c(x.size());
  auto n = static_cast<int64_t>(x.size());
  run(k, {view(x), dense(DType::i8, a.data(), {n}), dense(DType::u8, b.data(), {n}), view(c),
          dense(DType::b1, d.data(), {n}), view(e)});
  EXPECT_EQ(Ints(a.begin(), a.end()), narrow_i8);
  EXPECT_EQ(Ints(b.begin(), b.end()), narrow_u8);
  expect_like(c, int_to_f32);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(e[i], (x[i] > 0) + a[i] - b[i]);
}
TEST(Interpreter, Bitcasts) {
  Kernel k("bits", [](Tensor<f32> X, Tensor<i32> I, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0));
    I(i) = bitcast<i32>(X(i));
    Y(i) = bitcast<f32>(bitcast<i32>(X(i)));
  });
  std::vector<float> x = floats(edges), y(x.size());
  std::vector<int32_t> bits(x.size());
  run(k, {view(x), view(bits), view(y)});
  expect_equal(bits, cast_bits);
  EXPECT_EQ(std::memcmp(x.data(), y.data(), x.size() * 4), 0);
}

std::string axis_name(int d) { return std::string(1, static_cast<char>('a' + d)); }

// Reduces the axis-th axis of a 3x5x7 tensor.
template <class F>
void reduce_cube(const Doubles& cube, int axis, std::vector<float>& y, std::vector<int32_t>& at, F f) {
  Kernel k("reduce", [&](Tensor<f32> X, Tensor<f32> Y, Tensor<i32> At) {
    Range r[3];
    for (int d = 0; d < 3; ++d) r[d] = d == axis ? whole(axis_name(d), X.dim(d)) : parallel(axis_name(d), X.dim(d));
    Range a = r[axis == 0 ? 1 : 0], b = r[axis == 2 ? 1 : 2];
    Tile x = X(r[0], r[1], r[2]);
    Y(a, b) = f(x, r[axis]);
    At(a, b) = argmax(x, r[axis]);
  });
  std::vector<float> x = floats(cube);
  int64_t a = axis == 0 ? 5 : 3, b = axis == 2 ? 5 : 7;
  y.assign(static_cast<size_t>(a * b), nan);
  at.assign(y.size(), -1);
  run(k, {view(x, {3, 5, 7}), view(y, {a, b}), dense(DType::i32, at.data(), {a, b})}, {},
      {{{axis_name((axis + 1) % 3), 2}}, {}});
}
TEST(Interpreter, Reductions) {
  struct Case {
    const Doubles &cube, &sum, &max, &min, &argmax;
    int axis;
  };
  const Case cases[] = {{cube, sum_0, max_0, min_0, argmax_0, 0},
                        {cube, sum_1, max_1, min_1, argmax_1, 1},
                        {cube, sum_2, max_2, min_2, argmax_2, 2},
                        {special_cube, special_sum_0, special_max_0, special_min_0, special_argmax_0, 0},
                        {special_cube, special_sum_1, special_max_1, special_min_1, special_argmax_1, 1},
                        {special_cube, special_sum_2, special_max_2, special_min_2, special_argmax_2, 2}};
  std::vector<float> y;
  std::vector<int32_t> at;
  for (const Case& c : cases) {
    reduce_cube(c.cube, c.axis, y, at, [](Tile x, Range r) { return sum(x, r); });
    expect_like(y, c.sum);
    EXPECT_EQ(Doubles(at.begin(), at.end()), c.argmax) << "axis " << c.axis;  // ties, NaN: the first one
    reduce_cube(c.cube, c.axis, y, at, [](Tile x, Range r) { return max(x, r); });
    expect_like(y, c.max);
    reduce_cube(c.cube, c.axis, y, at, [](Tile x, Range r) { return min(x, r); });
    expect_like(y, c.min);
  }
}
TEST(Interpreter, ReductionsOfIntegers) {
  Kernel k("reduce", [](Tensor<i32> X, Tensor<i32> Y) {
    Range i = whole("i", X.dim(0));
    Tile x = X(i);
    Y(0) = sum(x, i);
    Y(1) = max(x, i);
    Y(2) = min(x, i);
    Y(3) = argmax(x, i);
  });
  std::vector<int32_t> x = narrow(int_edges), y(4);
  run(k, {view(x), view(y)});
  uint32_t total = 0;
  for (int32_t e : x) total += static_cast<uint32_t>(e);
  EXPECT_EQ(y, (std::vector<int32_t>{static_cast<int32_t>(total), 2147483647, -2147483647 - 1, 5}));
}

TEST(Interpreter, DotsWithSeveralAxes) {
  Kernel k("dots", [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> Batched, Tensor<f32> Shared, Tensor<f32> Outer) {
    Range b = parallel("b", A.dim(0)), m = parallel("m", A.dim(1)), c = parallel("c", A.dim(0)),
          n = parallel("n", B.dim(2));
    Range k = whole("k", A.dim(2));
    Batched(b, m, n) = dot(A(b, m, k), B(b, k, n), k);
    Shared(b, m) = dot(A(b, m, k), A(b, m, k), k);
    Outer(b, c, m, n) = dot(B(c, k, n), A(b, m, k), k);
  });
  std::vector<float> a = floats(left), b = floats(right), x(30, nan), y(10, nan), z(60, nan);
  run(k, {view(a, {2, 5, 70}), view(b, {2, 70, 3}), view(x, {2, 5, 3}), view(y, {2, 5}), view(z, {2, 2, 5, 3})}, {},
      {{{"m", 2}, {"b", 1}}, {}});
  expect_like(x, batched);
  expect_like(y, shared);
  expect_like(z, outer);
}
TEST(Interpreter, DotOfBytes) {
  Kernel k("dot", [](Tensor<i8> A, Tensor<i8> B, Tensor<i32> Y) {
    Range k = whole("k", A.dim(0));
    Y(0) = dot(A(k), B(k), k);
  });
  int8_t a[] = {-128, 127, 3}, b[] = {-128, 127, -4};
  std::vector<int32_t> y(1);
  run(k, {dense(DType::i8, a, {3}), dense(DType::i8, b, {3}), view(y)});
  EXPECT_EQ(y[0], 16384 + 16129 - 12);
}

TEST(Interpreter, FoldsInAnyBlocksAndParts) {
  Kernel k("sums", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> Z) {
    Range r = parallel("row", X.dim(0)), c = serial("col", X.dim(1));
    Y(r) = fold(c, fill(0, r), [=](Range j, Tile acc) { return acc + sum(X(r, j), j); });
    auto larger = [](Tile a, Tile b) { return max(a, b); };
    Z(r) = fold(
        c, fill(-INFINITY, r), [=](Range j, Tile top) { return max(top, max(X(r, j), j)); }, larger);
  });
  std::vector<float> x = floats(rows);
  Doubles tops;
  for (size_t r = 0; r < 4; ++r) tops.push_back(*std::max_element(rows.begin() + 70 * r, rows.begin() + 70 * (r + 1)));
  for (int tile : {1, 3, 64, 70, 100})
    for (int split : {1, 2, 7, 100}) {
      std::vector<float> y(4, nan), z(4, nan);
      run(k, {view(x, {4, 70}), view(y), view(z)}, {}, {{{"col", tile}, {"row", 3}}, {{"col", split}}});
      expect_like(y, row_sums);
      expect_like(z, tops);
    }
}
TEST(Interpreter, SoftmaxAndLayerNorm) {
  Kernel k("rows", [](Tensor<f32> X, Tensor<f32> S, Tensor<f32> L) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Tile e = exp(x - max(x, c));
    S(r, c) = e / sum(e, c);
    Tile d = x - mean(x, c);
    L(r, c) = d / sqrt(mean(d * d, c) + 1e-5);
  });
  std::vector<float> x = floats(rows), s(280, nan), l(280, nan);
  run(k, {view(x, {4, 70}), view(s, {4, 70}), view(l, {4, 70})});
  expect_like(s, softmax);
  expect_like(l, layernorm);
}
TEST(Interpreter, CausalAttention) {
  Kernel k("attention", [](Tensor<f32> Q, Tensor<f32> K, Tensor<f32> V, Tensor<f32> O) {
    Range q = parallel("q", Q.dim(0)), t = whole("t", K.dim(0)), d = whole("d", Q.dim(1)), e = whole("e", V.dim(1));
    Tile s = where(index(t) <= index(q), dot(Q(q, d), K(t, d), d) / sqrt(cast<f32>(Q.dim(1))), -INFINITY);
    Tile p = exp(s - max(s, t));
    O(q, e) = dot(p / sum(p, t), V(t, e), t);
  });
  std::vector<float> q = floats(attention_q), key = floats(attention_k), v = floats(attention_v), o(37 * 8, nan);
  for (int tile : {1, 16}) {
    run(k, {view(q, {37, 8}), view(key, {37, 8}), view(v, {37, 8}), view(o, {37, 8})}, {}, {{{"q", tile}}, {}});
    expect_like(o, attention);
  }
}

TEST(Interpreter, GatherAndScatterOutOfRange) {
  Kernel k("gather", [](Tensor<f32> X, Tensor<i32> At, Tensor<f32> G, Tensor<f32> S) {
    Range i = parallel("i", At.dim(0)), c = parallel("col", X.dim(1));
    Tile at = At(i);
    G(i, c) = X(at, c);
    S(at, c) = cast<f32>(index(i));
  });
  std::vector<float> x = floats(rows), g(8 * 70, nan), s(280, -5);
  std::vector<int32_t> at = narrow(picks);
  run(k, {view(x, {4, 70}), view(at), view(g, {8, 70}), view(s, {4, 70})}, {}, {{{"i", 3}}, {}});
  expect_like(g, gathered);
  expect_like(s, scattered);
}
TEST(Interpreter, StridedAndOffsetViews) {
  Kernel k("copy", [](Tensor<f32> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0)), j = parallel("j", X.dim(1));
    Y(i, j) = X(i, j);
  });
  std::vector<float> x = floats(rows), y(24 * 5, -1);
  TensorView from{DType::f32, x.data() + 69, {24, 4}, {-3, 70}}, to{DType::f32, y.data(), {24, 4}, {5, 1}};
  run(k, {from, to});
  std::vector<float> dense_y;
  for (size_t i = 0; i < y.size(); ++i) {
    if (i % 5 == 4) {
      EXPECT_EQ(y[i], -1) << "written between the rows";
    } else {
      dense_y.push_back(y[i]);
    }
  }
  expect_like(dense_y, viewed);
}
TEST(Interpreter, ZeroExtents) {
  Kernel k(
      "reduce", {"X", "Sum", "Top", "Total"}, [](Tensor<f32> X, Tensor<f32> Sum, Tensor<f32> Top, Tensor<f32> Total) {
        Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
        Sum(r) = sum(X(r, c), c);
        Top(r) = max(X(r, c), c);
        Total(r) = fold(serial("k", X.dim(1)), fill(7, r), [=](Range k, Tile acc) { return acc + sum(X(r, k), k); });
      });
  std::vector<float> sum(3, nan), top(3, nan), total(3, nan);
  run(k, {view(sum, {3, 0}), view(sum), view(top), view(total)});
  expect_like(sum, {0, 0, 0});
  expect_like(top, {-INFINITY, -INFINITY, -INFINITY});
  expect_like(total, {7, 7, 7});
  std::vector<float> none;
  run(k, {view(none, {0, 4}), view(none, {0}), view(none, {0}), view(none, {0})});  // no rows: nothing happens
}
TEST(Interpreter, BoundsOfRanges) {
  // Row r sums its elements from first(r)'s block on up to a length read from memory.
  Kernel k("window", {"X", "N", "Y", "F"}, [](Tensor<f32> X, Tensor<i32> N, Tensor<f32> Y, Tensor<i32> F) {
    Range r = parallel("row", X.dim(0));
    Scalar end = min(N(0), X.dim(1));
    Y(r) = fold(serial("k", first(r), end), fill(0, r), [=](Range k, Tile acc) { return acc + sum(X(r, k), k); });
    F(r) = last(r) - first(r) + 0 * index(r);
  });
  std::vector<float> x(5 * 6, 1), y(5, nan);
  std::vector<int32_t> n{100}, f(5);
  auto go = [&] { run(k, {view(x, {5, 6}), view(n), view(y), view(f)}, {}, {{{"row", 2}, {"k", 4}}, {}}); };
  go();
  EXPECT_EQ(y, (std::vector<float>{6, 6, 4, 4, 2}));
  EXPECT_EQ(f, (std::vector<int32_t>{1, 1, 1, 1, 0}));
  n[0] = 3;
  go();
  EXPECT_EQ(y, (std::vector<float>{3, 3, 1, 1, 0}));  // the last rows begin after the end: no block
}
TEST(Interpreter, ScalarsConstantsAndNarrowTensors) {
  Kernel k("axpy", {"X", "Y", "a"}, [](Tensor<f16> X, Tensor<bf16> Y, Param<f32> a) {
    Range i = parallel("i", X.dim(0));
    Y(i) = X(i) * a + 0.1;
  });
  std::vector<uint16_t> x{to_f16(1.5f), to_f16(-2.0f), 0x7c00, 0x7e00}, y(4);
  run(k, {dense(DType::f16, x.data(), {4}), dense(DType::bf16, y.data(), {4})}, {0.3});
  EXPECT_EQ(y[0], to_bf16(1.5f * 0.3f + 0.1f));
  EXPECT_EQ(y[1], to_bf16(-2.0f * 0.3f + 0.1f));
  EXPECT_EQ(from_bf16(y[2]), INFINITY);
  EXPECT_TRUE(std::isnan(from_bf16(y[3])));
}
TEST(Interpreter, MergesRunOnceAPart) {
  // Without a merge a fold is never split; with one, parts count from the initial value.
  for (bool merge : {false, true}) {
    Kernel k("blocks", {"X", "Y"}, [&](Tensor<f32> X, Tensor<f32> Y) {
      Range c = serial("k", X.dim(0));
      auto body = [](Range, Tile n) { return n + 1; };
      if (merge)
        Y(0) = fold(c, fill(10), body, [](Tile a, Tile b) { return a + b + 1000; });
      else
        Y(0) = fold(c, fill(10), body);
    });
    std::vector<float> x(12), y(1);
    run(k, {view(x), view(y)}, {}, {{{"k", 2}}, {{"k", 3}}});
    EXPECT_EQ(y[0], merge ? 6 + 3 * 10 + 2 * 1000 : 16);
  }
}

}  // namespace
}  // namespace wavetile
