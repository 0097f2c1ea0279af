// Scalar floats (RDNA3.5). MODE's rounding and denormals hold as in vector instructions; halves are written with zeros
// above. Minimum and maximum are minNum and maxNum, with -0 below +0.
#include <algorithm>

#include "emulator/ops/half.h"
#include "emulator/ops/scalar.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using U = std::uint32_t;
using H = std::uint16_t;

float flushed(float v, bool kept) {
  return !kept && std::abs(v) < std::numeric_limits<float>::min() ? std::copysign(0.0f, v) : v;
}
float in32(const Wave& w, float v) { return flushed(v, (w.mode.denorm32 & 1) != 0); }
float out32(const Wave& w, float v) { return flushed(v, (w.mode.denorm32 & 2) != 0); }
H half_flushed(H v, bool kept) { return !kept && (v & 0x7c00) == 0 ? static_cast<H>(v & 0x8000) : v; }
double in16(const Wave& w, H v) { return f16_to_f32(half_flushed(v, (w.mode.denorm64 & 1) != 0)); }
H out16(const Wave& w, H v) { return half_flushed(v, (w.mode.denorm64 & 2) != 0); }
H half_result(const Wave& w, double v) { return out16(w, f64_to_f16(v, w.mode.round64)); }

// f() as MODE rounds f32. Volatile: the compiler must not move the arithmetic out of the region.
template <class F>
float rounded(const Wave& w, float a, float b, float c, F f) {
  static constexpr int kModes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  volatile float x = in32(w, a), y = in32(w, b), z = in32(w, c);
  if (w.mode.round32 != 0) std::fesetround(kModes[w.mode.round32]);
  volatile float result = f(x, y, z);
  if (w.mode.round32 != 0) std::fesetround(FE_TONEAREST);
  return out32(w, result);
}
float fused(const Wave& w, float a, float b, float c) {
  return rounded(w, a, b, c, [](float x, float y, float z) { return std::fma(x, y, z); });
}

// a * b + c of halves, rounded to odd where double is too short, so that rounding to half is still right.
double fused_half(double a, double b, double c) {
  const double product = a * b, sum = product + c;
  if (!std::isfinite(sum)) return sum;
  const double part = sum - product, error = (product - (sum - part)) + (c - part);
  const auto bits = std::bit_cast<std::uint64_t>(sum);
  if (error == 0 || (bits & 1) != 0) return sum;
  return std::bit_cast<double>(std::signbit(error) == std::signbit(sum) ? bits + 1 : bits - 1);
}

template <class T>
T minimum(T a, T b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return std::min(a, b);
}
template <class T>
T maximum(T a, T b) {
  return -minimum(-a, -b);
}

template <class F>
void comparison(Table& t, std::string_view name, F) {
  t.add(Family::rdna3, fmt::format("s_cmp_{}_f32", name),
        scalar([](Wave& w, float a, float b) { w.scc = F{}(in32(w, a), in32(w, b)); }));
  t.add(Family::rdna3, fmt::format("s_cmp_{}_f16", name),
        scalar([](Wave& w, H a, H b) { w.scc = F{}(in16(w, a), in16(w, b)); }));
}

void add_comparisons(Table& t) {
  comparison(t, "lt", [](auto a, auto b) { return a < b; });
  comparison(t, "eq", [](auto a, auto b) { return a == b; });
  comparison(t, "le", [](auto a, auto b) { return a <= b; });
  comparison(t, "gt", [](auto a, auto b) { return a > b; });
  comparison(t, "lg", [](auto a, auto b) { return a < b || a > b; });
  comparison(t, "ge", [](auto a, auto b) { return a >= b; });
  comparison(t, "o", [](auto a, auto b) { return !std::isnan(a) && !std::isnan(b); });
  comparison(t, "u", [](auto a, auto b) { return std::isnan(a) || std::isnan(b); });
  comparison(t, "nge", [](auto a, auto b) { return !(a >= b); });
  comparison(t, "nlg", [](auto a, auto b) { return !(a < b || a > b); });
  comparison(t, "ngt", [](auto a, auto b) { return !(a > b); });
  comparison(t, "nle", [](auto a, auto b) { return !(a <= b); });
  comparison(t, "neq", [](auto a, auto b) { return !(a == b); });
  comparison(t, "nlt", [](auto a, auto b) { return !(a < b); });
}

template <class F>
void rounding(Table& t, std::string_view name, F) {
  t.add(Family::rdna3, fmt::format("s_{}_f32", name), scalar([](Wave& w, float a) {
          const float x = in32(w, a);
          return out32(w, std::isnan(x) ? x + x : F{}(x));  // + quiets
        }));
  t.add(Family::rdna3, fmt::format("s_{}_f16", name),
        scalar([](Wave& w, H a) { return half_result(w, F{}(in16(w, a))); }));
}

