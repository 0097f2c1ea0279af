// What an author writes: the text of the graphs recorded, and kernels that GPT-2 does not need, some of them twenty
// lines long, interpreted against loops.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "dsl/dsl.h"
#include "dsl/interpret.h"

namespace wavetile {
namespace {

// Expressions record their operands in the compiler's order, so these kernels load in statements of their own.
TEST(Trace, Softmax) {
  Kernel k("softmax", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Tile e = exp(x - max(x, c));
    Y(r, c) = e / sum(e, c);
  });
  EXPECT_EQ(print(k.graph()), R"(kernel softmax(X: f32 2d in, Y: f32 2d out)
  parallel row in [0, X.dim(0))
  whole col in [0, X.dim(1))
  %0 = load X[row, col] : f32[row, col]
  %1 = max %0 over col : f32[row]
  %2 = sub %0, %1 : f32[row, col]
  %3 = exp %2 : f32[row, col]
  %4 = sum %3 over col : f32[row]
  %5 = div %3, %4 : f32[row, col]
  store Y[row, col] = %5
)");
}
TEST(Trace, RepeatAndSingle) {
  Kernel k("k", {"N", "X", "Y"}, [](Tensor<i32> N, Tensor<f32> X, Tensor<f32> Y) {
    Range r = single("row", X.dim(0));
    Scalar n = N(first(r));
    Tile zero = fill(0, r);
    Y(r) = repeat(n, zero, [=](Scalar step, Tile y) {
      Tile x = X(r);
      Tile s = cast<f32>(step);
      return y + x * s;
    });
  });
  EXPECT_EQ(print(k.graph()), R"(kernel k(N: i32 1d in, X: f32 1d in, Y: f32 1d out)
  parallel row in [0, X.dim(0)) by 1
  serial repeat.1 in [0, %1) by 1
  %0 = first row : i32[]
  %1 = load N[%0] : i32[]
  %2 = 0.0 : f32[row]
  %9 = fold repeat.1 from (%2) : f32[row]
    body(%3):
      %4 = first repeat.1 : i32[]
      %5 = load X[row] : f32[row]
      %6 = cast %4 : f32[]
      %7 = mul %5, %6 : f32[row]
      %8 = add %3, %7 : f32[row]
      yield %8
  store Y[row] = %9
)");
}
TEST(Trace, Matmul) {
  Kernel k("matmul", {"A", "B", "C", "scale"}, [](Tensor<bf16> A, Tensor<bf16> B, Tensor<bf16> C, Param<f32> scale) {
    Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1));
    Tile acc = fold(serial("k", A.dim(1)), fill(0, m, n), [=](Range k, Tile acc) {
      Tile a = A(m, k);
      Tile b = B(k, n);
      return acc + dot(a, b, k);
    });
    C(m, n) = cast<bf16>(acc * scale);
  });
  EXPECT_EQ(print(k.graph()), R"(kernel matmul(A: bf16 2d in, B: bf16 2d in, C: bf16 2d out, scale: f32)
  parallel m in [0, A.dim(0))
  parallel n in [0, B.dim(1))
  serial k in [0, A.dim(1))
  %0 = 0.0 : f32[m, n]
  %9 = fold k from (%0) : f32[m, n]
    body(%1):
      %2 = load A[m, k] : bf16[m, k]
      %3 = load B[k, n] : bf16[n, k]
      %4 = dot %2, %3 over k : f32[m, n]
      %5 = add %1, %4 : f32[m, n]
      yield %5
    merge(%6, %7):
      %8 = add %6, %7 : f32[m, n]
      yield %8
  %10 = mul %9, scale : f32[m, n]
  %11 = cast %10 : bf16[m, n]
  store C[m, n] = %11
)");
}
TEST(Trace, LocationsAreShownOnRequest) {
  int line = 0;
  Kernel k("k", {"Y"}, [&](Tensor<f32> Y) {
    Range r = parallel("r", Y.dim(0));
    // clang-format off
    line = __LINE__; Y(r) = fill(1.5, r);
    // clang-format on
  });
  std::string at = "  # " + std::string(__FILE__) + ":" + std::to_string(line) + "\n";
  std::string text = print(k.graph(), true);
  EXPECT_NE(text.find("  %0 = 1.5 : f32[r]" + at), std::string::npos) << text;
  EXPECT_NE(text.find("  store Y[r] = %0" + at), std::string::npos) << text;
}
TEST(Trace, LocationsOfOperands) {
  int line = 0;
  Kernel k("k", [&](Tensor<f32> X, Tensor<i32> I, Tensor<f32> Y, Param<f32> a, Param<i32> n) {
    Range r = parallel("r", Y.dim(0));
    // clang-format off
    line = __LINE__; Y(r, 0) = exp(X(I(r), n)) * a + fill(1, r) - 2 + X(r + n, n + 1);
    // clang-format on
  });
  for (const Op& op : k.graph().ops)
    if (op.kind != OpKind::param && op.kind != OpKind::yield) {
      EXPECT_EQ(op.loc.str(), std::string(__FILE__) + ":" + std::to_string(line));
    }
}
TEST(Trace, MergeIsInferredOnlyWhereItHolds) {
  auto merges = [](double init, auto body) {
    Kernel k("k", [&](Tensor<f32> X, Tensor<f32> Y) {
      Range k = serial("k", X.dim(0));
      State s{fill(init), fill(0)};
      Y(0) = fold(k, s, [&](Range k, const State& s) { return body(X, Y, k, s[0], s[1]); })[0];
    });
    for (const Op& op : k.graph().ops)
      if (op.kind == OpKind::fold) return !op.merge.ops.empty();
    return false;
  };
  using T = Tensor<f32>;
  EXPECT_TRUE(merges(0, [](T X, T, Range k, Tile a, Tile b) { return State{a + sum(X(k), k), sum(X(k), k) + b}; }));
  EXPECT_FALSE(merges(1, [](T X, T, Range k, Tile a, Tile b) { return State{a + sum(X(k), k), b + 1}; }));
  EXPECT_FALSE(merges(0, [](T X, T, Range k, Tile a, Tile b) { return State{a + sum(X(k), k), b + a}; }));
  EXPECT_FALSE(merges(0, [](T X, T, Range k, Tile a, Tile b) { return State{a + sum(X(k) * b, k), b + 1}; }));
  EXPECT_FALSE(merges(0, [](T X, T, Range k, Tile a, Tile b) { return State{a + sum(X(k), k) - 1, b + 1}; }));
  EXPECT_FALSE(merges(0, [](T X, T, Range, Tile a, Tile b) { return State{a + X(cast<i32>(a)), b + 1}; }));
  EXPECT_FALSE(merges(0, [](T X, T Y, Range k, Tile a, Tile b) {
    Tile running = a + sum(X(k), k);
    Y(first(k)) = running;
    return State{running, b + 1};
  }));
}

