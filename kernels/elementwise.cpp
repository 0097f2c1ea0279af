// Kernels that compute each element on its own.
#include <numbers>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace wavetile::kernels {

// 0.5 (1 + tanh u) = 1 / (1 + exp(-2u)): one exponential, no cancellation.
Tile gelu(Tile x) {
  const double c = 2 * std::sqrt(2 / std::numbers::pi) * std::numbers::log2e;
  return x / (1 + exp2(x * (x * x * (-c * 0.044715) - c)));
}

Kernel gelu() {
  return Kernel("gelu", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range row = parallel("row", X.dim(0)), c = parallel("col", X.dim(1));
    Y(row, c) = gelu(X(row, c));
  });
}

Kernel add() {
  return Kernel("add", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
    Range row = parallel("row", A.dim(0)), c = parallel("col", A.dim(1));
    C(row, c) = A(row, c) + B(row, c);
  });
}

Kernel copy(DType from, DType to) {
  return with_float(from, [to]<class A>(A) {
    return with_float(to, []<class B>(B) {
      return Kernel("copy", {"X", "Y"}, [](Tensor<A> X, Tensor<B> Y) {
        Range i = parallel("i", X.dim(0)), j = parallel("j", X.dim(1));
        Y(i, j) = cast<B>(X(i, j));
      });
    });
  });
}

Kernel gather() {
  return Kernel("gather", {"X", "Id", "Y"}, [](Tensor<f32> X, Tensor<i32> Id, Tensor<f32> Y) {
    Range row = parallel("row", Y.dim(0)), c = parallel("col", Y.dim(1));
    Y(row, c) = X(Id(row), c);
  });
}

Kernel permute() {
  return Kernel("permute", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range a = parallel("a", X.dim(0)), b = parallel("b", X.dim(1)), c = parallel("c", X.dim(2));
    Y(a, b, c) = X(a, b, c);
  });
}

Kernel embedding(DType weights) {
  return with_float(weights, []<class W>(W) {
    return Kernel("embedding", {"Tokens", "Positions", "Id", "Start", "Y"},
                  [](Tensor<W> Tokens, Tensor<W> Positions, Tensor<i32> Id, Tensor<i32> Start, Tensor<f32> Y) {
                    Range row = parallel("row", Y.dim(0)), c = parallel("col", Y.dim(1));
                    Y(row, c) = Tokens(c, Id(row)) + Positions(row + Start(0), c);
                  });
  });
}

Kernel batched_embedding(DType weights) {
  return with_float(weights, []<class W>(W) {
    return Kernel("batched_embedding", {"Tokens", "Positions", "Id", "Start", "Y"},
                  [](Tensor<W> Tokens, Tensor<W> Positions, Tensor<i32> Id, Tensor<i32> Start, Tensor<f32> Y) {
                    Range seq = single("seq", Y.dim(0)), row = parallel("row", Y.dim(1)), c = parallel("col", Y.dim(2));
                    Y(seq, row, c) = Tokens(c, Id(seq, row)) + Positions(row + Start(first(seq)), c);
                  });
  });
}

}  // namespace wavetile::kernels
