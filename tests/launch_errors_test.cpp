// Every mistake that a launch can make gives an Error whose text says what to do, and names the line where there is
// one.
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "dsl/check.h"
#include "dsl/dsl.h"
#include "dsl/interpret.h"
#include "tests/support/errors.h"

// Mistakes stand on the line of their __LINE__.
// clang-format off

namespace wavetile {
namespace {

using X1 = Tensor<f32>;

// Launches: a 4x8 row-wise copy and what may be wrong with its arguments.
struct Launch : testing::Test {
  int made = 0, stored = 0;
  Kernel copy{"copy", {"X", "Y", "n"}, [this](Tensor<f32> X, Tensor<f32> Y, Param<i32> n) {
    made = __LINE__; Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    stored = __LINE__; Y(r, c) = X(r, c) * cast<f32>(n);
  }};
  float x[64] = {}, y[64] = {};
  std::vector<TensorView> views{dense(DType::f32, x, {4, 8}), dense(DType::f32, y, {4, 8})};
  std::vector<double> scalars{1};

  std::string error() {
    return error_of([&] { check_launch(copy.graph(), views, scalars); });
  }
};

TEST_F(Launch, IsFine) {
  EXPECT_EQ(error(), "no error");
  views[1] = views[0];  // in place
  EXPECT_EQ(error(), "no error");
}
TEST_F(Launch, Counts) {
  views.pop_back();
  EXPECT_NE(error().find("kernel 'copy': it takes 2 tensors and was given 1"), std::string::npos) << error();
  views.push_back(views[0]);
  scalars.clear();
  EXPECT_NE(error().find("it takes 1 scalars and was given 0"), std::string::npos) << error();
}
TEST_F(Launch, Scalars) {
  for (double bad : {0.5, 3e9, std::numeric_limits<double>::quiet_NaN()}) {
    scalars[0] = bad;
    EXPECT_NE(error().find("scalar 'n' is i32 and was given"), std::string::npos) << error();
  }
}
TEST_F(Launch, ElementType) {
  views[0].dtype = DType::bf16;
  EXPECT_NE(error().find("tensor 'X' is f32 and was given bf16 data"), std::string::npos) << error();
}
TEST_F(Launch, Shape) {
  views[0].strides.pop_back();
  EXPECT_NE(error().find("tensor 'X' has 2 extents and 1 strides"), std::string::npos) << error();
  views[0] = dense(DType::f32, x, {32});
  EXPECT_NE(error().find("tensor 'X' is indexed with 2 dimensions and was given 1"), std::string::npos) << error();
  for (int64_t bad : {int64_t{-1}, int64_t{1} << 31}) {
    views[0] = dense(DType::f32, x, {4, bad});
    EXPECT_NE(error().find("along dimension 1; extents go from 0"), std::string::npos) << error();
  }
}
TEST_F(Launch, NoData) {
  views[0].data = nullptr;
  EXPECT_NE(error().find("tensor 'X' has no data"), std::string::npos) << error();
  for (TensorView& v : views) v = {DType::f32, nullptr, {0, 8}, {8, 1}};
  EXPECT_EQ(error(), "no error");
}
TEST_F(Launch, WrittenTensorOverlapsItself) {
  for (int64_t stride : {0, 7, -7}) {
    views[1].strides = {stride, 1};
    EXPECT_NE(error().find("tensor 'Y' is written, and its strides"), std::string::npos) << error();
  }
  views[1].strides = {1, 4};  // transposed
  EXPECT_EQ(error(), "no error");
  views[1].strides = {8, 1};
  views[0].strides = {0, 0};  // what is only read may repeat
  EXPECT_EQ(error(), "no error");
}
TEST_F(Launch, RangeReachesOutOfATensor) {
  views[1] = dense(DType::f32, y, {3, 8});
  expect(error(), stored, {"kernel 'copy'", "range 'row' (made at " + at(made), "reaches to 4", "dimension 0 of tensor 'Y' has 3"});
}
TEST_F(Launch, TensorsOverlap) {
  views[1].data = x + 1;
  EXPECT_NE(error().find("tensors 'Y' (written) and 'X' overlap in memory"), std::string::npos) << error();
  views[0] = {DType::f32, x, {4, 4}, {16, 1}};  // interleaved slices of one buffer share nothing
  views[1] = {DType::f32, x + 4, {4, 4}, {16, 1}};
  EXPECT_EQ(error(), "no error");
  views[1] = {DType::f32, x + 3, {4, 4}, {16, 1}};
  EXPECT_NE(error().find("overlap in memory"), std::string::npos) << error();
  views[1] = {DType::f32, x + 13, {3, 4}, {16, 1}};  // the last element of a row is the first of X's next one
  views[0].extents[0] = 3;
  EXPECT_NE(error().find("overlap in memory"), std::string::npos) << error();
}
TEST(LaunchErrors, SameMemoryAtDifferentIndices) {
  int stored = 0, loaded = 0;
  Kernel shift("shift", {"X", "Y"}, [&](X1 X, X1 Y) {
    Range r = parallel("row", X.dim(0));
    loaded = __LINE__; Tile t = X(r + 1);
    stored = __LINE__; Y(r) = t;
  });
  float x[8] = {};
  std::vector<TensorView> views(2, dense(DType::f32, x, {8}));
  expect(error_of([&] { check_launch(shift.graph(), views, {}); }), stored,
         {"'Y' (stored here) and 'X' (loaded at " + at(loaded), "same memory", "separate memory"});
}
// A launch in place has the results of one with separate memory, or none.
TEST(LaunchErrors, SameMemoryLoadedAfterItIsStored) {
  int stored = 0, loaded = 0;
  std::vector<Kernel> kernels;
  kernels.push_back(Kernel("again", {"X", "Y", "Z"}, [&](X1 X, X1 Y, X1 Z) {
    Range r = parallel("row", X.dim(0));
    stored = __LINE__; Y(r) = X(r) + 1;
    loaded = __LINE__; Z(r) = X(r) * 2;
  }));
  const int after = stored, before = loaded;
  kernels.push_back(Kernel("loop", {"X", "Y", "Z"}, [&](X1 X, X1 Y, X1 Z) {
    Range r = parallel("row", X.dim(0));
    Z(r) = fold(serial("k", 3), fill(0, r), [&](Range, Tile acc) {
      loaded = __LINE__; Tile x = X(r);
      stored = __LINE__; Y(r) = x + 1;
      return acc + x;
    });
  }));
  float x[8] = {}, z[8] = {};
  std::vector<TensorView> views(2, dense(DType::f32, x, {8}));
  views.push_back(dense(DType::f32, z, {8}));
  expect(error_of([&] { check_launch(kernels[0].graph(), views, {}); }), after,
         {"'Y' (stored here) and 'X' (loaded at " + at(before), "first loaded and then stored"});
  expect(error_of([&] { check_launch(kernels[1].graph(), views, {}); }), stored,
         {"'Y' (stored here) and 'X' (loaded at " + at(loaded), "first loaded and then stored"});
  float y[8] = {};
  views[1].data = y;
  for (const Kernel& k : kernels) EXPECT_EQ(error_of([&] { check_launch(k.graph(), views, {}); }), "no error");
}
// A loop that moves on loads what it has not stored yet.
TEST(LaunchErrors, SameMemoryInALoopThatMovesOn) {
  Kernel k("k", {"X", "Y", "Z"}, [](Tensor<f32> X, Tensor<f32> Y, X1 Z) {
    Range r = parallel("row", X.dim(0));
    Z(r) = fold(serial("k", X.dim(1)), fill(0, r), [&](Range k, Tile acc) {
      Tile x = X(r, k);
      Y(r, k) = x + 1;
      return acc + sum(x, k);
    });
  });
  float x[8] = {}, z[2] = {};
  std::vector<TensorView> views(2, dense(DType::f32, x, {2, 4}));
  views.push_back(dense(DType::f32, z, {2}));
  EXPECT_EQ(error_of([&] { check_launch(k.graph(), views, {}); }), "no error");
}
// An offset that follows the block may lead every block to the same elements.
TEST(LaunchErrors, SameMemoryAtAnOffsetThatFollowsTheBlock) {
  auto kernel = [](bool back) {
    return Kernel("k", {"X", "Y"}, [back](Tensor<f32> X, Tensor<f32> Y) {
      Range r = parallel("row", X.dim(0)), c = parallel("col", X.dim(1));
      Scalar by = back ? 0 - first(c) : first(r);
      Y(r, c + by) = X(r, c + by);
    });
  };
  float x[8] = {};
  std::vector<TensorView> views(2, dense(DType::f32, x, {2, 4}));
  Kernel forth = kernel(false), back = kernel(true);
  EXPECT_EQ(error_of([&] { check_launch(forth.graph(), views, {}); }), "no error");
  EXPECT_NE(error_of([&] { check_launch(back.graph(), views, {}); }).find("each block's own"), std::string::npos);
}
TEST(LaunchErrors, SeveralWrittenTensors) {
  Kernel two("two", {"Y", "Z"}, [](X1 Y, X1 Z) {
    Range r = parallel("row", Y.dim(0));
    Y(r) = 1;
    Z(r) = 2;
  });
  float y[8] = {};
  std::vector<TensorView> views(2, dense(DType::f32, y, {8}));
  std::string e = error_of([&] { check_launch(two.graph(), views, {}); });
  EXPECT_NE(e.find("tensors 'Y' (written) and 'Z' overlap in memory; give them separate memory"), std::string::npos) << e;
}
TEST(LaunchErrors, BoundsThatOnlyTheDeviceKnows) {
  int loaded = 0, begins = 0;
  auto kernel = [&](bool bounded) {
    return Kernel("sum", {"X", "N", "Y"}, [&, bounded](Tensor<f32> X, Tensor<i32> N, Tensor<f32> Y) {
      Scalar end = bounded ? min(N(0), X.dim(0)) : Scalar(N(0));
      Y(0) = fold(serial("k", end), fill(0), [&](Range k, Tile acc) {
        loaded = __LINE__; Tile x = X(k);
        return acc + sum(x, k);
      });
    });
  };
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y = 0;
  int32_t n = 3;
  std::vector<TensorView> views{dense(DType::f32, x, {8}), dense(DType::i32, &n, {1}), dense(DType::f32, &y, {1})};
  Kernel open = kernel(false), bounded = kernel(true);
  expect(error_of([&] { check_launch(open.graph(), views, {}); }), loaded,
         {"end of range 'k'", "read from memory", "min(…, X.dim(0))"});
  interpret(bounded.graph(), views, {});
  EXPECT_EQ(y, 6);
  Kernel window("window", {"X", "Y", "n"}, [&](X1 X, X1 Y, Param<i32> from) {
    Y(0) = fold(serial("k", from, X.dim(0)), fill(0), [&](Range k, Tile acc) {
      begins = __LINE__; Tile t = X(k);
      return acc + sum(t, k);
    });
  });
  views.erase(views.begin() + 1);
  double from = -2;
  expect(error_of([&] { check_launch(window.graph(), views, {&from, 1}); }), begins,
         {"range 'k'", "may begin at -2", "dimension 0 of tensor 'X'", "max(…, 0)"});
}
TEST(LaunchErrors, DimPastTheRank) {
  int line = 0;
  Kernel k("k", {"X", "Y"}, [&](X1 X, X1 Y) {
    line = __LINE__; Scalar n = X.dim(1);
    Y(0) = cast<f32>(n);
  });
  float x[2] = {};
  std::vector<TensorView> views{dense(DType::f32, x, {1}), dense(DType::f32, x + 1, {1})};
  expect(error_of([&] { check_launch(k.graph(), views, {}); }), line, {"tensor 'X' has 1 dimensions", "dim(1)"});
}
TEST_F(Launch, BlocksOfASingleRangeHaveOneElement) {
  Kernel k("k", {"X", "Y"}, [](X1 X, X1 Y) {
    Range r = single("r", X.dim(0));
    Y(r) = X(r);
  });
  float x[2] = {1, 2}, y[2] = {};
  std::vector<TensorView> v{dense(DType::f32, x, {2}), dense(DType::f32, y, {2})};
  std::string e = error_of([&] { interpret(k.graph(), v, {}, {{{"r", 2}}, {}}); });
  EXPECT_NE(e.find("option tile of 'r' is 2"), std::string::npos) << e;
  interpret(k.graph(), v, {}, {{{"r", 1}}, {}});
  EXPECT_EQ(y[1], 2);
}
TEST_F(Launch, InterpreterOptions) {
  for (InterpretOptions bad : {InterpretOptions{{{"col", 4}}, {}}, InterpretOptions{{{"none", 4}}, {}},
                               InterpretOptions{{{"row", 0}}, {}}, InterpretOptions{{}, {{"row", 2}}}}) {
    std::string e = error_of([&] { interpret(copy.graph(), views, scalars, bad); });
    EXPECT_NE(e.find("kernel 'copy': option "), std::string::npos) << e;
  }
}

}  // namespace
}  // namespace wavetile