// --- Kernels against loops.

struct Data {
  std::vector<int64_t> extents;
  std::vector<float> v;
  explicit Data(std::vector<int64_t> e, int seed = 0) : extents(std::move(e)) {
    int64_t n = 1;
    for (int64_t x : extents) n *= x;
    std::mt19937 gen(static_cast<unsigned>(seed));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < n; ++i) v.push_back(seed ? normal(gen) : std::numeric_limits<float>::quiet_NaN());
  }
  operator TensorView() { return dense(DType::f32, v.data(), extents); }
  template <class... I>
  float& operator()(I... i) {
    int64_t at = 0;
    size_t d = 0;
    ((at = at * extents[d++] + static_cast<int64_t>(i)), ...);
    return v[static_cast<size_t>(at)];
  }
};
struct Ints {
  std::vector<int32_t> v;
  operator TensorView() { return dense(DType::i32, v.data(), {static_cast<int64_t>(v.size())}); }
};
void run(const Kernel& k, std::vector<TensorView> views, std::vector<double> scalars = {},
         const InterpretOptions& o = {}) {
  interpret(k.graph(), views, scalars, o);
}
void expect_near(Data& got, Data& want, double tolerance = 1e-5) {
  for (size_t i = 0; i < got.v.size(); ++i) ASSERT_NEAR(got.v[i], want.v[i], tolerance) << "element " << i;
}

