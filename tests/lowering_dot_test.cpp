// Dots, packed operands, gathers and scatters, attention: on every machine.
#include <algorithm>
#include <array>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

template <class In, class Out>
Kernel matmul() {
  return Kernel("matmul", {"A", "B", "C"}, [](Tensor<In> A, Tensor<In> B, Tensor<Out> C) {
    Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1));
    Tile acc = fold(serial("k", A.dim(1)), fill<Out>(0, m, n),
                    [=](Range k, Tile acc) { return acc + dot(A(m, k), B(k, n), k); });
    C(m, n) = acc;
  });
}
Schedule tiles(int m, int n, int k) {
  Schedule s;
  s.tile = {{"m", m}, {"n", n}, {"k", k}};
  return s;
}
template <class In, class Out>
void check_matmul(std::array<int64_t, 3> shape, const Schedule& s, const Known& known = {}) {
  auto [m, n, k] = shape;
  check_everywhere(matmul<In, Out>(), s,
                   {random_tensor(In::dtype, {m, k}), random_tensor(In::dtype, {k, n}), output(Out::dtype, {m, n})},
                   is_float(Out::dtype) ? summation(k) : exact(), {}, known);
}

constexpr std::array<int64_t, 3> shapes[] = {{1, 1, 1},   {5, 7, 9},   {8, 32, 8}, {9, 35, 21},
                                             {1, 50, 30}, {10, 1, 20}, {8, 16, 0}};

TEST(LoweringDot, TailsInEveryDimension) {
  for (auto shape : shapes) check_matmul<f32, f32>(shape, tiles(4, 16, 4), {false, Known::innermost, true});
}
TEST(LoweringDot, StaticExtents) {
  for (auto shape : {shapes[1], shapes[2], shapes[3]}) check_matmul<f32, f32>(shape, tiles(4, 16, 4));
}
TEST(LoweringDot, TileShapes) {
  for (auto [m, n, k] : {std::array<int, 3>{1, 64, 4}, {6, 32, 2}, {8, 8, 16}, {3, 24, 5}, {32, 2, 4}, {1, 1, 64}})
    check_matmul<f32, f32>({19, 67, 45}, tiles(m, n, k), {false, Known::innermost, true});
}
TEST(LoweringDot, ElementTypes) {
  check_matmul<bf16, f32>({9, 35, 21}, tiles(4, 16, 4));
  check_matmul<f16, f32>({9, 35, 21}, tiles(4, 16, 4));
  check_matmul<i8, i32>({9, 35, 21}, tiles(4, 16, 4));
}
TEST(LoweringDot, Transposed) {
  HostTensor a = random_tensor(DType::f32, {20, 30}), b = random_tensor(DType::f32, {30, 40}),
             c = output(DType::f32, {20, 40});
  for (const Known& known :
       {Known{true, Known::all, true}, {false, Known::innermost, true}, {false, Known::none, false}}) {
    check_everywhere(matmul<f32, f32>(), tiles(4, 16, 4), {strided(a, {1, 20}), b, c}, summation(30), {}, known);
    check_everywhere(matmul<f32, f32>(), tiles(4, 16, 4), {a, strided(b, {1, 31}, 4), c}, summation(30), {}, known);
    check_everywhere(matmul<f32, f32>(), tiles(4, 16, 4), {a, b, strided(c, {1, 20})}, summation(30), {}, known);
    check_everywhere(matmul<f32, f32>(), tiles(16, 1, 8), {a, strided(b, {1, 30}), c}, summation(30), {}, known);
  }
}
TEST(LoweringDot, WholeRanges) {
  Kernel k("whole", {"A", "B", "C"}, [](Tensor<bf16> A, Tensor<bf16> B, Tensor<bf16> C) {
    Range m = parallel("m", A.dim(0)), n = whole("n", B.dim(1)), k = whole("k", A.dim(1));
    Tile d = dot(A(m, k), B(k, n), k);
    C(m, n) = cast<bf16>(d - max(d, n));
  });
  for (auto [n, kk] : {std::array<int64_t, 2>{16, 16}, {40, 12}, {64, 100}, {300, 7}})
    for (int m : {1, 4}) {
      Schedule s;
      s.tile = {{"m", m}};
      check_everywhere(
          k, s, {random_tensor(DType::bf16, {6, kk}), random_tensor(DType::bf16, {kk, n}), output(DType::bf16, {6, n})},
          summation(kk));
    }
}
TEST(LoweringDot, TwoDotsInARow) {  // the result of one is the operand of the next
  Kernel k("chain", {"A", "B", "C", "Y"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C, Tensor<f32> Y) {
    Range m = parallel("m", A.dim(0)), k = whole("k", A.dim(1)), h = whole("h", B.dim(1)), n = whole("n", C.dim(1));
    Tile hidden = max(dot(A(m, k), B(k, h), k), 0);
    Y(m, n) = dot(hidden, C(h, n), h);
  });
  for (auto [kk, h, n] : {std::array<int64_t, 3>{8, 8, 8}, {5, 12, 20}, {16, 64, 16}})
    for (int m : {1, 8}) {
      Schedule s;
      s.tile = {{"m", m}};
      check_everywhere(k, s,
                       {random_tensor(DType::f32, {9, kk}), random_tensor(DType::f32, {kk, h}),
                        random_tensor(DType::f32, {h, n}), output(DType::f32, {9, n})},
                       summation(kk * h));
    }
}

