// Attention that carries (maximum, sum, output) over blocks of keys, and the cache that it reads.
#include <limits>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace wavetile::kernels {

Kernel attention(DType cache, double scale, DType out) {
  return with_floats(cache, out, [scale]<class C, class Out>(C, Out) {
    return Kernel("attention", {"Q", "K", "V", "Start", "O"},
                  [scale](Tensor<f32> Q, Tensor<C> K, Tensor<C> V, Tensor<i32> Start, Tensor<Out> O) {
                    // Finite: where a part of the keys is hidden from a row altogether, merging makes its weights 0,
                    // not NaN.
                    constexpr double least = std::numeric_limits<float>::lowest();
                    Range h = parallel("head", Q.dim(0)), m = parallel("m", Q.dim(1));
                    Range d = whole("d", Q.dim(2)), e = whole("e", O.dim(2));
                    Scalar start = Start(0);
                    Scalar keys = min(min(start + last(m) + 1, K.dim(1)), V.dim(1));
                    State s = fold(
                        serial("t", keys), State{fill(least, h, m), fill(0, h, m), fill(0, h, m, e)},
                        [=](Range t, const State& s) {
                          Tile x = dot(Q(h, m, d), K(h, t, d), d) * scale;
                          x = where(index(t) <= index(m) + start, x, least);
                          Tile top = max(s[0], max(x, t));
                          Tile w = exp(x - top), keep = exp(s[0] - top);
                          return State{top, s[1] * keep + sum(w, t), s[2] * keep + dot(w, V(h, t, e), t)};
                        },
                        [](const State& a, const State& b) {
                          Tile top = max(a[0], b[0]);
                          Tile ka = exp(a[0] - top), kb = exp(b[0] - top);
                          return State{top, a[1] * ka + b[1] * kb, a[2] * ka + b[2] * kb};
                        });
                    O(h, m, e) = s[2] / s[1];
                  });
  });
}

Kernel append_to_cache(DType cache) {
  return with_float(cache, []<class C>(C) {
    return Kernel("append_to_cache", {"NewK", "NewV", "Start", "K", "V"},
                  [](Tensor<f32> NewK, Tensor<f32> NewV, Tensor<i32> Start, Tensor<C> K, Tensor<C> V) {
                    Range h = parallel("head", NewK.dim(0)), m = parallel("m", NewK.dim(1)),
                          d = whole("d", NewK.dim(2));
                    Scalar start = Start(0);
                    K(h, m + start, d) = NewK(h, m, d);
                    V(h, m + start, d) = NewV(h, m, d);
                  });
  });
}

}  // namespace wavetile::kernels