TEST(Kernels, RmsNorm) {
  Kernel k("rmsnorm", [](Tensor<f32> X, Tensor<f32> W, Tensor<f32> Y, Param<f32> eps) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Y(r, c) = x * rsqrt(mean(x * x, c) + eps) * W(c);
  });
  Data x({5, 37}, 1), w({37}, 2), y({5, 37}), want({5, 37});
  run(k, {x, w, y}, {1e-5}, {{{"row", 2}}, {}});
  for (int r = 0; r < 5; ++r) {
    double ss = 0;
    for (int c = 0; c < 37; ++c) ss += x(r, c) * x(r, c);
    for (int c = 0; c < 37; ++c) want(r, c) = static_cast<float>(x(r, c) / std::sqrt(ss / 37 + 1e-5) * w(c));
  }
  expect_near(y, want);
}
TEST(Kernels, LayerNorm) {
  Kernel k("layernorm", [](Tensor<f32> X, Tensor<f32> W, Tensor<f32> B, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Tile d = x - mean(x, c);
    Y(r, c) = d * rsqrt(mean(d * d, c) + 1e-5) * W(c) + B(c);
  });
  Data x({3, 100}, 1), w({100}, 2), b({100}, 3), y({3, 100}), want({3, 100});
  run(k, {x, w, b, y});
  for (int r = 0; r < 3; ++r) {
    double m = 0, v = 0;
    for (int c = 0; c < 100; ++c) m += x(r, c) / 100.0;
    for (int c = 0; c < 100; ++c) v += (x(r, c) - m) * (x(r, c) - m) / 100;
    for (int c = 0; c < 100; ++c) want(r, c) = static_cast<float>((x(r, c) - m) / std::sqrt(v + 1e-5) * w(c) + b(c));
  }
  expect_near(y, want);
}
TEST(Kernels, Rope) {
  Kernel k("rope", [](Tensor<f32> X, Tensor<f32> Cos, Tensor<f32> Sin, Tensor<f32> Y) {
    Range t = parallel("t", X.dim(0)), h = parallel("head", X.dim(1)), d = whole("d", Cos.dim(1));
    Tile c = Cos(t, d), s = Sin(t, d);
    Tile a = X(t, h, d), b = X(t, h, d + Cos.dim(1));
    Y(t, h, d) = a * c - b * s;
    Y(t, h, d + Cos.dim(1)) = b * c + a * s;
  });
  Data x({7, 3, 16}, 1), c({7, 8}, 2), s({7, 8}, 3), y({7, 3, 16}), want({7, 3, 16});
  run(k, {x, c, s, y}, {}, {{{"t", 3}, {"head", 2}}, {}});
  for (int t = 0; t < 7; ++t)
    for (int h = 0; h < 3; ++h)
      for (int d = 0; d < 8; ++d) {
        want(t, h, d) = x(t, h, d) * c(t, d) - x(t, h, d + 8) * s(t, d);
        want(t, h, d + 8) = x(t, h, d + 8) * c(t, d) + x(t, h, d) * s(t, d);
      }
  expect_near(y, want);
}
TEST(Kernels, SwiGlu) {
  Kernel k("swiglu", [](Tensor<f32> G, Tensor<f32> U, Tensor<f32> Y) {
    Range r = parallel("row", G.dim(0)), c = parallel("col", G.dim(1));
    Tile g = G(r, c);
    Y(r, c) = g / (1 + exp(-g)) * U(r, c);
  });
  Data g({4, 70}, 1), u({4, 70}, 2), y({4, 70}), want({4, 70});
  run(k, {g, u, y});
  for (size_t i = 0; i < y.v.size(); ++i) want.v[i] = g.v[i] / (1 + std::exp(-g.v[i])) * u.v[i];
  expect_near(y, want);
}

