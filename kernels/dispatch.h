// Turns an element type into the tag that a kernel's signature is written with.
#pragma once

#include <fmt/format.h>

#include "dsl/dtype.h"
#include "dsl/error.h"

namespace wavetile::kernels {

template <class F>
auto with_float(DType t, F f) {
  switch (t) {
    case DType::f32:
      return f(f32{});
    case DType::f16:
      return f(f16{});
    case DType::bf16:
      return f(bf16{});
    default:
      throw Error(fmt::format("the kernel library stores weights as f32, f16 or bf16, not as {}", name_of(t)));
  }
}

// Weights, and activations.
template <class F>
auto with_floats(DType weights, DType activations, F f) {
  return with_float(weights, [&](auto w) { return with_float(activations, [&](auto a) { return f(w, a); }); });
}
template <class F>
auto with_floats(DType weights, DType inputs, DType out, F f) {
  return with_floats(weights, inputs, [&](auto w, auto i) {
    return with_floats(DType::f32, out, [&](auto, auto o) { return f(w, i, o); });
  });
}

}  // namespace wavetile::kernels