TEST(LoweringDot, PackedOperands) {
  const std::vector<std::map<std::string, Packing>> packings = {{{"B", {{{1, 16}}}}},
                                                                {{"B", {{{1, 16}, {0, 2}}}}},
                                                                {{"B", {{{0, 4}}}}},
                                                                {{"B", {{{1, 32}, {0, 4}}}}},
                                                                {{"A", {{{0, 8}}}}, {"B", {{{1, 32}}}}},
                                                                {{"A", {{{0, 4}, {1, 2}}}}, {"C", {{{1, 16}}}}}};
  for (const auto& p : packings)
    for (auto shape : {shapes[3]}) {
      Schedule s = tiles(4, 16, 4);
      s.packing = p;
      check_matmul<bf16, f32>(shape, s, {false, Known::all, true});
      check_matmul<f32, f32>(shape, s);
    }
}
TEST(LoweringDot, PackedTablesAreGathered) {
  Kernel k("embed", {"W", "Id", "Y"}, [](Tensor<bf16> W, Tensor<i32> Id, Tensor<f32> Y) {
    Range r = parallel("r", Id.dim(0)), c = parallel("c", W.dim(1));
    Y(r, c) = cast<f32>(W(Id(r), c));
  });
  HostTensor id = random_integers(DType::i32, {11}, 0, 49);
  for (const Packing& p : {Packing{}, Packing{{{0, 16}}}, Packing{{{0, 8}, {1, 2}}}, Packing{{{1, 4}}}})
    for (int c : {1, 16, 64}) {
      Schedule s;
      s.tile = {{"r", 1}, {"c", c}};
      if (!p.blocks.empty()) s.packing["W"] = p;
      check_everywhere(k, s, {random_tensor(DType::bf16, {50, 70}), id, output(DType::f32, {11, 70})}, exact());
    }
}

TEST(LoweringDot, GatherAndScatter) {
  Kernel k("shuffle", {"X", "From", "To", "Y"}, [](Tensor<f32> X, Tensor<i32> From, Tensor<i32> To, Tensor<f32> Y) {
    Range r = parallel("r", From.dim(0)), c = whole("c", X.dim(1));
    Y(To(r), c) = X(From(r), c) * 2;
  });
  std::vector<double> from(30), to(30);
  for (int64_t n : {1, 20, 64}) {
    for (size_t i = 0; i < 30; ++i) {
      from[i] = static_cast<double>(random_engine()() % 26) - 3;  // some lie outside: they read 0
      to[i] = static_cast<double>(i) - 3;                         // and are not stored
    }
    std::shuffle(to.begin(), to.end(), random_engine());
    for (int r : {1, 8}) {
      Schedule s;
      s.tile = {{"r", r}};
      check_everywhere(k, s,
                       {random_tensor(DType::f32, {20, n}), tensor_of(DType::i32, {30}, from),
                        tensor_of(DType::i32, {30}, to), output(DType::f32, {25, n})},
                       exact());
    }
  }
}
TEST(LoweringDot, ShiftedRanges) {
  Kernel k("shift", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y, Param<i32> by) {
    Range r = parallel("r", X.dim(0)), c = parallel("c", X.dim(1));
    Y(r, c + 2) = X(r, c + by) + X(r, c + (-1));
  });
  for (int by : {0, 1, -4, 60, 1000})
    for (bool known : {true, false})
      check_everywhere(k, {}, {random_tensor(DType::f32, {4, 75}), output(DType::f32, {4, 80})}, exact(), {double(by)},
                       {known, Known::all, true});
}

Kernel attention_kernel() {
  return Kernel("attention", {"Q", "K", "V", "O"},
                [](Tensor<f32> Q, Tensor<f32> K, Tensor<f32> V, Tensor<f32> O, Param<f32> scale) {
                  Range h = parallel("h", Q.dim(0)), q = parallel("q", Q.dim(1)), d = whole("d", Q.dim(2)),
                        e = whole("e", V.dim(2));
                  Range t = serial("t", min(last(q) + 1, K.dim(1)));
                  State s =
                      fold(t, State{fill(-INFINITY, h, q), fill(0, h, q), fill(0, h, q, e)}, [=](Range t, State s) {
                        Tile x = where(index(t) <= index(q), dot(Q(h, q, d), K(h, t, d), d) * scale, -INFINITY);
                        Tile m = max(s[0], max(x, t)), p = exp(x - m), a = exp(s[0] - m);
                        return State{m, s[1] * a + sum(p, t), s[2] * a + dot(p, V(h, t, e), t)};
                      });
                  O(h, q, e) = s[2] / s[1];
                });
}
TEST(LoweringDot, CausalAttention) {
  Kernel k = attention_kernel();
  for (auto [n, d] : {std::array<int64_t, 2>{1, 8}, {13, 16}, {20, 32}})
    for (auto [q, t] : {std::array<int, 2>{1, 8}, {4, 16}, {8, 8}}) {
      Schedule s;
      s.tile = {{"q", q}, {"t", t}};
      Known known{true, Known::all, true};
      check_everywhere(k, s,
                       {random_tensor(DType::f32, {2, n, d}), random_tensor(DType::f32, {2, n, d}),
                        random_tensor(DType::f32, {2, n, d}), output(DType::f32, {2, n, d})},
                       summation(d + n, 2), {0.25}, known);
    }
}

}  // namespace
}  // namespace wavetile
