// Folds that the warps of a block share out, on every machine, with 1, 2 and 4 of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/greatest.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

// Parts are empty, cut short or whole; rows are several blocks, the last one cut.
constexpr int64_t lengths[] = {0, 1, 9, 32, 100};

Schedule sharing(int tile) {
  Schedule s;
  s.tile = {{"row", 4}, {"col", tile}};
  s.share = "col";
  return s;
}

// A merge that adds: the start (here not zero) counts once.
TEST(LoweringShare, ASumStartsOnce) {
  Kernel k("sum", {"X", "S", "Y"}, [](Tensor<f32> X, Tensor<f32> S, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0));
    State total = fold(
        serial("col", X.dim(1)), State{S(r)}, [=](Range c, const State& s) { return State{s[0] + sum(X(r, c), c)}; },
        [](const State& a, const State& b) { return State{a[0] + b[0]}; });
    Y(r) = 2 * total[0];
  });
  for (int64_t n : lengths)
    for (int tile : {1, 8})
      check_everywhere(k, sharing(tile),
                       {random_tensor(DType::f32, {6, n}), random_tensor(DType::f32, {6}), output(DType::f32, {6})},
                       summation(std::max<int64_t>(n, 1) + 2), {}, {.extents = n % 2 == 0});
}

// A merge in which the order of the parts decides, of two types and shapes.
TEST(LoweringShare, PartsAreMergedInOrder) {
  Kernel k("greatest", {"X", "Y"}, [](Tensor<f32> X, Tensor<i32> Y) {
    Range r = parallel("row", X.dim(0));
    State best = fold(
        serial("col", X.dim(1)), State{fill(-1e30, r), fill<i32>(-1, r)},
        [=](Range c, const State& s) {
          Tile x = X(r, c);
          return kernels::greatest(s, {max(x, c), argmax(x, c)});
        },
        kernels::greatest);
    Y(r) = best[1];
  });
  for (int64_t n : lengths)
    for (int tile : {4, 16}) {
      HostTensor x = random_integers(DType::i32, {6, n}, -2, 2), ties(DType::f32, {6, n});
      for (int64_t i = 0; i < x.elements(); ++i) ties.set(i, x.get(i));
      check_everywhere(k, sharing(tile), {ties, output(DType::i32, {6})}, exact());
    }
}

// A bool goes through shared memory as a byte.
TEST(LoweringShare, StatesOfBools) {
  Kernel k("any", {"X", "Y"}, [](Tensor<f32> X, Tensor<i32> Y) {
    Range r = parallel("row", X.dim(0));
    Tile none = fill(0, r) > 0;
    Tile any = fold(
        serial("col", X.dim(1)), State{none},
        [=](Range c, const State& s) { return State{s[0] | (max(X(r, c), c) > 0.9)}; },
        [](const State& a, const State& b) { return State{a[0] | b[0]}; })[0];
    Y(r) = cast<i32>(any);
  });
  for (int64_t n : lengths)
    check_everywhere(k, sharing(8), {random_tensor(DType::f32, {6, n}), output(DType::i32, {6})}, exact());
}

TEST(LoweringShare, InPartsOfBlocksToo) {
  Kernel k("sum", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0));
    Y(r) = fold(serial("col", X.dim(1)), fill(0, r), [=](Range c, Tile acc) { return acc + sum(X(r, c), c); });
  });
  Schedule s = sharing(8);
  s.split = {{"col", 3}};
  for (int64_t n : lengths)
    check_everywhere(k, s, {random_tensor(DType::f32, {6, n}), output(DType::f32, {6})},
                     summation(std::max<int64_t>(n, 1)));
}

std::string refusal(const Kernel& k, const Signature& sig, const std::string& range) {
  Schedule s;
  s.share = range;
  s.warps = 4;
  try {
    compile(k, sig, s, *amdgpu_target("gfx1151"));
  } catch (const Error& e) {
    return e.what();
  }
  return "compiles";
}

TEST(LoweringShare, WhatCannotBeSharedIsRefusedByName) {
  const TensorSpec matrix{DType::f32, {4, 64}, {64, 1}, 16}, row{DType::f32, {4}, {1}, 16};
  auto folds = [](int times, bool merges) {
    return Kernel("folds", {"X", "Y"}, [=](Tensor<f32> X, Tensor<f32> Y) {
      Range r = parallel("row", X.dim(0)), c = serial("col", X.dim(1));
      auto body = [=](Range c, const State& s) { return State{max(s[0], max(X(r, c), c))}; };
      auto merge = [](const State& a, const State& b) { return State{max(a[0], b[0])}; };
      Tile acc = fill(0, r);
      for (int i = 0; i < times; ++i) acc = (merges ? fold(c, State{acc}, body, merge) : fold(c, State{acc}, body))[0];
      Y(r) = acc;
    });
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal(folds(1, true), {matrix, row}, "kol"),
              HasSubstr("'kol' of kernel 'folds' among warps, which no fold walks"));
  EXPECT_THAT(refusal(folds(2, true), {matrix, row}, "col"), HasSubstr("several folds"));
  EXPECT_THAT(refusal(folds(1, false), {matrix, row}, "col"), HasSubstr("nothing of how two parts are merged"));
  EXPECT_EQ(refusal(folds(1, true), {matrix, row}, "col"), "compiles");
  Kernel nested("nested", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0)), c = serial("col", X.dim(1)), again = serial("again", X.dim(0));
    Y(r) = fold(again, fill(0, r), [=](Range, Tile acc) {
      return acc + fold(c, fill(0, r), [=](Range c, Tile a) { return a + sum(X(r, c), c); });
    });
  });
  EXPECT_THAT(refusal(nested, {matrix, row}, "col"), HasSubstr("a fold inside another one"));
}

}  // namespace
}  // namespace wavetile
