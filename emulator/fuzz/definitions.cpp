#include "emulator/fuzz/definitions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "emulator/fuzz/reference.h"

namespace wavetile::fuzz {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

u32 byte_of(u64 word, int i) { return static_cast<u32>(word >> 8 * i & 0xff); }
u32 difference(u32 a, u32 b) { return a > b ? a - b : b - a; }

// ---- bytes and bits

u32 perm(u32 high, u32 low, u32 select) {
  const u64 both = u64{high} << 32 | low;
  u32 r = 0;
  for (int i = 0; i < 4; ++i) {
    const u32 s = byte_of(select, i);
    u32 b = s > 12 ? 0xff : 0;
    if (s < 8) b = byte_of(both, static_cast<int>(s));
    if (s >= 8 && s < 12) b = both >> (16 * (s - 8) + 15) & 1 ? 0xff : 0;
    r |= b << 8 * i;
  }
  return r;
}
u32 alignbyte(u32 high, u32 low, u32 n) { return static_cast<u32>((u64{high} << 32 | low) >> 8 * (n & 3)); }
u32 sad(u32 a, u32 b, bool masked) {
  u32 sum = 0;
  for (int i = 0; i < 4; ++i)
    if (!masked || byte_of(b, i) != 0) sum += difference(byte_of(a, i), byte_of(b, i));
  return sum;
}
u32 sad_u8(u32 a, u32 b, u32 c) { return sad(a, b, false) + c; }
u32 sad_hi_u8(u32 a, u32 b, u32 c) { return (sad(a, b, false) << 16) + c; }
u32 sad_u16(u32 a, u32 b, u32 c) { return difference(a & 0xffff, b & 0xffff) + difference(a >> 16, b >> 16) + c; }
u32 msad_u8(u32 a, u32 b, u32 c) { return sad(a, b, true) + c; }
u64 four_sads(u64 a, u32 b, u64 c, bool masked) {
  u64 r = 0;
  for (int i = 0; i < 4; ++i)
    r |= u64{(static_cast<u32>(c >> 16 * i) + sad(static_cast<u32>(a >> 8 * i), b, masked)) & 0xffff} << 16 * i;
  return r;
}
u64 qsad(u64 a, u32 b, u64 c) { return four_sads(a, b, c, false); }
u64 mqsad(u64 a, u32 b, u64 c) { return four_sads(a, b, c, true); }
u32 lerp(u32 a, u32 b, u32 c) {
  u32 r = 0;
  for (int i = 0; i < 4; ++i) r |= ((byte_of(a, i) + byte_of(b, i) + (byte_of(c, i) & 1)) >> 1) << 8 * i;
  return r;
}
u32 ubfe(u32 a, u32 at, u32 width) { return width == 0 ? 0 : a >> at & (~u32{0} >> (32 - width)); }
u32 sbfe(u32 a, u32 at, u32 width) {
  return width == 0 ? 0 : static_cast<u32>(static_cast<i32>(a << (32 - at - width)) >> (32 - width));
}
i64 signed24(u32 a) { return static_cast<i32>(a << 8) >> 8; }
u64 unsigned24(u32 a) { return a & 0xffffff; }
u32 mul_i24(u32 a, u32 b) { return static_cast<u32>(signed24(a) * signed24(b)); }
u32 mul_u24(u32 a, u32 b) { return static_cast<u32>(unsigned24(a) * unsigned24(b)); }
u32 mulhi_i24(u32 a, u32 b) { return static_cast<u32>(signed24(a) * signed24(b) >> 32); }
u32 mulhi_u24(u32 a, u32 b) { return static_cast<u32>(unsigned24(a) * unsigned24(b) >> 32); }
u32 sffbh(u32 a) {
  const u32 changes = a ^ static_cast<u32>(static_cast<i32>(a) >> 31);
  return changes == 0 ? ~u32{0} : static_cast<u32>(std::countl_zero(changes));
}
u32 mbcnt_lo(u32 mask, u32 base) {
  const int lane = current_lane();
  return base + static_cast<u32>(std::popcount(lane >= 32 ? mask : mask & ((u32{1} << lane) - 1)));
}
u32 mbcnt_hi(u32 mask, u32 base) {
  const int lane = current_lane();
  return base + static_cast<u32>(lane < 32 ? 0 : std::popcount(mask & ((u32{1} << (lane - 32)) - 1)));
}
template <class T>
u32 clamped(i64 v) {
  v = std::clamp<i64>(v, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  return static_cast<u32>(v) & 0xffff;
}
u32 cvt_pk_i16(i32 a, i32 b) { return clamped<std::int16_t>(a) | clamped<std::int16_t>(b) << 16; }
u32 cvt_pk_u16(u32 a, u32 b) { return clamped<std::uint16_t>(a) | clamped<std::uint16_t>(b) << 16; }
u32 cvt_pk_u8(i32 v, u32 at, u32 old) {
  const u32 shift = 8 * (at & 3);
  return (old & ~(u32{0xff} << shift)) | static_cast<u32>(std::clamp(v, 0, 255)) << shift;
}
u64 s_bitreplicate(u32 a) {
  u64 r = 0;
  for (int i = 0; i < 32; ++i) r |= u64{a >> i & 1} * 3 << 2 * i;
  return r;
}
u64 s_quadmask64(u64 a) {
  u64 r = 0;
  for (int i = 0; i < 16; ++i) r |= u64{(a >> 4 * i & 15) != 0} << i;
  return r;
}
u32 s_quadmask(u32 a) { return static_cast<u32>(s_quadmask64(a)); }
u64 s_wqm64(u64 a) {
  u64 r = 0;
  for (int i = 0; i < 16; ++i) r |= (a >> 4 * i & 15) != 0 ? u64{15} << 4 * i : 0;
  return r;
}
u32 s_wqm(u32 a) { return static_cast<u32>(s_wqm64(a)); }

// ---- dot products

i64 field(u32 word, int i, int bits, bool is_signed) {
  const u32 v = word >> bits * i & ((u32{1} << bits) - 1);
  return is_signed ? static_cast<i32>(v << (32 - bits)) >> (32 - bits) : static_cast<i64>(v);
}
u32 dot(u32 a, u32 b, u32 c, int bits, bool sign_a, bool sign_b, bool clamp) {
  const bool is_signed = sign_a || sign_b;
  i64 sum = is_signed ? i64{static_cast<i32>(c)} : i64{c};
  for (int i = 0; i < 32 / bits; ++i) sum += field(a, i, bits, sign_a) * field(b, i, bits, sign_b);
  if (clamp)
    sum = is_signed ? std::clamp<i64>(sum, std::numeric_limits<i32>::min(), std::numeric_limits<i32>::max())
                    : std::clamp<i64>(sum, 0, std::numeric_limits<u32>::max());
  return static_cast<u32>(sum);
}
u32 sdot4(u32 a, u32 b, u32 c) { return dot(a, b, c, 8, true, true, false); }
u32 sdot4_sat(u32 a, u32 b, u32 c) { return dot(a, b, c, 8, true, true, true); }
u32 udot4(u32 a, u32 b, u32 c) { return dot(a, b, c, 8, false, false, false); }
u32 udot4_sat(u32 a, u32 b, u32 c) { return dot(a, b, c, 8, false, false, true); }
u32 sdot8(u32 a, u32 b, u32 c) { return dot(a, b, c, 4, true, true, false); }
u32 udot8(u32 a, u32 b, u32 c) { return dot(a, b, c, 4, false, false, false); }
u32 udot8_sat(u32 a, u32 b, u32 c) { return dot(a, b, c, 4, false, false, true); }
u32 sdot2(u32 a, u32 b, u32 c) { return dot(a, b, c, 16, true, true, false); }
u32 udot2(u32 a, u32 b, u32 c) { return dot(a, b, c, 16, false, false, false); }
u32 sudot(u32 a, u32 b, u32 c, int bits, u32 flags) {
  const bool sign_a = flags & 1, sign_b = flags & 2, clamp = flags & 4;
  // The accumulator is signed, whatever the factors are.
  i64 sum = static_cast<i32>(c);
  for (int i = 0; i < 32 / bits; ++i) sum += field(a, i, bits, sign_a) * field(b, i, bits, sign_b);
  if (clamp) sum = std::clamp<i64>(sum, std::numeric_limits<i32>::min(), std::numeric_limits<i32>::max());
  return static_cast<u32>(sum);
}

// ---- floats

double fraction(double x) {
  int e = 0;
  return std::isfinite(x) ? std::frexp(x, &e) : x;
}
i32 exponent(double x) {
  int e = 0;
  if (std::isfinite(x)) std::frexp(x, &e);
  return e;
}
bool classify(u64 bits, int width, int mantissa, u32 mask) {
  const u64 exponents = (u64{1} << (width - 1 - mantissa)) - 1, e = bits >> mantissa & exponents,
            m = bits & ((u64{1} << mantissa) - 1);
  const bool negative = bits >> (width - 1) & 1;
  int c = 0;  // of: signaling, quiet, -inf, -normal, -denormal, -0, +0, +denormal, +normal, +inf
  if (e == exponents) {
    c = m == 0 ? (negative ? 2 : 9) : m >> (mantissa - 1) ? 1 : 0;
  } else if (e != 0) {
    c = negative ? 3 : 8;
  } else {
    c = m == 0 ? (negative ? 5 : 6) : negative ? 4 : 7;
  }
  return mask >> c & 1;
}
bool class_f16(u32 bits, u32 mask) { return classify(bits, 16, 10, mask); }
bool class_f32(u32 bits, u32 mask) { return classify(bits, 32, 23, mask); }
bool class_f64(double x, u32 mask) { return classify(std::bit_cast<u64>(x), 64, 52, mask); }
float med3(float a, float b, float c) { return std::max(std::min(a, b), std::min(std::max(a, b), c)); }
float mul_legacy(float a, float b) { return a == 0 || b == 0 ? 0.0f : a * b; }
float fma_legacy(float a, float b, float c) { return a == 0 || b == 0 ? 0.0f + c : std::fma(a, b, c); }

// `x` to a float of `mantissa` and `exponent` bits: to nearest even, or towards zero.
u32 narrowed(double x, int mantissa, int exponent_bits, bool nearest) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const u32 sign = std::signbit(x) ? u32{1} << (mantissa + exponent_bits) : 0,
            infinite = ((u32{1} << exponent_bits) - 1) << mantissa;
  if (std::isnan(x)) return sign | infinite | u32{1} << (mantissa - 1);
  if (std::isinf(x)) return sign | infinite;
  if (x == 0) return sign;
  int e = 0;
  std::frexp(x, &e);                                      // |x| in [2^(e-1), 2^e)
  const int last = std::max(e - 1, 1 - bias) - mantissa;  // the exponent of the last place
  const double scaled = std::ldexp(std::fabs(x), -last);  // exact: below 2^(mantissa + 1)
  const auto units = static_cast<u32>(nearest ? std::nearbyint(scaled) : std::trunc(scaled));
  const int field_of = last + mantissa + bias - 1;  // less one: the leading bit of `units` adds it
  if (units == 0) return sign;
  const u32 bits = (static_cast<u32>(field_of) << mantissa) + units;
  if (bits >= infinite) return sign | (nearest ? infinite : infinite - 1);
  return sign | bits;
}
u32 cvt_pkrtz(float a, float b) { return narrowed(a, 10, 5, false) | narrowed(b, 10, 5, false) << 16; }

// The runtime library's: a half or a bfloat comes back in the low bits of a vector register.
float in_register(u32 bits) { return std::bit_cast<float>(bits); }
float trunc_df_hf(double x) { return in_register(narrowed(x, 10, 5, true)); }
float trunc_sf_hf(float x) { return in_register(narrowed(x, 10, 5, true)); }
float trunc_df_bf(double x) { return in_register(narrowed(x, 7, 8, true)); }
float trunc_sf_bf(float x) { return in_register(narrowed(x, 7, 8, true)); }

}  // namespace

