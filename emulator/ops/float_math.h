// Float functions of f32 and f64 that share their definition: rounding to integers, exponents, and the steps of
// division. They hold in every rounding mode of the host.
#pragma once

#include "emulator/ops/float_bits.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float floor_of(float x) { return __builtin_floorf(x); }
inline double floor_of(double x) { return __builtin_floor(x); }
inline float ceil_of(float x) { return __builtin_ceilf(x); }
inline double ceil_of(double x) { return __builtin_ceil(x); }
inline float trunc_of(float x) { return __builtin_truncf(x); }
inline double trunc_of(double x) { return __builtin_trunc(x); }
/// Signalling NaNs become quiet, as in all arithmetic; the functions above let them through.
template <class T>
T quiet(T x) {
  return is_nan(x) ? quieted(x) : x;
}
inline float magnitude(float x) { return __builtin_fabsf(x); }
inline double magnitude(double x) { return __builtin_fabs(x); }

/// To the nearest integer, ties to even, whatever MODE's rounding is.
template <class T>
T round_even(T x) {
  const T whole = trunc_of(x), rest = magnitude(x - whole), half = whole * T(0.5);
  const bool odd = trunc_of(half) != half;
  const bool up = (rest > T(0.5)) | ((rest == T(0.5)) & odd);
  const T r = up ? magnitude(whole) + T(1) : magnitude(whole);
  // Numbers without a fraction, infinities among them, stay as they are.
  return magnitude(x) < T(1) / std::numeric_limits<T>::epsilon() ? with_sign(r, sign_of(x)) : quiet(x);
}

/// x - floor(x), below 1 even where that rounds to it.
template <class T>
T fraction(T x) {
  const T below_one = T(1) - std::numeric_limits<T>::epsilon() / 2;
  const T r = x - floor_of(x);
  return r > below_one ? below_one : r;
}

/// e where x = m 2^e with 0.5 <= |m| < 1; 0 for zeros, infinities and NaNs.
template <class T>
std::int32_t exponent_of(T x) {
  constexpr int kBias = (1 << (LaneType<T>::bits - 2 - mantissa_bits<T>())) - 2;
  const T scale = T(std::uint64_t{1} << (mantissa_bits<T>() + 1));
  const int shift = is_denormal(x) ? mantissa_bits<T>() + 1 : 0;
  const T normal = is_denormal(x) ? x * scale : x;
  const int e = exponent_field(normal) - kBias - shift;
  return (is_zero(x) | is_nan(x) | is_infinite(x)) ? 0 : e;
}
/// m of the same; what has no exponent stays as it is.
template <class T>
T mantissa_of(T x) {
  const T scale = T(std::uint64_t{1} << (mantissa_bits<T>() + 1));
  const T normal = is_denormal(x) ? x * scale : x;
  const T half = T(0.5);
  const auto m = static_cast<BitsOf<T>>((bits_of(normal) & ~infinity_bits<T>()) | bits_of(half));
  return (is_zero(x) | is_infinite(x)) ? x : is_nan(x) ? quieted(x) : std::bit_cast<T>(m);
}

template <class T>
constexpr T power_of_two(int e) {
  constexpr int kBias = (1 << (LaneType<T>::bits - 2 - mantissa_bits<T>())) - 1;
  return std::bit_cast<T>(static_cast<BitsOf<T>>(static_cast<BitsOf<T>>(kBias + e) << mantissa_bits<T>()));
}

inline double scaled(double x, std::int32_t e) { return __builtin_ldexp(x, e < -5000 ? -5000 : e > 5000 ? 5000 : e); }
inline float scaled(float x, std::int32_t e) {
  // Exact in double, whose exponents reach further; the conversion rounds once.
  e = e < -400 ? -400 : e > 400 ? 400 : e;
  const double factor = std::bit_cast<double>(static_cast<std::uint64_t>(1023 + e) << 52);
  return static_cast<float>(static_cast<double>(x) * factor);
}

// By how much division scales, as a power of two, and where.
template <class T>
struct Division;
template <>
struct Division<float> {
  static constexpr int scale = 64, far = 96, tiny = 23, underflow = -150;
};
template <>
struct Division<double> {
  static constexpr int scale = 128, far = 768, tiny = 53, underflow = -1075;
};

template <class T>
struct Scaled {
  T value;
  std::uint32_t bit;
};

