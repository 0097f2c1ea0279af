// How far a result may be from the interpreter's (which computes in double precision), in one table. Bounds follow
// from the unit round-off of the types involved and the number of terms summed (Higham, 'Accuracy and Stability of
// Numerical Algorithms', 2nd ed., section 4.2), not from what some run happened to give.
#pragma once

#include <cmath>
#include <cstdint>

#include "runtime/tolerance.h"

namespace wavetile {

/// Loads, moves, comparisons, integers.
inline Tolerance exact() { return {}; }
/// A chain of `ops` f32 operations without cancellation, each within 3 ulp (codegen/vec.cpp).
inline Tolerance elementwise(int ops = 1) {
  return {kFunctionError * ops * unit_roundoff(DType::f32), smallest_step(DType::f32)};
}
/// A sum of `terms` f32 terms of at most `magnitude` each, in any order: the worst case is terms^2 u, what random
/// signs give is about terms u.
inline Tolerance summation(int64_t terms, double magnitude = 1) {
  double n = static_cast<double>(terms < 4 ? 4 : terms);
  return {4 * unit_roundoff(DType::f32), 2 * n * unit_roundoff(DType::f32) * magnitude};
}
/// A sum of `terms` f32 terms of about `magnitude` each, all of one sign: what rounding errors of random signs come to
/// (Higham and Mary, 'A New Approach to Probabilistic Rounding Error Analysis', 2019: a factor sqrt(n) instead of n),
/// divided by the number of terms.
inline double mean_error(int64_t terms, double magnitude) {
  return 4 * (std::sqrt(static_cast<double>(terms)) + 4) * unit_roundoff(DType::f32) * magnitude;
}
/// GELU of a sum that is off by `error`: its slope is at most 1.13. Far to the left, where exp would overflow, 0.
inline Tolerance gelu_of(double error) {
  return {elementwise(4).relative, 1.13 * error + 8 * unit_roundoff(DType::f32)};
}
/// (x - mean) / deviation * gain + bias, for values of at most `magnitude` and a gain of at most 1.
inline Tolerance normalised(int64_t terms, double magnitude, double deviation) {
  return {elementwise(4).relative, 2 * mean_error(terms, magnitude) / deviation + elementwise(4).relative};
}
/// exp(x - max) over a sum of `terms` of them, where the scores x are off by `error`.
inline Tolerance softmax_of(int64_t terms, double error = 0) {
  return {mean_error(terms, 1) + 2 * error, 8 * unit_roundoff(DType::f32)};
}
/// Values of at most `magnitude`, weighted by a softmax over `terms` scores that are off by `error`.
inline Tolerance attention_of(int64_t terms, double error, double magnitude = 1) {
  return {0, (2 * mean_error(terms, 1) + 2 * error) * magnitude};
}
}  // namespace wavetile