// softmax(q·k / sqrt(d))·v of one query row; `n` keys.
void attend(Data& q, Data& k, Data& v, Data& out, int h, int kv, int t, int n) {
  auto d = static_cast<int>(q.extents[2]);
  std::vector<double> s;
  double top = -1e30, sum = 0;
  for (int j = 0; j < n; ++j) {
    double dot = 0;
    for (int e = 0; e < d; ++e) dot += q(h, t, e) * k(kv, j, e);
    s.push_back(dot / std::sqrt(d));
    top = std::max(top, s.back());
  }
  for (double& x : s) sum += x = std::exp(x - top);
  for (int e = 0; e < d; ++e) {
    double o = 0;
    for (int j = 0; j < n; ++j) o += s[static_cast<size_t>(j)] / sum * v(kv, j, e);
    out(h, t, e) = static_cast<float>(o);
  }
}
TEST(Kernels, GroupedQueryAttention) {
  Kernel k("gqa", [](Tensor<f32> Q, Tensor<f32> K, Tensor<f32> V, Tensor<f32> O) {
    Range h = parallel("head", Q.dim(0)), q = parallel("q", Q.dim(1)), t = whole("t", K.dim(1)),
          d = whole("d", Q.dim(2));
    Range e = whole("e", V.dim(2));
    Tile kv = index(h) / (Q.dim(0) / K.dim(0));
    Tile s = dot(Q(h, q, d), K(kv, t, d), d) * rsqrt(cast<f32>(Q.dim(2)));
    Tile p = exp(s - max(s, t));
    O(h, q, e) = dot(p / sum(p, t), V(kv, t, e), t);
  });
  Data q({6, 5, 8}, 1), key({2, 11, 8}, 2), v({2, 11, 8}, 3), o({6, 5, 8}), want({6, 5, 8});
  run(k, {q, key, v, o}, {}, {{{"head", 4}, {"q", 3}}, {}});
  for (int h = 0; h < 6; ++h)
    for (int t = 0; t < 5; ++t) attend(q, key, v, want, h, h / 3, t, 11);
  expect_near(o, want);
}
TEST(Kernels, CausalFlashAttention) {
  Kernel k("flash", {"Q", "K", "V", "O"}, [](Tensor<f32> Q, Tensor<f32> K, Tensor<f32> V, Tensor<f32> O) {
    Range h = parallel("head", Q.dim(0)), q = parallel("q", Q.dim(1));
    Range d = whole("d", Q.dim(2)), e = whole("e", V.dim(2));
    Tile x = Q(h, q, d) * rsqrt(cast<f32>(Q.dim(2)));
    auto rescaled = [](const State& a, Tile top) { return exp(a[0] - top); };
    auto body = [=](Range t, const State& s) {
      Tile score = where(index(t) <= index(q), dot(x, K(h, t, d), d), -1e30);
      Tile top = max(s[0], max(score, t)), p = exp(score - top), c = rescaled(s, top);
      return State{top, s[1] * c + sum(p, t), s[2] * c + dot(p, V(h, t, e), t)};
    };
    auto merge = [=](const State& a, const State& b) {
      Tile top = max(a[0], b[0]), ca = rescaled(a, top), cb = rescaled(b, top);
      return State{top, a[1] * ca + b[1] * cb, a[2] * ca + b[2] * cb};
    };
    State init{fill(-1e30, h, q), fill(0, h, q), fill(0, h, q, e)};
    State s = fold(serial("t", min(last(q) + 1, K.dim(1))), init, body, merge);
    O(h, q, e) = s[2] / s[1];
  });
  Data q({2, 33, 8}, 1), key({2, 33, 8}, 2), v({2, 33, 8}, 3), want({2, 33, 8});
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 33; ++t) attend(q, key, v, want, h, h, t, t + 1);
  for (int tile : {1, 7, 64})
    for (int split : {1, 2, 5}) {
      Data o({2, 33, 8});
      run(k, {q, key, v, o}, {}, {{{"t", tile}, {"q", 9}}, {{"t", split}}});
      expect_near(o, want);
    }
}
TEST(Kernels, TopKByBisection) {
  // The k-th greatest value is the greatest threshold that at least k elements reach; thresholds are bisected as
  // integers that order like the floats.
  Kernel k("topk", {"X", "Y", "k"}, [](Tensor<f32> X, Tensor<f32> Y, Param<i32> k) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Tile bits = bitcast<i32>(x);
    Tile key = bits ^ ((bits >> 31) & 0x7fffffff);
    Tile threshold = where(sum(cast<i32>(key >= 0), c) >= k, fill<i32>(0, r), fill<i32>(-2147483648.0, r));
    for (int bit = 30; bit >= 0; --bit) {
      Tile trial = threshold | (1 << bit);
      threshold = where(sum(cast<i32>(key >= trial), c) >= k, trial, threshold);
    }
    Y(r, c) = where(key >= threshold, x, -INFINITY);
  });
  Data x({4, 50}, 1), y({4, 50}), want({4, 50});
  run(k, {x, y}, {5});
  for (int r = 0; r < 4; ++r) {
    std::vector<float> row(&x(r, 0), &x(r, 0) + 50);
    std::sort(row.rbegin(), row.rend());
    for (int c = 0; c < 50; ++c) EXPECT_EQ(y(r, c), x(r, c) >= row[4] ? x(r, c) : -INFINITY);
  }
}
TEST(Kernels, SegmentSums) {
  Kernel k("segments", {"X", "S", "Y"}, [](Tensor<f32> X, Tensor<i32> S, Tensor<f32> Y) {
    Range s = parallel("segment", Y.dim(0)), c = parallel("col", X.dim(1));
    Y(s, c) = fold(serial("i", X.dim(0)), fill(0, s, c),
                   [=](Range i, Tile acc) { return acc + sum(where(S(i) == index(s), X(i, c), 0), i); });
  });
  Data x({23, 6}, 1), want({4, 6});
  Ints s;
  for (int i = 0; i < 23; ++i) s.v.push_back(i * i % 5 - 1);  // some belong to no segment
  for (float& w : want.v) w = 0;
  for (int i = 0; i < 23; ++i)
    for (int c = 0; c < 6 && s.v[static_cast<size_t>(i)] >= 0; ++c) want(s.v[static_cast<size_t>(i)], c) += x(i, c);
  for (int split : {1, 3}) {
    Data y({4, 6});
    run(k, {x, s, y}, {}, {{{"i", 5}, {"segment", 3}}, {{"i", split}}});
    expect_near(y, want);
  }
}
TEST(Kernels, Embedding) {
  Kernel k("embedding", {"Ids", "W", "P", "Y", "past"},
           [](Tensor<i32> Ids, Tensor<f32> W, Tensor<f32> P, Tensor<f32> Y, Param<i32> past) {
             Range t = parallel("t", Ids.dim(0)), c = parallel("c", W.dim(1));
             Y(t, c) = W(Ids(t), c) + P(t + past, c);
           });
  Data w({10, 20}, 1), p({8, 20}, 2), y({4, 20}), want({4, 20});
  Ints ids{{3, 9, 0, 3}};
  run(k, {ids, w, p, y}, {4});
  for (int t = 0; t < 4; ++t)
    for (int c = 0; c < 20; ++c) want(t, c) = w(ids.v[static_cast<size_t>(t)], c) + p(t + 4, c);
  expect_near(y, want);
}
TEST(Kernels, CacheSliceStore) {
  Kernel k("cache", {"X", "Cache", "position"}, [](Tensor<f32> X, Tensor<f32> Cache, Param<i32> position) {
    Range h = parallel("head", X.dim(1)), t = parallel("t", X.dim(0)), d = parallel("d", X.dim(2));
    Cache(h, t + position, d) = X(t, h, d);
  });
  Data x({3, 2, 4}, 1), cache({2, 8, 4}, 2), want({2, 8, 4}, 2);
  run(k, {x, cache}, {6});  // the third position lies past the end: nothing is stored
  for (int t = 0; t < 2; ++t)
    for (int h = 0; h < 2; ++h)
      for (int d = 0; d < 4; ++d) want(h, t + 6, d) = x(t, h, d);
  EXPECT_EQ(cache.v, want.v);
}
TEST(Kernels, SeveralOutputsAndUpdates) {
  Kernel k("stats", {"X", "Sum", "Top", "At"}, [](Tensor<f32> X, Tensor<f32> Sum, Tensor<f32> Top, Tensor<i32> At) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Sum(r) += sum(x, c);
    Top(r) = max(x, c);
    At(r) = argmax(x, c);
  });
  Data x({3, 9}, 1), sum({3}, 2), top({3}), old({3}, 2);
  Ints at{{-1, -1, -1}};
  run(k, {x, sum, top, at});
  for (int r = 0; r < 3; ++r) {
    auto* row = &x(r, 0);
    auto* best = std::max_element(row, row + 9);
    float total = old(r);
    for (int c = 0; c < 9; ++c) total += row[c];
    EXPECT_NEAR(sum(r), total, 1e-5);
    EXPECT_EQ(top(r), *best);
    EXPECT_EQ(at.v[static_cast<size_t>(r)], best - row);
  }
}

}  // namespace
}  // namespace wavetile