const std::vector<Definition>& definitions() {
  auto of = [](auto* function) { return reinterpret_cast<void*>(function); };
#define WORDS1(f) \
  { "fz_" #f, "i32 @fz_" #f "(i32)", of(f) }
#define WORDS2(f) \
  { "fz_" #f, "i32 @fz_" #f "(i32, i32)", of(f) }
#define WORDS3(f) \
  { "fz_" #f, "i32 @fz_" #f "(i32, i32, i32)", of(f) }
  static const std::vector<Definition> all{
      WORDS3(perm),
      WORDS3(alignbyte),
      WORDS3(sad_u8),
      WORDS3(sad_hi_u8),
      WORDS3(sad_u16),
      WORDS3(msad_u8),
      {"fz_qsad", "i64 @fz_qsad(i64, i32, i64)", of(qsad)},
      {"fz_mqsad", "i64 @fz_mqsad(i64, i32, i64)", of(mqsad)},
      WORDS3(lerp),
      WORDS3(ubfe),
      WORDS3(sbfe),
      WORDS2(mul_i24),
      WORDS2(mul_u24),
      WORDS2(mulhi_i24),
      WORDS2(mulhi_u24),
      WORDS1(sffbh),
      WORDS2(mbcnt_lo),
      WORDS2(mbcnt_hi),
      WORDS2(cvt_pk_i16),
      WORDS2(cvt_pk_u16),
      WORDS3(cvt_pk_u8),
      {"fz_s_bitreplicate", "i64 @fz_s_bitreplicate(i32)", of(s_bitreplicate)},
      WORDS1(s_quadmask),
      {"fz_s_quadmask64", "i64 @fz_s_quadmask64(i64)", of(s_quadmask64)},
      WORDS1(s_wqm),
      {"fz_s_wqm64", "i64 @fz_s_wqm64(i64)", of(s_wqm64)},
      WORDS3(sdot4),
      WORDS3(sdot4_sat),
      WORDS3(udot4),
      WORDS3(udot4_sat),
      WORDS3(sdot8),
      WORDS3(udot8),
      WORDS3(udot8_sat),
      WORDS3(sdot2),
      WORDS3(udot2),
      {"fz_sudot", "i32 @fz_sudot(i32, i32, i32, i32, i32)", of(sudot)},
      {"fz_fraction", "double @fz_fraction(double)", of(fraction)},
      {"fz_exponent", "i32 @fz_exponent(double)", of(exponent)},
      {"fz_class_f16", "zeroext i1 @fz_class_f16(i32, i32)", of(class_f16)},
      {"fz_class_f32", "zeroext i1 @fz_class_f32(i32, i32)", of(class_f32)},
      {"fz_class_f64", "zeroext i1 @fz_class_f64(double, i32)", of(class_f64)},
      {"fz_med3", "float @fz_med3(float, float, float)", of(med3)},
      {"fz_mul_legacy", "float @fz_mul_legacy(float, float)", of(mul_legacy)},
      {"fz_fma_legacy", "float @fz_fma_legacy(float, float, float)", of(fma_legacy)},
      {"fz_cvt_pkrtz", "i32 @fz_cvt_pkrtz(float, float)", of(cvt_pkrtz)},
      {"fz_exchange", "i64 @fz_exchange(i32, i64, i64, i64, i64)", of(lanes_exchange)},
      {"fz_branch", "void @fz_branch(i32)", of(lanes_branch)},
      {"fz_continue", "void @fz_continue(i32)", of(lanes_continue)},
      {"fz_join", "void @fz_join()", of(lanes_join)},
      {"fz_barrier", "void @fz_barrier()", of(lanes_barrier)},
      {"__truncdfhf2", "half @__truncdfhf2(double)", of(trunc_df_hf)},
      {"__truncsfhf2", "half @__truncsfhf2(float)", of(trunc_sf_hf)},
      {"__truncdfbf2", "bfloat @__truncdfbf2(double)", of(trunc_df_bf)},
      {"__truncsfbf2", "bfloat @__truncsfbf2(float)", of(trunc_sf_bf)},
  };
#undef WORDS1
#undef WORDS2
#undef WORDS3
  return all;
}

}  // namespace wavetile::fuzz
