// Integer vector instructions that saturate when the instruction says clamp.
#pragma once

#include <algorithm>
#include <limits>

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

/// An instruction given by its exact result, a function into a wider type; the register takes it modulo its size, or
/// with clamp the nearest value of R. Wide holds every result.
template <class R, class F, class W, class... A>
struct WrappedBase {
  R operator()(A... a) const { return static_cast<R>(F{}(a...)); }
};
template <class R, class F, class W, class... A>
struct SaturatedBase {
  R operator()(A... a) const {
    const W exact = F{}(a...);
    const W low = std::numeric_limits<R>::min(), high = std::numeric_limits<R>::max();
    return static_cast<R>(exact < low ? low : exact > high ? high : exact);
  }
};
template <class R, class F, class M>
struct Variants;
template <class R, class F, class W, class... A>
struct Variants<R, F, W (F::*)(A...) const> {
  using Wrapped = WrappedBase<R, F, W, A...>;
  using Saturated = SaturatedBase<R, F, W, A...>;
};

template <class R, class F>
Entry vector_clampable(F) {
  using V = Variants<R, F, decltype(&F::operator())>;
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            bind_vector(in, op, c, &run_vector<typename V::Wrapped>,
                        types_of(static_cast<typename Signature<F>::Arguments*>(nullptr)));
            if (op.omod != 0) throw Unsupported("scale of integers in '" + in.text + "'");
            if (op.clamp) op.run = &run_vector<typename V::Saturated>;
            op.clamp = false;
          }};
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
