// Turns an element type into the tag that a kernel's signature is written with.
#pragma once

#include <fmt/format.h>

#include "dsl/dtype.h"
#include "dsl/error.h"

namespace wavetile::kernels {

template <class F>
auto with_float(DType t, F f) {
  switch (t) {
    case DType::f32: return f(f32{});
    case DType::f16: return f(f16{});
    case DType::bf16: return f(bf16{});
    default: throw Error(fmt::format("the kernel library stores weights as f32, f16 or bf16, not as {}", name_of(t)));
  }
}

}  // namespace wavetile::kernels
