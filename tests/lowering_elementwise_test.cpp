// Elementwise kernels on every machine: each function of dsl/functions.def, casts, broadcasts, shapes and strides.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <functional>
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
    check_everywhere(
        k, {},
        {any, random_tensor(DType::f32, {90}), random_tensor(DType::f32, {2, 77}), output(DType::f32, {90}), any},
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

// Copies a tensor in the host's memory, on all machines that reach it; `clear` is called before, `check` after.
void copy_rows(const TensorView& x, const TensorView& y, const std::function<void()>& clear,
               const std::function<void()>& check) {
  Kernel k("copy_rows", {"X", "Y"}, [](Tensor<bf16> X, Tensor<bf16> Y) {
    Range r = parallel("r", X.dim(0)), c = parallel("c", X.dim(1));
    Y(r, c) = X(r, c);
  });
  const std::vector<TensorView> views{x, y};
  std::vector<int64_t> slots;
  for (const TensorView& v : views) {
    slots.push_back(reinterpret_cast<intptr_t>(v.data));
    slots.insert(slots.end(), v.extents.begin(), v.extents.end());
    slots.insert(slots.end(), v.strides.begin(), v.strides.end());
  }
  for (const Machine& m : machines()) {
    if (m.device) continue;
    SCOPED_TRACE(m.name);
    const CompiledKernel compiled = compile(k, signature_of(views), {.tile = {{"r", 16}, {"c", 1}}}, *m.target);
    const std::unique_ptr<Code> code = load_code(compiled.object);
    const Stage& s = compiled.stages[0];
    const int64_t grid = grid_of(s, views, {});
    clear();
    if (m.run)
      m.run(*code, s, slots.data(), grid);
    else
      reinterpret_cast<CpuEntry>(code->symbol(s.symbol))(slots.data(), 0, grid);
    check();
  }
}

// Bytes from row to row times rows do not fit 32 bits, nor do elements. What lies between is never touched.
TEST(LoweringElementwise, RowsThatAreFarApart) {
  constexpr int64_t rows = 21, cols = 3, stride = int64_t{1} << 28;
  constexpr size_t bytes = rows * stride * sizeof(uint16_t);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "no " << bytes << " bytes of addresses";
  auto* apart = static_cast<uint16_t*>(memory);
  std::vector<uint16_t> dense(rows * cols);
  const TensorView far{DType::bf16, apart, {rows, cols}, {stride, 1}},
      near{DType::bf16, dense.data(), {rows, cols}, {cols, 1}};
  auto value = [](int64_t r, int64_t c) { return static_cast<uint16_t>(0x3f80 + r * cols + c); };
  auto each = [&](auto&& f) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) f(r, c, apart[r * stride + c], dense[static_cast<size_t>(r * cols + c)]);
  };
  copy_rows(
      far, near, [&] { each([&](int64_t r, int64_t c, uint16_t& x, uint16_t& y) { x = value(r, c), y = 0; }); },
      [&] { each([&](int64_t r, int64_t c, uint16_t, uint16_t y) { EXPECT_EQ(y, value(r, c)) << r << ", " << c; }); });
  copy_rows(
      near, far, [&] { each([&](int64_t r, int64_t c, uint16_t& x, uint16_t& y) { y = value(r, c), x = 0; }); },
      [&] { each([&](int64_t r, int64_t c, uint16_t x, uint16_t) { EXPECT_EQ(x, value(r, c)) << r << ", " << c; }); });
  munmap(memory, bytes);
}

TEST(LoweringElementwise, RowsInReverse) {
  constexpr int64_t rows = 37, cols = 2;
  std::vector<uint16_t> x(rows * cols), y(rows * cols);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(0x3f80 + i);
  const TensorView backwards{DType::bf16, x.data() + (rows - 1) * cols, {rows, cols}, {-cols, 1}},
      forwards{DType::bf16, y.data(), {rows, cols}, {cols, 1}};
  copy_rows(
      backwards, forwards, [&] { std::fill(y.begin(), y.end(), uint16_t{0}); },
      [&] {
        for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], x[(rows - 1 - i / cols) * cols + i % cols]) << i;
      });
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
