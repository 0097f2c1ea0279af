// Elementwise kernels on every machine: each function of dsl/functions.def, casts, broadcasts, shapes and strides.
#include <array>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double int_min = INT32_MIN, int_max = INT32_MAX;

// Every pair of the values, then random ones up to a count that leaves a tail in any block.
std::array<HostTensor, 2> pairs(DType t, const std::vector<double>& values, double scale) {
  auto n = static_cast<int64_t>(values.size());
  std::array<HostTensor, 2> p{random_tensor(t, {n * n + 37}, scale), random_tensor(t, {n * n + 37}, scale)};
  for (int64_t i = 0; i < n * n; ++i) {
    p[0].set(i, values[static_cast<size_t>(i / n)]);
    p[1].set(i, values[static_cast<size_t>(i % n)]);
  }
  return p;
}

TEST(LoweringElementwise, RealFunctions) {
  static constexpr Fn unary[] = {Fn::neg,   Fn::abs,  Fn::exp, Fn::exp2, Fn::log,   Fn::sqrt,
                                 Fn::rsqrt, Fn::tanh, Fn::sin, Fn::cos,  Fn::floor, Fn::round};
  static constexpr Fn binary[] = {Fn::add, Fn::sub, Fn::mul, Fn::div, Fn::min, Fn::max};
  Kernel k("real", {"A", "B", "Y"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> Y) {
    Range i = parallel("i", A.dim(0));
    int row = 0;
    for (Fn f : unary) Y(row++, i) = map(f, {A(i)});
    for (Fn f : binary) Y(row++, i) = map(f, {A(i), B(i)});
    Y(row++, i) = mad(A(i), B(i), A(i) * 0.5);
    Y(row++, i) = where(A(i) < B(i), A(i), B(i) + 1);
  });
  auto [a, b] = pairs(
      DType::f32,
      {0, -0.0, 1, -1, 0.5, 1.5, 2.5, inf, -inf, NAN, 1e-40, -0x1p-149, 3.4e38, 88.7, -103.9, 1e-3, 127.5, -149.5}, 20);
  check_everywhere(k, {}, {a, b, output(DType::f32, {20, a.extents[0]})}, elementwise());
}

TEST(LoweringElementwise, TensorsThatNothingAccesses) {
  Kernel k("spared", {"First", "X", "Size", "Y", "Last"},
           [](Tensor<f32>, Tensor<f32> X, Tensor<f32> Size, Tensor<f32> Y, Tensor<f32>, Param<f32> scale) {
             Range i = parallel("i", Size.dim(1));
             Y(i) = X(i) * scale;
           });
  const HostTensor any = random_tensor(DType::f32, {7, 3});
  for (const Known& known : {Known{}, Known{.extents = false, .strides = Known::innermost}})
    check_everywhere(k, {},
                     {any, random_tensor(DType::f32, {90}), random_tensor(DType::f32, {2, 77}),
                      output(DType::f32, {90}), any},
                     exact(), {3}, known);
}

TEST(LoweringElementwise, Comparisons) {
  Kernel k("compare", {"A", "B", "Y"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<b1> Y) {
    Range i = parallel("i", A.dim(0));
    Y(0, i) = A(i) < B(i);
    Y(1, i) = A(i) <= B(i);
    Y(2, i) = A(i) == B(i);
    Y(3, i) = A(i) != B(i);
    Y(4, i) = A(i) > B(i);
    Y(5, i) = A(i) >= B(i);
    Y(6, i) = (A(i) < B(i)) & (A(i) != 0);
    Y(7, i) = (A(i) < B(i)) | (A(i) == 0);
    Y(8, i) = (A(i) < B(i)) ^ (B(i) == 1);
  });
  auto [a, b] = pairs(DType::f32, {0, -0.0, 1, -1, inf, -inf, NAN, 1e-40}, 2);
  check_everywhere(k, {}, {a, b, output(DType::b1, {9, a.extents[0]})}, exact());
}