template <class T>
T saturated(float v) {
  constexpr double kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  return std::isnan(v) ? 0 : static_cast<T>(std::clamp(std::trunc(double{v}), kLow, kHigh));
}

// An integer's nearest floats in MODE's direction; the integer is exact in double.
float from_integer(const Wave& w, double v) {
  static constexpr int kModes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  volatile double x = v;
  std::fesetround(kModes[w.mode.round32]);
  volatile float result = static_cast<float>(x);
  std::fesetround(FE_TONEAREST);
  return result;
}

void add_conversions(Table& t) {
  constexpr Family kFamily = Family::rdna3;
  t.add(kFamily, "s_cvt_f32_i32", scalar([](Wave& w, std::int32_t a) { return from_integer(w, a); }));
  t.add(kFamily, "s_cvt_f32_u32", scalar([](Wave& w, U a) { return from_integer(w, a); }));
  t.add(kFamily, "s_cvt_i32_f32", scalar([](Wave& w, float a) { return saturated<std::int32_t>(in32(w, a)); }));
  t.add(kFamily, "s_cvt_u32_f32", scalar([](Wave& w, float a) { return saturated<U>(in32(w, a)); }));
  t.add(kFamily, "s_cvt_f16_f32", scalar([](Wave& w, float a) { return half_result(w, in32(w, a)); }));
  t.add(kFamily, "s_cvt_f32_f16", scalar([](Wave& w, H a) { return out32(w, static_cast<float>(in16(w, a))); }));
  t.add(kFamily, "s_cvt_hi_f32_f16",
        scalar([](Wave& w, U a) { return out32(w, static_cast<float>(in16(w, static_cast<H>(a >> 16)))); }));
  t.add(kFamily, "s_cvt_pk_rtz_f16_f32", scalar([](Wave& w, float a, float b) {
          return static_cast<U>(out16(w, f32_to_f16(in32(w, a), 3)) | out16(w, f32_to_f16(in32(w, b), 3)) << 16);
        }));
}

}  // namespace

void add_scalar_float(Table& t) {
  constexpr Family kFamily = Family::rdna3;
  t.add(kFamily, "s_add_f32", scalar([](Wave& w, float a, float b) {
          return rounded(w, a, b, 0, [](float x, float y, float) { return x + y; });
        }));
  t.add(kFamily, "s_sub_f32", scalar([](Wave& w, float a, float b) {
          return rounded(w, a, b, 0, [](float x, float y, float) { return x - y; });
        }));
  t.add(kFamily, "s_mul_f32", scalar([](Wave& w, float a, float b) {
          return rounded(w, a, b, 0, [](float x, float y, float) { return x * y; });
        }));
  t.add(kFamily, "s_min_f32",
        scalar([](Wave& w, float a, float b) { return out32(w, minimum(in32(w, a), in32(w, b))); }));
  t.add(kFamily, "s_max_f32",
        scalar([](Wave& w, float a, float b) { return out32(w, maximum(in32(w, a), in32(w, b))); }));
  for (std::string_view name : {"s_fmac_f32", "s_fmaak_f32", "s_fmamk_f32"}) {
    t.add(kFamily, name, scalar([](Wave& w, float a, float b, float c) { return fused(w, a, b, c); }));
  }
  t.add(kFamily, "s_add_f16", scalar([](Wave& w, H a, H b) { return half_result(w, in16(w, a) + in16(w, b)); }));
  t.add(kFamily, "s_sub_f16", scalar([](Wave& w, H a, H b) { return half_result(w, in16(w, a) - in16(w, b)); }));
  t.add(kFamily, "s_mul_f16", scalar([](Wave& w, H a, H b) { return half_result(w, in16(w, a) * in16(w, b)); }));
  t.add(kFamily, "s_min_f16",
        scalar([](Wave& w, H a, H b) { return half_result(w, minimum(in16(w, a), in16(w, b))); }));
  t.add(kFamily, "s_max_f16",
        scalar([](Wave& w, H a, H b) { return half_result(w, maximum(in16(w, a), in16(w, b))); }));
  t.add(kFamily, "s_fmac_f16",
        scalar([](Wave& w, H a, H b, H c) { return half_result(w, fused_half(in16(w, a), in16(w, b), in16(w, c))); }));
  rounding(t, "ceil", [](auto v) { return std::ceil(v); });
  rounding(t, "floor", [](auto v) { return std::floor(v); });
  rounding(t, "trunc", [](auto v) { return std::trunc(v); });
  rounding(t, "rndne", [](auto v) { return std::nearbyint(v); });
  add_conversions(t);
  add_comparisons(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
