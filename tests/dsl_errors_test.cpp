// Every mistake that a kernel's author or a launch can make gives an Error whose text names the line and what to do.
#include <cstdint>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "dsl/check.h"
#include "dsl/dsl.h"
#include "dsl/interpret.h"

// Mistakes stand on the line of their __LINE__.
// clang-format off

namespace wavetile {
namespace {

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}
// By reference: `line` is set while `text` is made.
void expect(const std::string& text, const int& line, const std::vector<std::string>& phrases) {
  EXPECT_EQ(text.find(std::string(__FILE__) + ":" + std::to_string(line) + ": "), 0u) << "line " << line << ", in\n" << text;
  for (const std::string& p : phrases) EXPECT_NE(text.find(p), std::string::npos) << "no '" << p << "' in\n" << text;
}
std::string at(int line) { return std::string(__FILE__) + ":" + std::to_string(line); }

using X1 = Tensor<f32>;
// A kernel of two tensors whose body has a mistake.
template <class F>
std::string trace_error(F body) {
  return error_of([&] { Kernel("k", {"X", "Y"}, [&](X1 X, X1 Y) { body(X, Y); }); });
}

TEST(TraceErrors, OutsideOfAKernel) {
  int line = __LINE__ + 1;
  std::string e = error_of([] { parallel("r", 4); });
  expect(e, line, {"only inside a Kernel's lambda"});
}
TEST(TraceErrors, TileWithoutAValue) {
  int line = 0;
  expect(trace_error([&](X1, X1 Y) {
           Range r = parallel("r", Y.dim(0));
           Tile t;
           line = __LINE__; Y(r) = exp(t);
         }), line, {"declared but never given a value"});
}
TEST(TraceErrors, TileOfAnotherKernel) {
  int line = 0;
  Tile leaked;
  Kernel other("other", [&](X1 Y) {
    Range r = parallel("r", Y.dim(0));
    for (int i = 0; i < 20; ++i) leaked = fill(i);
    Y(r) = leaked;
  });
  expect(trace_error([&](X1, X1 Y) {
           Range r = parallel("r", Y.dim(0));
           line = __LINE__; Y(r) = exp(leaked);
         }), line, {"belongs to another kernel"});
}
TEST(TraceErrors, TileOfAFoldUsedOutside) {
  int line = 0, begin = 0, made = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    Range r = parallel("r", Y.dim(0)), k = serial("k", X.dim(1));
    Tile leaked;
    auto body = [&](Range j, Tile acc) {
      made = __LINE__; leaked = sum(X(r, j), j);
      return acc + leaked;
    };
    begin = __LINE__; Tile total = fold(k, fill(0, r), body);
    line = __LINE__; Y(r) = total + leaked;
  });
  expect(e, line, {"made at " + at(made), "begins at " + at(begin), "return it from the fold's body"});
}
TEST(TraceErrors, RangeNeverGiven) {
  int line = 0;
  expect(trace_error([&](X1, X1 Y) {
           Range r;
           line = __LINE__; Y(r) = fill(1);
         }), line, {"range was declared but never given", "parallel, whole or serial"});
}
TEST(TraceErrors, SerialRangeOutsideOfItsFold) {
  int line = 0, made = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    made = __LINE__; Range k = serial("k", X.dim(0));
    line = __LINE__; Y(k) = fill(1);
  });
  expect(e, line, {"serial range 'k'", at(made), "outside of the fold that walks it"});
}
TEST(TraceErrors, RangeMadeInAFoldUsedOutside) {
  int line = 0, made = 0, begin = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    Range r = parallel("r", Y.dim(0)), inner;
    auto body = [&](Range, Tile acc) {
      made = __LINE__; inner = whole("w", X.dim(1));
      return acc + sum(fill(1, inner), inner);
    };
    begin = __LINE__; fold(serial("k", X.dim(0)), fill(0), body);
    line = __LINE__; Y(r) = sum(fill(1, inner), inner);
  });
  expect(e, line, {"range 'w'", at(made), "begins at " + at(begin), "make it before the fold"});
}
TEST(TraceErrors, FractionWithAnI32Tile) {
  int line = 0;
  expect(trace_error([&](X1, X1 Y) {
           Range r = parallel("r", Y.dim(0));
           line = __LINE__; Y(r) = cast<f32>(index(r) + 0.5);
         }), line, {"0.5", "i32 tile", "cast<f32>(tile)"});
}
TEST(TraceErrors, BoundsThatAreNoI32Scalars) {
  int line = 0;
  expect(trace_error([&](X1 X, X1) { line = __LINE__; parallel("r", X(0)); }), line, {"extent must be an i32 scalar", "f32[]"});
  expect(trace_error([&](X1 X, X1) { line = __LINE__; serial("r", X(0), 5); }), line, {"first coordinate must be an i32 scalar"});
  expect(trace_error([&](X1 X, X1) { line = __LINE__; serial("r", 0, X(0)); }), line, {"end must be an i32 scalar"});
}
TEST(TraceErrors, TwoRangesOfOneName) {
  int line = 0, made = 0;
  std::string e = trace_error([&](X1 X, X1) {
    made = __LINE__; parallel("r", X.dim(0));
    line = __LINE__; whole("r", X.dim(1));
  });
  expect(e, line, {"'r' exists already", at(made), "give this one another"});
}
TEST(TraceErrors, ParallelRangeInAFold) {
  int line = 0;
  expect(trace_error([&](X1 X, X1) {
           each(serial("k", X.dim(0)), [&](Range) { line = __LINE__; parallel("r", X.dim(1)); });
         }), line, {"parallel range 'r'", "inside a fold", "before the fold"});
}
TEST(TraceErrors, ExtentComputedOnTheDevice) {
  int line = 0;
  expect(trace_error([&](X1 X, X1) { line = __LINE__; parallel("r", cast<i32>(X(0))); }), line,
         {"extent of parallel range 'r'", "make the range serial"});
  expect(trace_error([&](X1 X, X1) { line = __LINE__; whole("r", cast<i32>(X(0))); }), line, {"extent of whole range 'r'"});
}
TEST(TraceErrors, ReductionWithoutTheAxis) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", Y.dim(0)), c = whole("col", X.dim(1));
           line = __LINE__; Y(r) = max(fill(1, r), c);
         }), line, {"max over 'col'", "axes [row]"});
}
TEST(TraceErrors, ReductionOverAParallelRange) {
  int line = 0, made = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    made = __LINE__; Range r = parallel("row", X.dim(0));
    line = __LINE__; Y(0) = sum(X(r), r);
  });
  expect(e, line, {"sum over parallel range 'row'", at(made), "serial and fold"});
  e = trace_error([&](X1 X, X1 Y) {
    Range r = parallel("row", X.dim(0));
    line = __LINE__; Y(0) = dot(X(r), fill(1, r), r);
  });
  expect(e, line, {"dot over parallel range 'row'"});
}
TEST(TraceErrors, ReductionOfABool) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range c = whole("col", X.dim(0));
           line = __LINE__; Y(0) = sum(X(c) > 0, c);
         }), line, {"sum of a bool tile", "where(tile, 1, 0)"});
}
TEST(TraceErrors, IndexThatIsNoInteger) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           Tile t = X(r);
           line = __LINE__; Y(r) = X(t);
         }), line, {"index must be i32", "f32[row]", "cast<i32>"});
}
TEST(TraceErrors, AccessesOfDifferentRank) {
  int line = 0, first = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    Range r = parallel("row", X.dim(0));
    first = __LINE__; Tile t = X(r, 0);
    line = __LINE__; Y(r) = X(r) + t;
  });
  expect(e, line, {"'X' has 2 dimensions", at(first), "indexed with 1"});
}
TEST(TraceErrors, DiagonalAccess) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           line = __LINE__; Y(r) = X(r, r);
         }), line, {"'X' is indexed twice with range 'row'", "index(row)"});
}
TEST(TraceErrors, StoreOfAnotherKindOfType) {
  int line = 0;
  expect(trace_error([&](X1, X1 Y) {
           Range r = parallel("row", Y.dim(0));
           line = __LINE__; Y(r) = index(r);
         }), line, {"i32 tile", "tensor 'Y' of f32", "cast<f32>"});
}
TEST(TraceErrors, StoreOfATileWithMoreAxes) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
           Tile t = X(r, c);
           line = __LINE__; Y(r) = t;
         }), line, {"axes [row, col]", "stored to 'Y' at [row]", "along 'col'", "reduce"});
}
TEST(TraceErrors, ConditionThatIsNoBool) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           line = __LINE__; Y(r) = where(X(r), 1, 2);
         }), line, {"where needs a bool tile", "f32[row]", "compare"});
}
TEST(TraceErrors, OperandsOfDifferentTypes) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           line = __LINE__; Y(r) = X(r) + index(r);
         }), line, {"add of f32[row] and i32[row]", "cast one"});
}
TEST(TraceErrors, FunctionOfTheWrongType) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           line = __LINE__; Y(r) = exp(index(r));
         }), line, {"exp does not take i32[row]", "cast it"});
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           line = __LINE__; Y(r) = X(r) % 2;
         }), line, {"imod does not take f32[row]"});
}
TEST(TraceErrors, BitcastOfAnotherSize) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           line = __LINE__; Y(r) = bitcast<bf16>(X(r));
         }), line, {"bitcast goes between f32 and i32", "from f32 to bf16"});
}
TEST(TraceErrors, Fill) {
  int line = 0;
  expect(trace_error([&](X1 X, X1) { line = __LINE__; fill(X(0)); }), line, {"fill takes a number"});
  expect(trace_error([&](X1, X1) { line = __LINE__; fill<i32>(0.5); }), line, {"fill(0.5)", "i32 holds whole numbers"});
  expect(trace_error([&](X1, X1) { line = __LINE__; fill<u8>(-1); }), line, {"fill(-1)", "from 0 to 255"});
}
TEST(TraceErrors, Dot) {
  int line = 0;
  auto dot_error = [&](auto mistake) {
    return trace_error([&](X1 X, X1 Y) {
      Range r = parallel("row", X.dim(0)), k = whole("k", X.dim(1));
      mistake(X, Y, r, k);
    });
  };
  expect(dot_error([&](X1 X, X1, Range r, Range k) { line = __LINE__; dot(X(r, k), 2, k); }), line, {"dot of a number", "fill"});
  expect(dot_error([&](X1 X, X1, Range r, Range k) { line = __LINE__; dot(X(r, k), index(k), k); }), line,
         {"dot takes two tiles of f32, f16 or bf16", "i32[k]"});
  expect(dot_error([&](X1 X, X1, Range r, Range k) { line = __LINE__; dot(X(r, k), fill(1, r), k); }), line,
         {"dot over 'k'", "[row, k] and [row]", "both need that axis"});
}
TEST(TraceErrors, FoldBodyReturnsAnotherNumberOfValues) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           auto body = [](Range, const State& s) { return State{s[0]}; };
           State init{fill(0), fill(0)};
           line = __LINE__; Y(0) = fold(serial("k", X.dim(0)), init, body)[0];
         }), line, {"carries 2 values", "returns 1"});
}
TEST(TraceErrors, CarriedValueChangesItsType) {
  int line = 0, made = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    Range r = parallel("row", Y.dim(0));
    auto body = [&](Range k, Tile acc) {
      made = __LINE__; return acc + sum(X(r, k), k);
    };
    line = __LINE__; Y(r) = fold(serial("k", X.dim(1)), fill(0), body);
  });
  expect(e, line, {"carried value 0 starts as f32[]", at(made), "returns f32[row]", "fill(value, axes...)"});
}
TEST(TraceErrors, FoldOverTheWrongRange) {
  int line = 0, made = 0;
  auto body = [](Range, Tile acc) { return acc; };
  expect(trace_error([&](X1, X1) { Range r; line = __LINE__; fold(r, fill(0), body); }), line, {"fold's range was never given", "serial"});
  for (bool is_whole : {false, true}) {
    std::string e = trace_error([&](X1 X, X1) {
      made = __LINE__; Range r = is_whole ? whole("r", X.dim(0)) : parallel("r", X.dim(0));
      line = __LINE__; fold(r, fill(0), body);
    });
    expect(e, line, {"fold walks serial ranges", "'r'", at(made), is_whole ? "is whole" : "is parallel"});
  }
  expect(trace_error([&](X1 X, X1) {
           Range k = serial("k", X.dim(0));
           each(k, [&](Range) { line = __LINE__; fold(k, fill(0), body); });
         }), line, {"'k' is being walked already"});
}
TEST(TraceErrors, Parameters) {
  int line = __LINE__ + 1;
  std::string e = error_of([] { Kernel("k", {"X", "n"}, [](X1 X, Param<u8>) { X(0) = 1; }); });
  expect(e, line, {"scalar parameter 'n' is u8", "f32 or i32"});
  expect(trace_error([&](X1 X, X1) { line = __LINE__; X.dim(9); }), line, {"dim(9)", "0 to 7"});
  expect(trace_error([&](X1 X, X1 Y) { Y(0) = X(0); line = __LINE__; X.dim(1); }), line, {"'X' has 1 dimensions", "dim(1)"});
}
TEST(TraceErrors, Kernels) {
  int line = 0;
  expect(trace_error([&](X1, X1) { line = __LINE__; Kernel("inner", [](X1) {}); }), line, {"inside another Kernel's lambda"});
  line = __LINE__ + 1;
  std::string e = error_of([] { Kernel("idle", [](X1 X) { exp(X(0)); }); });
  expect(e, line, {"kernel 'idle' stores nothing", "Y(r) = tile"});
}
TEST(TraceErrors, LoadAndStoreAtDifferentIndices) {
  int line = 0, loaded = 0;
  std::string e = trace_error([&](X1, X1 Y) {
    Range r = parallel("row", Y.dim(0));
    loaded = __LINE__; Tile t = Y(r + 1);
    line = __LINE__; Y(r) = t;
  });
  expect(e, line, {"'Y' is stored here", at(loaded), "another index", "two kernels"});
}
TEST(TraceErrors, UpdateBySeveralBlocks) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           parallel("row", X.dim(0));
           line = __LINE__; Y(0) += 1;
         }), line, {"'Y' is loaded at", "several blocks or lanes", "every parallel range"});
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("row", X.dim(0));
           Tile at = cast<i32>(X(r));
           line = __LINE__; Y(at) += 1;
         }), line, {"without index tiles"});
}

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
TEST(TraceErrors, StepsThatAreNoScalar) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("r", Y.dim(0));
           Tile n = cast<i32>(X(r));
           auto body = [](Scalar, Tile t) { return t; };
           line = __LINE__; Y(r) = repeat(n, fill(0, r), body);
         }), line, {"a number of steps must be an i32 scalar", "i32[r]"});
}
TEST(TraceErrors, StateThatARepeatChanges) {
  int line = 0;
  expect(trace_error([&](X1 X, X1 Y) {
           Range r = parallel("r", Y.dim(0));
           auto body = [&](Scalar, Tile t) { return t + X(r); };
           line = __LINE__; Y(r) = repeat(3, fill(0), body);
         }), line, {"carried value 0 starts as f32[]", "returns f32[r]", "fill(value, axes...)"});
}
TEST(TraceErrors, TileOfARepeatUsedOutside) {
  int line = 0, begin = 0, made = 0;
  std::string e = trace_error([&](X1 X, X1 Y) {
    Range r = parallel("r", Y.dim(0));
    Tile leaked;
    auto body = [&](Scalar, Tile t) {
      made = __LINE__; leaked = t + X(r);
      return leaked;
    };
    begin = __LINE__; Tile total = repeat(3, fill(0, r), body);
    line = __LINE__; Y(r) = total + leaked;
  });
  expect(e, line, {"made at " + at(made), "begins at " + at(begin)});
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