TEST(LoweringElementwise, Integers) {
  static constexpr Fn binary[] = {Fn::add,  Fn::sub, Fn::mul, Fn::min,     Fn::max,    Fn::idiv,
                                  Fn::imod, Fn::shl, Fn::shr, Fn::bit_and, Fn::bit_or, Fn::bit_xor};
  Kernel k("integers", {"A", "B", "Y", "Z"}, [](Tensor<i32> A, Tensor<i32> B, Tensor<i32> Y, Tensor<b1> Z) {
    Range i = parallel("i", A.dim(0));
    int row = 0;
    for (Fn f : binary) Y(row++, i) = map(f, {A(i), B(i)});
    Y(row++, i) = -A(i);
    Y(row++, i) = abs(A(i));
    Y(row++, i) = where(A(i) < B(i), A(i), 7);
    Z(0, i) = A(i) < B(i);
    Z(1, i) = A(i) <= B(i);
    Z(2, i) = A(i) == B(i);
    Z(3, i) = A(i) != B(i);
  });
  auto [a, b] = pairs(DType::i32, {0, 1, -1, 2, 31, 32, 33, -32, 7, -7, int_min, int_max, int_min + 1}, 1);
  check_everywhere(k, {}, {a, b, output(DType::i32, {15, a.extents[0]}), output(DType::b1, {4, a.extents[0]})},
                   exact());
}

template <class From>
void check_casts(const std::vector<double>& values) {
  Kernel k("casts", {"X", "F", "H", "B", "I", "S", "U", "P"},
           [](Tensor<From> X, Tensor<f32> F, Tensor<f16> H, Tensor<bf16> B, Tensor<i32> I, Tensor<i8> S, Tensor<u8> U,
              Tensor<b1> P) {
             Range i = parallel("i", X.dim(0));
             F(i) = cast<f32>(X(i));
             H(i) = cast<f16>(X(i));
             B(i) = cast<bf16>(X(i));
             I(i) = cast<i32>(X(i));
             S(i) = cast<i8>(X(i));
             U(i) = cast<u8>(X(i));
             P(i) = cast<b1>(X(i));
           });
  auto [x, unused] = pairs(From::dtype, values, 300);
  int64_t n = x.extents[0];
  std::vector<HostTensor> tensors{x};
  for (DType t : {DType::f32, DType::f16, DType::bf16, DType::i32, DType::i8, DType::u8, DType::b1})
    tensors.push_back(output(t, {n}));
  check_everywhere(k, {}, tensors, exact());
}
TEST(LoweringElementwise, CastsFromFloats) {
  std::vector<double> values{
      0,          -0.0,          0.5,  -0.5, 1.5,   2.5,     127.5,      128,        -128.9,  255.9,   256,
      -1,         inf,           -inf, NAN,  65504, 65519.9, 65520.1,    1e-8,       6e-8,    -1e-40,  2147483520,
      2147483648, -2147483648.0, 3e9,  -3e9, 1e38,  3.4e38,  1.00390625, 1.01171875, 0x1p-14, 0x1p-25, 0x1.8p-25};
  check_casts<f32>(values);
  check_casts<f16>(values);
  check_casts<bf16>(values);
}
TEST(LoweringElementwise, CastsFromIntegers) {
  check_casts<i32>({0, 1, -1, 127, 128, -128, -129, 255, 256, 16777217, 65519, 65520, 65535, int_max, int_min});
  check_casts<i8>({0, 1, -1, 127, -128});
  check_casts<u8>({0, 1, 127, 128, 255});
  check_casts<b1>({0, 1});
}

TEST(LoweringElementwise, Bitcasts) {
  Kernel k("bits", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<i32> Y, Tensor<f32> Z) {
    Range i = parallel("i", X.dim(0));
    Y(i) = bitcast<i32>(X(i)) & 0x7f800000;
    Z(i) = bitcast<f32>(bitcast<i32>(X(i)) ^ 0x400000);
  });
  HostTensor x = random_tensor(DType::f32, {301}, 1e3, Values::edges);
  check_everywhere(k, {}, {x, output(DType::i32, {301}), output(DType::f32, {301})}, exact());
}

Kernel broadcast_kernel() {
  return Kernel("broadcast", {"X", "Row", "Col", "Y"},
                [](Tensor<f32> X, Tensor<bf16> Row, Tensor<f16> Col, Tensor<bf16> Y, Param<f32> a, Param<i32> n) {
                  Range r = parallel("r", X.dim(0)), c = parallel("c", X.dim(1));
                  Y(r, c) = cast<bf16>((X(r, c) + Row(c)) * a + Col(r) * cast<f32>(index(r) * n - index(c)));
                });
}

