// Every mistake that a kernel's author can make gives an Error whose text names the line and what to do.
#include <cstdint>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "dsl/dsl.h"
#include "tests/support/errors.h"

// Mistakes stand on the line of their __LINE__.
// clang-format off

namespace wavetile {
namespace {

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
}  // namespace
}  // namespace wavetile
