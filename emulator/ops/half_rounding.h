// Halves one at a time, through double: every half is one, and so are sums and products of two.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

inline double half_value(std::uint32_t half) {
  const std::uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  double value =
      std::ldexp(exponent == 0 ? fraction : fraction + 1024.0, static_cast<int>(exponent == 0 ? 1 : exponent) - 25);
  if (exponent == 31) value = fraction == 0 ? INFINITY : NAN;
  return (half & 0x8000) != 0 ? -value : value;
}

/// MODE's rounding: 0 to the nearest even, 1 up, 2 down, 3 towards zero.
inline std::uint16_t round_to_half(double v, int mode) {
  const bool negative = std::signbit(v);
  const std::uint32_t sign = negative ? 0x8000 : 0;
  if (std::isnan(v)) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (std::isinf(v)) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (v == 0) return static_cast<std::uint16_t>(sign);
  const int quantum = std::max(std::ilogb(v) - 10, -24);
  const double scaled = std::ldexp(std::abs(v), -quantum), whole = std::floor(scaled), rest = scaled - whole;
  const bool odd = std::fmod(whole, 2) != 0;
  const bool up = mode == 0 ? rest > 0.5 || (rest == 0.5 && odd) : mode != 3 && rest > 0 && negative == (mode == 2);
  if (quantum > 5) {  // beyond the largest exponent
    const bool infinite = mode == 0 || (mode != 3 && negative == (mode == 2));
    return static_cast<std::uint16_t>(sign | (infinite ? 0x7c00 : 0x7bff));
  }
  const auto mantissa = static_cast<std::uint32_t>(whole) + (up ? 1 : 0);
  // A carry goes into the exponent, and from the largest one to infinity.
  const std::uint32_t bits = (static_cast<std::uint32_t>(quantum + 25) << 10) + mantissa - 1024;
  return static_cast<std::uint16_t>(sign | bits);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
