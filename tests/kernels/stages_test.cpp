// Loads issued ahead of their loop (Schedule::stages): no, one, two, three and many blocks, whole and cut short, on
// every machine; what must not be moved stays where it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

constexpr DType f32_ = DType::f32;

// Blocks of a range with tile 16.
constexpr int64_t lengths[] = {0, 5, 16, 21, 32, 47, 48, 64, 101, 160};

Schedule staged(std::map<std::string, int> tile, int stages, int warps = 1) {
  Schedule s;
  s.tile = std::move(tile);
  s.warps = warps;
  s.stages = stages;
  return s;
}
// Extents come with the launch; where there is one and a bit, or three blocks, they are known too.
void check(const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors, const Tolerance& t,
           int64_t length = 0) {
  for (const Machine& m : machines()) {
    // Nothing is loaded ahead where lanes are explicit vectors: the first of such machines is enough.
    if (caps_of(*m.target).simd && &m != &machines().front()) continue;
    check_kernel(m, k, s, tensors, t, {}, {false, Known::innermost, false});
    if (length == 21 || length == 48) check_kernel(m, k, s, tensors, t);
  }
}

Kernel product(DType factors) { return kernels::matmul(factors, factors); }
void check_products(DType factors, std::map<std::string, int> tile) {
  for (int64_t blocks : lengths)
    for (int stages : {2, 3, 4}) {
      const int64_t k = blocks * tile["k"] / 16;
      check(product(factors), staged(tile, stages, 1 << stages % 3),
            {random_tensor(factors, {19, k}), random_tensor(factors, {k, 21}), output(f32_, {19, 21})}, summation(k),
            blocks);
    }
}
TEST(Stages, ProductsOnMatrixUnits) { check_products(DType::bf16, {{"m", 16}, {"n", 16}, {"k", 16}}); }
TEST(Stages, ProductsOfMultiplyAdds) { check_products(f32_, {{"m", 4}, {"n", 32}, {"k", 4}}); }

// Every block's sum and maximum meet in shared memory.
TEST(Stages, ReductionsAcrossWarps) {
  Kernel k("total", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0));
    State s = fold(serial("col", X.dim(1)), State{fill(-1e30, r), fill(0, r)}, [=](Range c, const State& s) {
      Tile x = X(r, c), top = max(s[0], max(x, c));
      return State{top, s[1] * exp(s[0] - top) + sum(exp(x - top), c)};
    });
    Y(r) = log(s[1]) + s[0];
  });
  for (int64_t n : {0, 1, 256, 300, 512, 700, 1024, 2000})
    for (int stages : {2, 3})
      for (int warps : {1, 2, 4})
        check(k, staged({{"row", 1}, {"col", 256}}, stages, warps), {random_tensor(f32_, {3, n}), output(f32_, {3})},
              softmax_of(std::max<int64_t>(n, 1), 1e-6));
}

// What one iteration stores the next may load: in place, and under another name where a launch may say so.
TEST(Stages, WhatIsStoredIsLoadedInItsPlace) {
  Kernel k("running", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> Z) {
    Range r = parallel("row", X.dim(0));
    Z(r) = fold(serial("col", X.dim(1)), fill(0, r), [=](Range c, Tile acc) {
      Tile y = Y(r, c) + X(r, c);
      Y(r, c) = y;
      return acc + sum(Y(r, c), c);
    });
  });
  for (int64_t n : lengths)
    for (int stages : {2, 3})
      for (int warps : {1, 4})
        check(k, staged({{"row", 4}, {"col", 16}}, stages, warps),
              {random_tensor(f32_, {6, n}), random_tensor(f32_, {6, n}), output(f32_, {6})},
              summation(std::max<int64_t>(n, 1) + 1, 2), n);
}

// Rows are gathered by an index that the same iteration loads; what the index is made of is loaded ahead.
TEST(Stages, LoadedIndicesAreWaitedFor) {
  Kernel k("bag", {"Table", "Id", "W", "Y"}, [](Tensor<f32> Table, Tensor<i32> Id, Tensor<f32> W, Tensor<f32> Y) {
    Range d = parallel("d", Table.dim(1));
    Y(d) = fold(serial("t", Id.dim(0)), fill(0, d),
                [=](Range t, Tile acc) { return acc + sum(Table(Id(t), d) * W(t), t); });
  });
  for (int64_t blocks : {0, 21, 48, 101})
    for (int stages : {2, 3}) {
      const int64_t n = blocks * 4 / 16;
      check(k, staged({{"d", 32}, {"t", 4}}, stages, stages - 1),
            {random_tensor(f32_, {9, 40}), random_integers(DType::i32, {n}, 0, 8), random_tensor(f32_, {n}),
             output(f32_, {40})},
            summation(std::max<int64_t>(n, 1) + 1), blocks);
    }
}

