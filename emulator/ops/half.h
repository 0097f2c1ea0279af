// 16-bit floats, in wider arithmetic. Every function rounds once, in the mode it is given, and is free of branches, so
// that loops over it become vector code. NaN stays NaN and becomes quiet; denormals are kept.
//
// Sums, products, quotients and square roots of two f16 may be taken in f32, in the same rounding mode, and rounded to
// f16: 24 bits >= 2 * 11 + 2, so that the second rounding of "to nearest" does no harm. A fused multiply-add may not:
// fma_for_f16 makes the f32 odd where it is inexact, which keeps the second rounding honest.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

// Rounding modes as in MODE's fields.
inline constexpr int kNearest = 0, kUp = 1, kDown = 2, kToZero = 3;

inline float f16_to_f32(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000u) << 16, rest = (h & 0x7fffu) << 13;
  // The exponent's bias grows by 112, by an exact multiplication, which serves denormals as well.
  const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) * 0x1p112f);
  const std::uint32_t quiet = rest > 0x0f800000u ? 0x00400000u : 0;
  return std::bit_cast<float>(sign | (rest >= 0x0f800000u ? rest | 0x7f800000u | quiet : scaled));
}

/// The magnitude of an f32 in a format of `mantissa` explicit bits and exponent bias `bias` (smaller than f32's), as a
/// code that goes on growing past the format's end. `random`, when not negative, rounds stochastically: 20 bits to add
/// below the last bit that stays.
template <int mantissa, int bias>
std::uint32_t narrow_code(std::uint32_t bits, int mode, std::int32_t random = -1) {
  constexpr std::uint32_t kBias = 127 - bias, kDrop = 23 - mantissa;
  const bool negative = bits >> 31;
  const std::uint32_t magnitude = bits & 0x7fffffffu, exponent = magnitude >> 23;
  const std::uint32_t full = (magnitude & 0x7fffffu) | (exponent != 0 ? 0x800000u : 0);
  const std::uint32_t lost = exponent > kBias ? 0 : kBias + 1 - exponent;  // bits more, for denormal results
  const std::uint32_t shift = kDrop + (lost < 31 - kDrop ? lost : 31 - kDrop);
  const std::uint32_t kept = full >> shift, rest = full & ((1u << shift) - 1);
  const bool away = (mode == kUp && !negative) || (mode == kDown && negative);
  const bool nearest_up = rest + (kept & 1) > 1u << (shift - 1);
  std::uint32_t up = (mode == kNearest ? nearest_up : away && rest != 0) ? 1 : 0;
  if (random >= 0)
    up = ((std::uint64_t{rest} << 20) + (static_cast<std::uint64_t>(random) << shift)) >> (20 + shift) & 1;
  const std::uint32_t base = exponent > kBias ? exponent - kBias - 1 : 0;
  return (base << mantissa) + kept + up;
}

inline std::uint16_t f32_to_f16(float f, int mode = kNearest) {
  const auto bits = std::bit_cast<std::uint32_t>(f);
  const std::uint32_t sign = bits >> 31, magnitude = bits & 0x7fffffffu;
  const std::uint32_t finite = narrow_code<10, 15>(bits, mode);
  const bool to_infinity = mode == kNearest || mode == (sign != 0 ? kDown : kUp);
  std::uint32_t out = finite < 0x7c00 ? finite : to_infinity ? 0x7c00 : 0x7bff;
  out = magnitude >= 0x7f800000u ? 0x7c00 : out;
  const std::uint32_t nan = 0x7e00 | ((magnitude & 0x7fffffu) >> 13);
  return static_cast<std::uint16_t>(sign << 15 | (magnitude > 0x7f800000u ? nan : out));
}

inline float bf16_to_f32(std::uint16_t b) { return std::bit_cast<float>(std::uint32_t{b} << 16); }

inline std::uint16_t f32_to_bf16(float f, int mode = kNearest) {
  const auto bits = std::bit_cast<std::uint32_t>(f);
  const bool negative = bits >> 31;
  const std::uint32_t rest = bits & 0xffff, kept = bits >> 16;
  const bool away = (mode == kUp && !negative) || (mode == kDown && negative);
  const bool up = mode == kNearest ? rest + (kept & 1) > 0x8000u : away && rest != 0;
  const std::uint32_t nan = kept | 0x40, magnitude = bits & 0x7fffffffu;
  const std::uint32_t rounded = magnitude >= 0x7f800000u ? kept : kept + (up ? 1 : 0);
  return static_cast<std::uint16_t>(magnitude > 0x7f800000u ? nan : rounded);
}

/// Cut to f32; where bits are lost the last bit is 1. Rounding that to a type of at most 22 bits (and f32's range of
/// exponents, or less) is rounding `d` to it.
inline float f64_to_odd_f32(double d) {
  const auto bits = std::bit_cast<std::uint64_t>(d);
  const auto sign = static_cast<std::uint32_t>(bits >> 32) & 0x80000000u;
  const std::uint64_t magnitude = bits & 0x7fffffffffffffffu, exponent = magnitude >> 52;
  // f32's denormals lose more bits; f64's are far below them.
  const std::uint64_t lost = exponent > 896 ? 0 : 897 - exponent, shift = 29 + (lost < 30 ? lost : 30);
  const std::uint64_t full = (magnitude & 0xfffffffffffffu) | std::uint64_t{1} << 52;
  const std::uint64_t base = exponent > 896 ? exponent - 897 : 0;
  const std::uint64_t odd = (full & ((std::uint64_t{1} << shift) - 1)) != 0 ? 1 : 0;
  auto out = static_cast<std::uint32_t>(((base << 23) + (full >> shift)) | odd);
  out = magnitude == 0 ? 0 : out;
  out = exponent > 1150 ? 0x7f7fffffu : out;
  out = exponent == 2047 ? 0x7f800000u | (magnitude > std::uint64_t{2047} << 52 ? 0x400000u : 0) : out;
  return std::bit_cast<float>(sign | out);
}
inline std::uint16_t f64_to_f16(double d, int mode = kNearest) { return f32_to_f16(f64_to_odd_f32(d), mode); }

