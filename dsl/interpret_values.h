// What the interpreter computes with: numbers that behave as the machine's, and dense arrays of them. Floats are
// doubles, everything else wrapping 32-bit integers. Not installed: interpret.cpp alone uses it.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "dsl/ir.h"

namespace wavetile::interpreted {

// i32 with the arithmetic of the machine: it wraps.
struct Int {
  int32_t v = 0;
  Int() = default;
  Int(int32_t x) : v(x) {}
  static Int wrap(int64_t x) { return Int(static_cast<int32_t>(static_cast<uint32_t>(x))); }
};
inline int64_t wide(Int a) { return a.v; }
inline Int operator+(Int a, Int b) { return Int::wrap(wide(a) + b.v); }
inline Int operator-(Int a, Int b) { return Int::wrap(wide(a) - b.v); }
inline Int operator*(Int a, Int b) { return Int::wrap(wide(a) * b.v); }
inline Int operator-(Int a) { return Int::wrap(-wide(a)); }
inline Int operator&(Int a, Int b) { return a.v & b.v; }
inline Int operator|(Int a, Int b) { return a.v | b.v; }
inline Int operator^(Int a, Int b) { return a.v ^ b.v; }
inline bool operator<(Int a, Int b) { return a.v < b.v; }
inline bool operator<=(Int a, Int b) { return a.v <= b.v; }
inline bool operator==(Int a, Int b) { return a.v == b.v; }
inline bool operator!=(Int a, Int b) { return a.v != b.v; }

// The functions that functions.def uses.
using std::abs, std::exp, std::exp2, std::log, std::sqrt, std::tanh, std::sin, std::cos, std::floor;
inline Int abs(Int a) { return a.v < 0 ? -a : a; }
inline double minimum(double a, double b) { return std::isnan(a) || std::isnan(b) ? a + b : std::min(a, b); }
inline double maximum(double a, double b) { return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b); }
inline Int minimum(Int a, Int b) { return std::min(a.v, b.v); }
inline Int maximum(Int a, Int b) { return std::max(a.v, b.v); }
inline double mad(double a, double b, double c) { return std::fma(a, b, c); }
inline double rsqrt(double a) { return 1 / std::sqrt(a); }
inline double round_even(double a) { return std::nearbyint(a); }
inline Int quotient(Int a, Int b) { return b.v == 0 ? Int(0) : Int::wrap(wide(a) / b.v); }
inline Int remainder(Int a, Int b) { return b.v == 0 ? Int(0) : Int::wrap(wide(a) % b.v); }
inline Int shift_left(Int a, Int b) { return Int::wrap(wide(a) << (b.v & 31)); }
inline Int shift_right(Int a, Int b) { return a.v >> (b.v & 31); }  // arithmetic
template <class T>
T select(Int condition, T a, T b) {
  return condition.v ? a : b;
}

// Rounds to f32 so that a second rounding to a narrower type gives what rounding once would: to odd if inexact.
inline float to_odd(double x) {
  float f = static_cast<float>(x);
  if (std::isnan(x) || static_cast<double>(f) == x) return f;
  auto u = std::bit_cast<uint32_t>(f);
  if (std::abs(static_cast<double>(f)) > std::abs(x)) --u;
  return std::bit_cast<float>(u | 1);
}

inline int32_t saturated(double x, DType to) {
  double lo = to == DType::i32 ? std::numeric_limits<int32_t>::min() : to == DType::i8 ? -128 : 0;
  double hi = to == DType::i32 ? std::numeric_limits<int32_t>::max() : to == DType::i8 ? 127 : 255;
  return std::isnan(x) ? 0 : static_cast<int32_t>(std::clamp(std::trunc(x), lo, hi));
}
inline Int narrowed(Int x, DType to) {
  if (to == DType::i8) return static_cast<int8_t>(x.v);
  if (to == DType::u8) return static_cast<uint8_t>(x.v);
  return to == DType::b1 ? Int(x.v != 0) : x;
}

struct Array {
  Axes axes;
  std::vector<int64_t> extents;
  std::vector<double> f;  // of f32, f16, bf16
  std::vector<Int> i;     // of the other types

  template <class T>
  auto& of() {
    if constexpr (std::is_same_v<T, double>)
      return f;
    else
      return i;
  }
  template <class T>
  const auto& of() const {
    return const_cast<Array*>(this)->of<T>();
  }
  int64_t size() const {
    int64_t n = 1;
    for (int64_t e : extents) n *= e;
    return n;
  }
  /// Its strides along `to`, 0 where it does not have the axis.
  std::vector<int64_t> strides_along(const Axes& to) const {
    std::vector<int64_t> strides(to.size(), 0);
    int64_t stride = 1;
    for (size_t a = axes.size(); a-- > 0; stride *= extents[a]) {
      auto at = std::find(to.begin(), to.end(), axes[a]);
      if (at != to.end()) strides[static_cast<size_t>(at - to.begin())] = stride;
    }
    return strides;
  }
  int64_t stride_of(RangeId r) const { return strides_along({r})[0]; }
};

// Calls row(coordinates, n) for each row of n elements along the last axis.
template <class Row>
void for_rows(const std::vector<int64_t>& extents, Row row) {
  std::vector<int64_t> at(extents.size(), 0);
  int64_t n = extents.empty() ? 1 : extents.back();
  for (int64_t e : extents)
    if (e == 0) return;
  while (true) {
    row(at, n);
    size_t d = extents.empty() ? 0 : extents.size() - 1;
    while (d > 0 && ++at[d - 1] == extents[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}
inline int64_t offset_at(const std::vector<int64_t>& at, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t d = 0; d < at.size(); ++d) offset += at[d] * strides[d];
  return offset;
}
inline int64_t last_of(const std::vector<int64_t>& strides) { return strides.empty() ? 0 : strides.back(); }

template <class T>
struct Row {  // an operand along the last axis of a result
  const T* p;
  int64_t step;
  T operator[](int64_t j) const { return p[j * step]; }
};

}  // namespace wavetile::interpreted