// True where the quotient, before it is rounded to T, is below T's normal numbers. It decides by exponents and, on the
// border, by mantissas, so that no rounding and no range is in the way.
template <class T>
bool quotient_is_denormal(T n, T d) {
  const int e = exponent_of(n) - exponent_of(d);
  constexpr int smallest = std::numeric_limits<T>::min_exponent;
  return (e < smallest - 1) | ((e == smallest - 1) & (magnitude(mantissa_of(n)) < magnitude(mantissa_of(d))));
}

/// v_div_scale: s0, which is the denominator d or the numerator n, scaled so that neither the reciprocal of the
/// denominator nor a step of the refinement leaves the normal numbers; the bit says that v_div_fmas has to undo it.
template <class T>
Scaled<T> division_scale(T s0, T d, T n) {
  using D = Division<T>;
  const T up = s0 * power_of_two<T>(D::scale), down = s0 * power_of_two<T>(-D::scale);
  const bool finite = !(is_nan(d) | is_infinite(d) | is_nan(n) | is_infinite(n));
  const bool small_reciprocal = finite & quotient_is_denormal(T(1), d),
             small_quotient = finite & quotient_is_denormal(n, d);
  const bool far = exponent_field(n) - exponent_field(d) >= D::far;
  // From the least binding rule to the most.
  T value = exponent_field(n) <= D::tiny ? up : s0;
  value = small_quotient ? (s0 == n ? up : s0) : value;
  value = small_reciprocal ? (((s0 == d) | !small_quotient) ? down : s0) : value;
  value = is_denormal(d) ? up : value;
  value = far ? (s0 == d ? up : s0) : value;
  const bool none = is_zero(d) | is_zero(n);
  const bool undo = (far | (!is_denormal(d) & small_quotient)) & !none;
  return {none ? std::numeric_limits<T>::quiet_NaN() : value, undo ? std::uint32_t{1} : 0};
}

/// fma(a, b, c), of which `c` is nearly all, times 2^-power: rounded once to nearest, also where it is denormal.
template <class T>
T fused_scaled_down(T a, T b, T c, int power) {
  const T v = fused(a, b, c);
  const T r = scaled(v, -power);
  if (magnitude(r) > std::numeric_limits<T>::min())
    return r;  // the smallest normal number may be a denormal rounded up
  const T lost = v - scaled(r, power);
  const T half = scaled(std::numeric_limits<T>::denorm_min(), power - 1);
  if (magnitude(lost) != half || std::fegetround() != FE_TONEAREST) return r;
  // v, rounded already, lies half-way between two results: what the first rounding dropped decides.
  const T dropped = fused(a, b, c - v);
  if (lost > 0 && dropped > 0) return std::nextafter(r, std::numeric_limits<T>::infinity());
  if (lost < 0 && dropped < 0) return std::nextafter(r, -std::numeric_limits<T>::infinity());
  return r;
}

/// v_div_fmas. The scale is up where the quotient was made small, which shows in c, and down where it was made large.
template <class T>
T division_fmas(T a, T b, T c, bool scale) {
  constexpr int kScale = Division<T>::scale;
  if (!scale) return fused(a, b, c);
  constexpr int kOne = (1 << (LaneType<T>::bits - 2 - mantissa_bits<T>())) - 1;
  return exponent_field(c) > kOne ? scaled(fused(a, b, c), kScale) : fused_scaled_down(a, b, c, kScale);
}

/// v_div_fixup: the quotient q of n / d, with the cases that the steps before do not get right.
template <class T>
T division_fixup(T q, T d, T n) {
  const bool negative = sign_of(d) != sign_of(n);
  const T infinity = std::numeric_limits<T>::infinity();
  // 0 / 0 and infinity / infinity give a negative NaN.
  const T invalid = with_sign(std::numeric_limits<T>::quiet_NaN(), true);
  if (is_nan(n)) return quieted(n);
  if (is_nan(d)) return quieted(d);
  if ((is_zero(d) && is_zero(n)) || (is_infinite(d) && is_infinite(n))) return invalid;
  if (is_zero(d) || is_infinite(n)) return with_sign(infinity, negative);
  if (is_infinite(d) || is_zero(n)) return with_sign(T(0), negative);
  // Too small for a denormal: the division itself rounds as MODE says.
  if (exponent_field(n) - exponent_field(d) < Division<T>::underflow) return n / d;
  // The steps overflowed.
  if (is_nan(q)) return with_sign(infinity, negative);
  return with_sign(q, negative);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
