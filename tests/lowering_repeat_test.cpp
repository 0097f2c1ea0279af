// Loops of a number of steps, and ranges of one element a block, on every machine.
#include <gtest/gtest.h>

#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

constexpr Known open{false, Known::innermost, false};

// The integer square root, bit by bit: the state is a tile in the lanes.
TEST(LoweringRepeat, BisectsEachElement) {
  Kernel k("root", {"X", "Y"}, [](Tensor<i32> X, Tensor<i32> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = repeat(15, fill<i32>(0, i), [=](Scalar step, Tile y) {
      Tile t = y + (1 << (14 - step));
      return where(t * t <= X(i), t, y);
    });
  });
  for (int tile : {1, 5, 64})
    check_everywhere(k, {.tile = {{"i", tile}}},
                     {random_integers(DType::i32, {131}, 0, (1 << 30) - 1), output(DType::i32, {131})}, exact(), {},
                     open);
}

// A number of steps for each row, from memory: none, and fewer than none, too.
TEST(LoweringRepeat, AsManyStepsAsARowAsksFor) {
  Kernel k("fibonacci", {"N", "X", "Y"}, [](Tensor<i32> N, Tensor<i32> X, Tensor<i32> Y) {
    Range row = single("row", N.dim(0)), c = parallel("col", X.dim(0));
    State s = repeat(N(first(row)), State{X(c) + fill<i32>(0, row, c), fill<i32>(1, row, c)},
                     [](Scalar step, const State& s) {
                       return State{s[1], s[0] + s[1] * (step + 1)};
                     });
    Y(row, c) = s[0];
  });
  check_everywhere(k, {.tile = {{"col", 16}}},
                   {tensor_of(DType::i32, {7}, {0, 1, 2, -3, 20, 33, 7}), random_integers(DType::i32, {37}, -5, 5),
                    output(DType::i32, {7, 37})},
                   exact(), {}, open);
}

// The median of rows too long for the registers: reductions over a walked range inside the loop.
TEST(LoweringRepeat, AroundAWholeRange) {
  for (int64_t columns : {61, 5003}) {
    Kernel k("median", {"X", "Y"}, [](Tensor<i32> X, Tensor<i32> Y) {
      Range row = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
      Y(row) = repeat(11, fill<i32>(-1024, row), [=](Scalar step, Tile y) {
        Tile t = y + (1024 >> step);
        return where(2 * sum(cast<i32>(X(row, c) >= t), c) >= X.dim(1), t, y);
      });
    });
    check_everywhere(k, {}, {random_integers(DType::i32, {3, columns}, -1000, 1000), output(DType::i32, {3})}, exact());
  }
}

// Zero steps or one: an if, inside of a fold, that skips blocks without a positive element; its state has the axis that
// the fold walks.
TEST(LoweringRepeat, IsAnIfInsideAFold) {
  Kernel k("skip", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> Z) {
    Range row = single("row", X.dim(0));
    Y(row) = fold(serial("col", X.dim(1)), fill(0, row), [=](Range c, Tile acc) {
      Tile x = X(row, c);
      Scalar some = max(max(cast<i32>(x > 0), c), row);
      Tile y = repeat(some, fill(1, row, c), [=](Scalar, Tile y) {
        Z(row, c) = x;
        return y + x * 2;
      });
      return acc + sum(y, c);
    });
  });
  for (int tile : {1, 7, 32}) {
    HostTensor x = random_tensor(DType::f32, {4, 91});
    for (int64_t i = 0; i < 80; ++i) x.set(i, -1);
    HostTensor z(DType::f32, {4, 91});
    for (int64_t i = 0; i < z.elements(); ++i) z.set(i, 5);
    check_everywhere(k, {.tile = {{"col", tile}}}, {x, output(DType::f32, {4}), z}, summation(91, 3), {}, open);
  }
}

TEST(LoweringRepeat, AScheduleLeavesTheirBlocksAlone) {
  int line = 0;
  Kernel k("k", {"X", "Y"}, [&](Tensor<f32> X, Tensor<f32> Y) {
    line = __LINE__ + 1;
    Range r = single("r", X.dim(0));
    Y(r) = repeat(3, fill(0, r), [=](Scalar, Tile y) { return y + X(r); });
  });
  Signature sig(2, {DType::f32, {4}, {1}, 16});
  for (auto [range, made] : {std::pair{"r", line}, {"repeat.1", line + 1}}) {
    std::string text;
    try {
      compile(k, sig, {.tile = {{range, 2}}}, *machines()[0].target);
    } catch (const Error& e) {
      text = e.what();
    }
    EXPECT_EQ(text.find(std::string(__FILE__) + ":" + std::to_string(made) + ": "), 0u) << text;
    EXPECT_NE(text.find("leave it out of the schedule"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace wavetile