/// x + y, with the last bit 1 where that is not exact. In directed modes the sum as it is: rounding it again, in the
/// same direction, does no harm. `mode` is also the mode of the host.
template <class T>
T odd_sum(T x, T y, int mode) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  const T sum = x + y, part = sum - x;
  const T error = (x - (sum - part)) + (y - part);  // exact when rounding to nearest
  const auto bits = std::bit_cast<Bits>(sum);
  const bool inexact = error < 0 || error > 0;
  const Bits odd = (error < 0) == (sum < 0) ? bits + 1 : bits - 1;
  return std::bit_cast<T>(mode == kNearest && inexact && (bits & 1) == 0 ? odd : bits);
}

/// a * b + c of f16: an f32 that rounds to f16 as the exact value does. The product is exact: 22 bits.
inline float fma_for_f16(float a, float b, float c, int mode) { return odd_sum(a * b, c, mode); }
/// The same of bf16. The product is exact: 16 bits, and twice the range.
inline float fma_for_bf16(float a, float b, float c, int mode) {
  return f64_to_odd_f32(odd_sum(double{a} * b, double{c}, mode));
}

// 8-bit floats of gfx942: no infinities, no -0; 0x80 is the only NaN. fp8 has 4 bits of exponent and bias 8, bf8 has 5
// and bias 16. `saturate`: what is too large becomes the largest number, instead of NaN.
inline float fp8_to_f32(std::uint32_t b) {
  const float magnitude = std::bit_cast<float>((b & 0x7f) << 20) * 0x1p119f;
  const auto bits = std::bit_cast<std::uint32_t>(magnitude) | (b & 0x80) << 24;
  return std::bit_cast<float>((b & 0xff) == 0x80 ? 0x7fc00000u : bits);
}
inline float bf8_to_f32(std::uint32_t b) {
  const float magnitude = std::bit_cast<float>((b & 0x7f) << 21) * 0x1p111f;
  const auto bits = std::bit_cast<std::uint32_t>(magnitude) | (b & 0x80) << 24;
  return std::bit_cast<float>((b & 0xff) == 0x80 ? 0x7fc00000u : bits);
}
template <int mantissa, int bias>
std::uint32_t f32_to_byte(float f, bool saturate, std::int32_t random = -1) {
  const auto bits = std::bit_cast<std::uint32_t>(f);
  const std::uint32_t sign = bits >> 24 & 0x80, code = narrow_code<mantissa, bias>(bits, kNearest, random);
  std::uint32_t out = code == 0 ? 0 : sign | code;
  out = code > 0x7f ? (saturate ? sign | 0x7f : 0x80) : out;
  return (bits & 0x7fffffffu) >= 0x7f800000u ? 0x80 : out;
}
inline std::uint32_t f32_to_fp8(float f, bool saturate, std::int32_t random = -1) {
  return f32_to_byte<3, 8>(f, saturate, random);
}
inline std::uint32_t f32_to_bf8(float f, bool saturate, std::int32_t random = -1) {
  return f32_to_byte<2, 16>(f, saturate, random);
}

/// To the nearest integer, ties to even, whatever the host's mode.
template <class T>
T round_even(T x) {
  const T below = std::floor(x), part = x - below, half = below * T(0.5);
  const bool up = part > T(0.5) || (part == T(0.5) && half != std::floor(half));
  return std::copysign(up ? below + 1 : below, x);
}

// Minimum and maximum on the bits: -0 < +0, a number is preferred to NaN, and with `ieee` (of MODE) a signalling NaN
// gives a quiet one.
inline bool f16_is_nan(std::uint16_t a) { return (a & 0x7fff) > 0x7c00; }
inline int f16_order(std::uint16_t a) {
  const auto s = static_cast<std::int16_t>(a);
  return static_cast<std::int16_t>(s ^ ((s >> 15) & 0x7fff));
}
inline std::uint16_t f16_choose(std::uint16_t a, std::uint16_t b, bool first, bool ieee) {
  const bool nan_a = f16_is_nan(a), nan_b = f16_is_nan(b);
  std::uint16_t r = nan_a || (!first && !nan_b) ? b : a;
  r = ieee && nan_b && (b & 0x200) == 0 ? b | 0x200 : r;
  return static_cast<std::uint16_t>(ieee && nan_a && (a & 0x200) == 0 ? a | 0x200 : r);
}
inline std::uint16_t f16_min(std::uint16_t a, std::uint16_t b, bool ieee) {
  return f16_choose(a, b, f16_order(a) < f16_order(b), ieee);
}
inline std::uint16_t f16_max(std::uint16_t a, std::uint16_t b, bool ieee) {
  return f16_choose(a, b, f16_order(a) > f16_order(b), ieee);
}

/// Rows of `n` values (a multiple of 8).
inline void f16_to_f32(const std::uint16_t* from, float* to, int n) {
#if defined(__F16C__)
  for (int i = 0; i < n; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
#else
  for (int i = 0; i < n; ++i) to[i] = f16_to_f32(from[i]);
#endif
}

inline void f32_to_f16(const float* from, std::uint16_t* to, int n, int mode) {
#if defined(__F16C__)
  if (mode == kNearest) {
    for (int i = 0; i < n; i += 8) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                       _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    }
    return;
  }
#endif
  for (int i = 0; i < n; ++i) to[i] = f32_to_f16(from[i], mode);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
