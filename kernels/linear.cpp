// Products with weights: one fold over k, and what follows while the result is still in registers.
#include <functional>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace wavetile::kernels {
namespace {

template <class I, class W>
Tile product(Tensor<I> A, Tensor<W> B, Range m, Range n) {
  return fold(serial("k", A.dim(1)), fill(0, m, n), [=](Range k, Tile acc) { return acc + dot(A(m, k), B(k, n), k); });
}
template <class I, class W>
Tile product(Tensor<I> X, Tensor<W> B, Range n) {
  return fold(serial("k", X.dim(0)), fill(0, n), [=](Range k, Tile acc) { return acc + dot(X(k), B(k, n), k); });
}
Tile apply(Activation a, Tile x) { return a == Activation::gelu ? gelu(x) : x; }
std::string suffix(Activation a) { return a == Activation::gelu ? "_gelu" : ""; }

}  // namespace

Kernel matmul(DType weights, DType inputs) {
  return with_floats(weights, inputs, []<class W, class I>(W, I) {
    return Kernel("matmul", {"A", "B", "C"}, [](Tensor<I> A, Tensor<W> B, Tensor<f32> C) {
      Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1));
      C(m, n) = product(A, B, m, n);
    });
  });
}

Kernel batched_matmul(DType weights) {
  return with_float(weights, []<class W>(W) {
    return Kernel("batched_matmul", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<W> B, Tensor<f32> C) {
      Range b = parallel("b", A.dim(0)), m = parallel("m", A.dim(1)), n = parallel("n", B.dim(2));
      C(b, m, n) = fold(serial("k", A.dim(2)), fill(0, b, m, n),
                        [=](Range k, Tile acc) { return acc + dot(A(b, m, k), B(b, k, n), k); });
    });
  });
}

Kernel linear(DType weights, Activation a, DType inputs, DType out) {
  return with_floats(weights, inputs, out, [a]<class W, class I, class O>(W, I, O) {
    return Kernel("linear" + suffix(a), {"A", "B", "Bias", "C"},
                  [a](Tensor<I> A, Tensor<W> B, Tensor<f32> Bias, Tensor<O> C) {
                    Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1));
                    C(m, n) = apply(a, product(A, B, m, n) + Bias(n));
                  });
  });
}

Kernel linear_residual(DType weights, DType inputs) {
  return with_floats(weights, inputs, []<class W, class I>(W, I) {
    return Kernel("linear_residual", {"A", "B", "Bias", "R", "C"},
                  [](Tensor<I> A, Tensor<W> B, Tensor<f32> Bias, Tensor<f32> R, Tensor<f32> C) {
                    Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1));
                    C(m, n) = R(m, n) + (product(A, B, m, n) + Bias(n));
                  });
  });
}

Kernel gemv(DType weights, DType inputs) {
  return with_floats(weights, inputs, []<class W, class I>(W, I) {
    return Kernel("gemv", {"X", "B", "Y"}, [](Tensor<I> X, Tensor<W> B, Tensor<f32> Y) {
      Range n = parallel("n", B.dim(1));
      Y(n) = product(X, B, n);
    });
  });
}

Kernel gemv_linear(DType weights, Activation a, DType inputs, DType out) {
  return with_floats(weights, inputs, out, [a]<class W, class I, class O>(W, I, O) {
    return Kernel("gemv_linear" + suffix(a), {"X", "B", "Bias", "Y"},
                  [a](Tensor<I> X, Tensor<W> B, Tensor<f32> Bias, Tensor<O> Y) {
                    Range n = parallel("n", B.dim(1));
                    Y(n) = apply(a, product(X, B, n) + Bias(n));
                  });
  });
}

Kernel gemv_residual(DType weights, DType inputs) {
  return with_floats(weights, inputs, []<class W, class I>(W, I) {
    return Kernel("gemv_residual", {"X", "B", "Bias", "R", "Y"},
                  [](Tensor<I> X, Tensor<W> B, Tensor<f32> Bias, Tensor<f32> R, Tensor<f32> Y) {
                    Range n = parallel("n", B.dim(1));
                    Y(n) = R(n) + (product(X, B, n) + Bias(n));
                  });
  });
}

}  // namespace wavetile::kernels
