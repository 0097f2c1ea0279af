// Attention that carries (maximum, sum, output) over blocks of keys, and the cache that it reads.
#include <limits>
#include <numbers>
#include <optional>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace wavetile::kernels {

namespace {

// `seq` is the axis of sequences, or nothing; `start` is the scalar of the block's own sequence.
template <class C, class Out, class... Seq>
void attend(Tensor<f32> Q, Tensor<C> K, Tensor<C> V, Scalar start, Tensor<Out> O, double scale, DType factors,
            Seq... seq) {
  // Finite: where a part of the keys is hidden from a row altogether, merging makes its weights 0, not NaN.
  constexpr double least = std::numeric_limits<float>::lowest();
  constexpr int n = sizeof...(seq);
  Range h = parallel("head", Q.dim(n)), m = parallel("m", Q.dim(n + 1));
  Range d = whole("d", Q.dim(n + 2)), e = whole("e", O.dim(n + 2));
  Scalar keys = min(min(start + last(m) + 1, K.dim(n + 1)), V.dim(n + 1));
  const bool narrow = factors != DType::f32;
  auto factor = [=](Tile x) { return narrow ? cast<C>(x) : x; };
  std::optional<Tile> query;  // rounded once
  if (narrow) query = factor(Q(seq..., h, m, d));
  State s = fold(
      serial("t", keys), State{fill(least, seq..., h, m), fill(0, seq..., h, m), fill(0, seq..., h, m, e)},
      [=](Range t, const State& s) {
        Tile q = query ? *query : Tile(Q(seq..., h, m, d));
        Tile x = dot(q, K(seq..., h, t, d), d) * (scale * std::numbers::log2e);
        x = where(index(t) <= index(m) + start, x, least);
        Tile top = max(s[0], max(x, t));
        Tile w = exp2(x - top), keep = exp2(s[0] - top);
        return State{top, s[1] * keep + sum(w, t), s[2] * keep + dot(factor(w), V(seq..., h, t, e), t)};
      },
      [](const State& a, const State& b) {
        Tile top = max(a[0], b[0]);
        Tile ka = exp2(a[0] - top), kb = exp2(b[0] - top);
        return State{top, a[1] * ka + b[1] * kb, a[2] * ka + b[2] * kb};
      });
  O(seq..., h, m, e) = s[2] * (1 / s[1]);
}

template <class C, class... Seq>
void append(Tensor<f32> NewK, Tensor<f32> NewV, Scalar start, Tensor<C> K, Tensor<C> V, Seq... seq) {
  constexpr int n = sizeof...(seq);
  Range h = parallel("head", NewK.dim(n)), m = parallel("m", NewK.dim(n + 1)), d = whole("d", NewK.dim(n + 2));
  K(seq..., h, m + start, d) = NewK(seq..., h, m, d);
  V(seq..., h, m + start, d) = NewV(seq..., h, m, d);
}

}  // namespace

namespace {
void check_factors(DType cache, DType factors) {
  if (factors != DType::f32 && factors != cache)
    throw Error(fmt::format("attention over a cache of {} multiplies in f32 or {}, not in {}", name_of(cache),
                            name_of(cache), name_of(factors)));
}
}  // namespace

Kernel attention(DType cache, double scale, DType out, DType factors) {
  check_factors(cache, factors);
  return with_floats(cache, out, [=]<class C, class Out>(C, Out) {
    return Kernel("attention", {"Q", "K", "V", "Start", "O"},
                  [=](Tensor<f32> Q, Tensor<C> K, Tensor<C> V, Tensor<i32> Start, Tensor<Out> O) {
                    attend(Q, K, V, Start(0), O, scale, factors);
                  });
  });
}

Kernel batched_attention(DType cache, double scale, DType out, DType factors) {
  check_factors(cache, factors);
  return with_floats(cache, out, [=]<class C, class Out>(C, Out) {
    return Kernel("batched_attention", {"Q", "K", "V", "Start", "O"},
                  [=](Tensor<f32> Q, Tensor<C> K, Tensor<C> V, Tensor<i32> Start, Tensor<Out> O) {
                    Range seq = single("seq", Q.dim(0));
                    attend(Q, K, V, Start(first(seq)), O, scale, factors, seq);
                  });
  });
}

Kernel append_to_cache(DType cache) {
  return with_float(cache, []<class C>(C) {
    return Kernel("append_to_cache", {"NewK", "NewV", "Start", "K", "V"},
                  [](Tensor<f32> NewK, Tensor<f32> NewV, Tensor<i32> Start, Tensor<C> K, Tensor<C> V) {
                    append(NewK, NewV, Start(0), K, V);
                  });
  });
}

Kernel batched_append_to_cache(DType cache) {
  return with_float(cache, []<class C>(C) {
    return Kernel("batched_append_to_cache", {"NewK", "NewV", "Start", "K", "V"},
                  [](Tensor<f32> NewK, Tensor<f32> NewV, Tensor<i32> Start, Tensor<C> K, Tensor<C> V) {
                    Range seq = single("seq", NewK.dim(0));
                    append(NewK, NewV, Start(first(seq)), K, V, seq);
                  });
  });
}

}  // namespace wavetile::kernels