TEST(LoweringElementwise, BroadcastsScalarsAndCoordinates) {
  Kernel k = broadcast_kernel();
  for (auto [m, n] : {std::array<int64_t, 2>{1, 1}, {5, 70}, {16, 128}, {3, 257}}) {
    std::vector<HostTensor> t{random_tensor(DType::f32, {m, n}), random_tensor(DType::bf16, {n}),
                              random_tensor(DType::f16, {m}), output(DType::bf16, {m, n})};
    for (bool known : {true, false})
      check_everywhere(k, {.tile = {{"r", 2}}}, t, {1e-6, 1e-4}, {0.75, 3},
                       {known, known ? Known::all : Known::innermost, known});
  }
}

TEST(LoweringElementwise, StridesAndOffsets) {
  Kernel k = broadcast_kernel();
  int64_t m = 6, n = 130;
  HostTensor x = random_tensor(DType::f32, {m, n}), row = random_tensor(DType::bf16, {n}),
             col = random_tensor(DType::f16, {m}), y = output(DType::bf16, {m, n});
  Tolerance e{1e-6, 1e-4};
  for (auto strides : {Known::all, Known::innermost, Known::none}) {
    Known known{false, strides, true};
    check_everywhere(k, {.tile = {{"r", 2}}}, {strided(x, {133, 1}, 1), row, col, strided(y, {160, 1}, 3)}, e, {2, 1},
                     known);
    check_everywhere(k, {.tile = {{"r", 4}}},
                     {strided(x, {1, 7}), strided(row, {3}, 2), strided(col, {2}), strided(y, {1, 6})}, e, {2, 1},
                     known);
    check_everywhere(k, {.tile = {{"r", 1}, {"c", 64}}},
                     {strided(x, {0, 2}, 5), strided(row, {0}), col, strided(y, {300, 2})}, e, {2, 1}, known);
  }
}

TEST(LoweringElementwise, EmptyTensors) {
  Kernel k = broadcast_kernel();
  for (auto [m, n] : {std::array<int64_t, 2>{0, 5}, {5, 0}, {0, 0}})
    check_everywhere(k, {},
                     {random_tensor(DType::f32, {m, n}), random_tensor(DType::bf16, {n}),
                      random_tensor(DType::f16, {m}), output(DType::bf16, {m, n})},
                     exact(), {1, 1}, {false, Known::innermost, true});
}

TEST(LoweringElementwise, WalkOrders) {
  Kernel k("walk", {"X", "Y"}, [](Tensor<i32> X, Tensor<i32> Y) {
    Range a = parallel("a", X.dim(0)), b = parallel("b", X.dim(1)), c = parallel("c", X.dim(2));
    Y(a, b, c) = X(a, b, c) + first(b) * 1000 + last(c) * 100000;
  });
  for (std::vector<Walk> order : {std::vector<Walk>{},
                                  {{"b", 0}},
                                  {{"c", 0}, {"a", 0}},
                                  {{"a", 2}, {"c", 0}, {"b", 0}},
                                  {{"b", 3}, {"a", 2}, {"c", 2}},
                                  {{"a", 4}, {"a", 2}, {"b", 0}}})
    for (int tile : {1, 8}) {
      Schedule s;
      s.tile = {{"a", 1}, {"b", 2}, {"c", tile}};
      s.order = order;
      check_everywhere(k, s, {random_tensor(DType::i32, {5, 7, 11}), output(DType::i32, {5, 7, 11})}, exact(), {},
                       {false, Known::all, true});
    }
}

TEST(LoweringElementwise, InPlace) {
  Kernel k("in_place", {"X", "Y"}, [](Tensor<f32> X, Tensor<bf16> Y) {
    Range r = parallel("r", X.dim(0)), c = whole("c", X.dim(1));
    X(r, c) += Y(r, c);
    Y(r, c) = cast<bf16>(X(r, c) * 2);
    X(r, c) = X(r, c) - sum(X(r, c), c);
  });
  for (int64_t n : {1, 40, 64, 1000})
    check_everywhere(k, {}, {random_tensor(DType::f32, {4, n}), random_tensor(DType::bf16, {4, n})}, summation(n, 2));
}

}  // namespace
}  // namespace wavetile
