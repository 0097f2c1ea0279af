// How far a result may be from the interpreter's, which computes in double precision: what rounding can do, and no
// more.
#pragma once

#include <cmath>

#include "dsl/dtype.h"

namespace wavetile {

/// Half the distance from 1 to the next greater number; 0 for integers, which have no error.
inline double unit_roundoff(DType t) {
  switch (t) {
    case DType::f32:
      return 0x1p-24;
    case DType::f16:
      return 0x1p-11;
    case DType::bf16:
      return 0x1p-8;
    default:
      return 0;
  }
}
/// The smallest distance between two numbers: what an error may amount to near zero.
inline double smallest_step(DType t) {
  switch (t) {
    case DType::f32:
      return 0x1p-149;
    case DType::f16:
      return 0x1p-24;
    case DType::bf16:
      return 0x1p-133;
    default:
      return 0;
  }
}

/// Unit round-offs by which a target's elementwise functions may be off: 3 ulp (codegen/vec.cpp, Target::function).
constexpr double kFunctionError = 6;

/// exp2 may be 0 where its result is denormal (v_exp_f32 of AMD GPUs).
constexpr double kFlushed = 0x1p-126;

/// |got - want| <= absolute + relative * |want|, beside the rounding of the stored type, which is always allowed.
struct Tolerance {
  double relative = 0, absolute = 0;
};

/// Whether `got`, as stored in type t, is `want` within the tolerance. NaN equals only NaN; infinity only the same one.
inline bool within(DType t, double got, double want, Tolerance e) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  if (std::isinf(want) || std::isinf(got)) return got == want;
  if (got == want) return true;
  bool rounds = e.relative > 0 || e.absolute > 0;  // an exact result was rounded once, in both
  double stored = rounds ? 2 * unit_roundoff(t) * std::fabs(want) + smallest_step(t) : 0;
  return std::fabs(got - want) <= e.absolute + e.relative * std::fabs(want) + stored;
}

}  // namespace wavetile
