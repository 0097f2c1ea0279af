// Kernels that look at a row as a whole.
#include <limits>
#include <numbers>

#include "kernels/dispatch.h"
#include "kernels/greatest.h"
#include "kernels/kernels.h"

namespace wavetile::kernels {

Kernel layernorm(double eps, DType out) {
  return with_floats(DType::f32, out, [eps](auto, auto o) {
    return Kernel("layernorm", {"X", "Gain", "Bias", "Y"},
                  [eps](Tensor<f32> X, Tensor<f32> Gain, Tensor<f32> Bias, Tensor<decltype(o)> Y) {
                    Range row = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
                    Tile x = X(row, c);
                    Tile centred = x - mean(x, c);  // first the mean: a large one would cancel in E[x²] - E[x]²
                    Y(row, c) = centred * rsqrt(mean(centred * centred, c) + eps) * Gain(c) + Bias(c);
                  });
  });
}

Kernel softmax() {
  return Kernel("softmax", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range row = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(row, c);
    Tile e = exp2((x - max(x, c)) * std::numbers::log2e);
    Y(row, c) = e * (1 / sum(e, c));  // the sum is 1 at least
  });
}

Kernel causal_softmax(double scale) {
  return Kernel("causal_softmax", {"X", "Start", "Y"}, [scale](Tensor<f32> X, Tensor<i32> Start, Tensor<f32> Y) {
    Range b = parallel("b", X.dim(0)), row = parallel("row", X.dim(1)), c = whole("col", X.dim(2));
    Tile x = where(index(c) <= index(row) + Start(0), X(b, row, c) * (scale * std::numbers::log2e),
                   -std::numeric_limits<double>::infinity());
    Tile e = exp2(x - max(x, c));
    Y(b, row, c) = e * (1 / sum(e, c));
  });
}

Kernel argmax() {
  return Kernel("argmax", {"X", "Y"}, [](Tensor<f32> X, Tensor<i32> Y) {
    Range row = parallel("row", X.dim(0));
    State best = fold(
        serial("col", X.dim(1)), State{fill(-std::numeric_limits<double>::infinity(), row), fill<i32>(0, row)},
        [=](Range c, const State& s) {
          Tile x = X(row, c);
          return greatest(s, {max(x, c), wavetile::argmax(x, c)});
        },
        greatest);
    Y(row) = best[1];
  });
}

}  // namespace wavetile::kernels