// Bounds that are loaded; beside a plain tile, places computed from the loop and slices that reach beyond the tensor.
TEST(Stages, PlacesAreThoseOfTheBlockLoaded) {
  Kernel k("places", {"X", "S", "Bounds", "Y"}, [](Tensor<f32> X, Tensor<f32> S, Tensor<i32> Bounds, Tensor<f32> Y) {
    Range seq = single("seq", Y.dim(0)), r = parallel("row", X.dim(0));
    Tile lo = max(Bounds(first(seq), 0), 0), hi = min(Bounds(first(seq), 1), X.dim(1));
    Range t = serial("t", lo, hi);
    Y(seq, r) = fold(t, fill(0, r), [=](Range t, Tile acc) {
      Tile plain = X(r, t), shifted = X(r, t + 7), block = S(first(t) / 16), turned = X(r, 150 - index(t));
      return acc + sum(plain + shifted * block + turned, t);
    });
  });
  std::vector<double> bounds{0, 0, 0, 16, 3, 3, 5, 160, 32, 96, 144, 160, 16, 63, 7, 40};
  for (int stages : {1, 2, 3, 4})
    for (int warps : {1, 2})
      check(k, staged({{"row", 2}, {"t", 16}}, stages, warps),
            {random_tensor(f32_, {5, 160}), random_tensor(f32_, {11}), tensor_of(DType::i32, {8, 2}, bounds),
             output(f32_, {8, 5})},
            summation(480));
}

TEST(Stages, OfTheInnermostFold) {
  Kernel k("nested", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
    Range m = parallel("m", A.dim(0));
    C(m) = fold(serial("o", B.dim(0)), fill(0, m), [=](Range o, Tile acc) {
      Tile b = B(o);
      Tile inner = fold(serial("k", A.dim(1)), fill(0, m), [=](Range k, Tile acc) { return acc + sum(A(m, k), k); });
      return acc + inner * sum(b, o);
    });
  });
  for (int64_t n : {0, 5, 37, 64})
    for (int64_t o : {1, 4, 9})
      for (int warps : {1, 4})
        check(k, staged({{"m", 2}, {"k", 16}, {"o", 2}}, 2, warps),
              {random_tensor(f32_, {3, n}), random_tensor(f32_, {o}), output(f32_, {3})},
              summation(std::max<int64_t>(n, 1) * o, 4));
}

TEST(Stages, WithWarpsAndBlocksThatShareTheFold) {
  Kernel k = product(f32_);
  for (int64_t n : lengths)
    for (bool share : {false, true}) {
      Schedule s = staged({{"m", 2}, {"n", 32}, {"k", 4}}, 3, 4);
      if (share)
        s.share = "k";
      else
        s.split["k"] = 3;
      check(k, s, {random_tensor(f32_, {3, n}), random_tensor(f32_, {n, 50}), output(f32_, {3, 50})}, summation(n));
    }
}

std::string refusal(const Kernel& k, const Signature& sig, const Schedule& s) {
  try {
    compile(k, sig, s, *amdgpu_target("gfx1151"));
  } catch (const Error& e) {
    return e.what();
  }
  return "compiles";
}
TEST(Stages, WhatCannotBeIsRefusedWithTheLine) {
  using testing::AllOf, testing::HasSubstr;
  const TensorSpec a{DType::bf16, {256, 1024}, {1024, 1}, 16}, b{DType::bf16, {1024, 256}, {256, 1}, 16},
      c{f32_, {256, 256}, {256, 1}, 16};
  Kernel k = product(DType::bf16);
  auto refused = [&](std::map<std::string, int> tile, int stages) {
    return refusal(k, {a, b, c}, staged(std::move(tile), stages, 8));
  };
  std::map<std::string, int> small{{"m", 64}, {"n", 64}, {"k", 32}};
  for (int stages : {-1, 0, 5})
    EXPECT_THAT(refused(small, stages),
                AllOf(HasSubstr("linear.cpp:"), HasSubstr("kernel 'matmul' " + std::to_string(stages) + " stages"),
                      HasSubstr("1 (nothing is loaded ahead) to 4")));
  EXPECT_EQ(refused(small, 4), "compiles");
  std::map<std::string, int> large{{"m", 64}, {"n", 128}, {"k", 64}};
  EXPECT_EQ(refused(large, 2), "compiles");
  EXPECT_THAT(refused(large, 3),
              AllOf(HasSubstr("linear.cpp:"), HasSubstr("73728 bytes of shared memory"), HasSubstr("fewer stages")));
}

}  // namespace
}  // namespace wavetile
