// f32 arithmetic, and the functions that the hardware approximates, which are computed here as well as the host can
// (emulator/approximate.h says how far the hardware may be from it).
#include "emulator/ops/float_math.h"
#include "emulator/ops/lane_bits.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

// DX9: 0 times anything is +0.
float multiply_dx9(float a, float b) { return is_zero(a) || is_zero(b) ? 0.0f : a * b; }
float fused_dx9(float a, float b, float c) { return is_zero(a) || is_zero(b) ? c : __builtin_fmaf(a, b, c); }

// The lighting multiply: a b, or the lowest number where b or c rule it out.
float multiply_lit(float a, float b, float c) {
  const float lowest = std::numeric_limits<float>::lowest();
  const bool out = !(b > lowest) || !(c > 0.0f);
  return out ? lowest : multiply_dx9(a, b);
}

void add_arithmetic(Table& t) {
  const Entry add = vector([](float a, float b) { return a + b; });
  const Entry sub = vector([](float a, float b) { return a - b; });
  const Entry subrev = vector([](float a, float b) { return b - a; });
  const Entry mul = vector([](float a, float b) { return a * b; });
  const Entry mul_dx9 = vector([](float a, float b) { return multiply_dx9(a, b); });
  const Entry fma = vector([](float a, float b, float c) { return __builtin_fmaf(a, b, c); });
  const Entry fma_dx9 = vector([](float a, float b, float c) { return fused_dx9(a, b, c); });
  for (const char* prefix : {"v_", "v_dual_"}) {
    const std::string p = prefix;
    t.add(p + "add_f32", add);
    t.add(p + "sub_f32", sub);
    t.add(p + "subrev_f32", subrev);
    t.add(p + "mul_f32", mul);
    t.add(p + "mul_dx9_zero_f32", mul_dx9);
    t.add(p + "fmac_f32", fma);   // the third source is the old destination
    t.add(p + "fmaak_f32", fma);  // a b + K
    t.add(p + "fmamk_f32", fma);  // a K + c, in this order in the text too
    t.add(p + "max_f32", vector_by_ieee<Extremes<float>::Max>());
    t.add(p + "min_f32", vector_by_ieee<Extremes<float>::Min>());
  }
  t.add("v_mul_legacy_f32", mul_dx9);
  t.add("v_fma_f32", fma);
  t.add("v_fma_dx9_zero_f32", fma_dx9);
  t.add("v_fmac_dx9_zero_f32", fma_dx9);
  t.add("v_mullit_f32", vector([](float a, float b, float c) { return multiply_lit(a, b, c); }));
  t.add("v_min3_f32", vector_by_ieee<Extremes<float>::Min3>());
  t.add("v_max3_f32", vector_by_ieee<Extremes<float>::Max3>());
  t.add("v_med3_f32", vector_by_ieee<Extremes<float>::Med3>());
  t.add("v_minmax_f32", vector_by_ieee<Extremes<float>::MinMax>());
  t.add("v_maxmin_f32", vector_by_ieee<Extremes<float>::MaxMin>());
}

void add_rounding(Table& t) {
  t.add("v_floor_f32", vector([](float x) { return quiet(floor_of(x)); }));
  t.add("v_ceil_f32", vector([](float x) { return quiet(ceil_of(x)); }));
  t.add("v_trunc_f32", vector([](float x) { return quiet(trunc_of(x)); }));
  t.add("v_rndne_f32", vector([](float x) { return round_even(x); }));
  t.add("v_fract_f32", vector([](float x) { return fraction(x); }));
  t.add("v_ldexp_f32", vector([](float x, std::int32_t e) { return scaled(x, e); }));
  t.add("v_frexp_exp_i32_f32", vector([](float x) { return exponent_of(x); }));
  t.add("v_frexp_mant_f32", vector([](float x) { return mantissa_of(x); }));
}

void add_division(Table& t) {
  t.add("v_div_scale_f32", vector_with_bit([](float s0, float d, float n) {
          const Scaled<float> r = division_scale(s0, d, n);
          return WithBit<float>{r.value, r.bit};
        }));
  t.add("v_div_fmas_f32",
        vector_of_mask([](float a, float b, float c, LaneBit scale) { return division_fmas(a, b, c, scale.on != 0); }));
  t.add("v_div_fixup_f32", vector([](float q, float d, float n) { return division_fixup(q, d, n); }));
}

// --- approximations: denormals are 0 for them, as arguments and as results, whatever MODE says

float flushed(float x) { return magnitude(x) < std::numeric_limits<float>::min() ? with_sign(0.0f, sign_of(x)) : x; }
float reciprocal(float x) { return flushed(1.0f / flushed(x)); }
float reciprocal_root(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(flushed(x)))); }
float exponential(float x) { return flushed(std::exp2(flushed(x))); }
float logarithm(float x) { return std::log2(flushed(x)); }

// sin or cos of a whole number of turns and a fraction; exact where the result is 0, 1 or -1.
float sine_of_turns(float x, int quarter) {
  if (is_nan(x) || is_infinite(x)) return x - x;
  const double turns = static_cast<double>(x) - std::floor(static_cast<double>(x));
  const double quarters = std::floor(4 * turns + 0.5);
  const double angle = (turns - quarters / 4) * 6.283185307179586476925;
  switch ((static_cast<int>(quarters) + quarter) & 3) {
    case 0:
      return x == 0.0f ? x : static_cast<float>(std::sin(angle));
    case 1:
      return static_cast<float>(std::cos(angle));
    case 2:
      return static_cast<float>(-std::sin(angle));
    default:
      return static_cast<float>(-std::cos(angle));
  }
}
float sine(float x) { return sine_of_turns(x, 0); }
float cosine(float x) { return sine_of_turns(x, 1); }

void add_approximations(Table& t) {
  const Entry rcp = vector([](float x) { return reciprocal(x); }, Class::trans);
  const Entry exp = vector([](float x) { return exponential(x); }, Class::trans);
  const Entry log = vector([](float x) { return logarithm(x); }, Class::trans);
  t.add("v_rcp_f32", rcp);
  t.add("v_rcp_iflag_f32", rcp);
  t.add("v_rsq_f32", vector([](float x) { return reciprocal_root(x); }, Class::trans));
  t.add("v_sqrt_f32", vector([](float x) { return __builtin_sqrtf(flushed(x)); }, Class::trans));
  t.add("v_exp_f32", exp);
  t.add("v_exp_legacy_f32", exp);
  t.add("v_log_f32", log);
  t.add("v_log_legacy_f32", log);
  t.add("v_sin_f32", vector([](float x) { return sine(x); }, Class::trans));
  t.add("v_cos_f32", vector([](float x) { return cosine(x); }, Class::trans));
  // CDNA3 takes -256 to 256 turns; beyond, the result is that of 0.
  t.add(Family::cdna3, "v_sin_f32",
        vector([](float x) { return magnitude(x) > 256.0f && !is_infinite(x) ? 0.0f : sine(x); }, Class::trans));
  t.add(Family::cdna3, "v_cos_f32",
        vector([](float x) { return magnitude(x) > 256.0f && !is_infinite(x) ? 1.0f : cosine(x); }, Class::trans));
}

// --- cube maps: the face that (x, y, z) looks at, and coordinates on it

enum class Axis { x, y, z };
Axis major(float x, float y, float z) {
  x = magnitude(x), y = magnitude(y), z = magnitude(z);
  return z >= x && z >= y ? Axis::z : y >= x ? Axis::y : Axis::x;
}

void add_cube(Table& t) {
  t.add("v_cubeid_f32", vector([](float x, float y, float z) {
          const Axis a = major(x, y, z);
          const float along = a == Axis::z ? z : a == Axis::y ? y : x;
          return (a == Axis::z ? 4.0f : a == Axis::y ? 2.0f : 0.0f) + (along < 0 ? 1.0f : 0.0f);
        }));
  t.add("v_cubesc_f32", vector([](float x, float y, float z) {
          const Axis a = major(x, y, z);
          return a == Axis::z ? (z < 0 ? -x : x) : a == Axis::y ? x : (x < 0 ? z : -z);
        }));
  t.add("v_cubetc_f32",
        vector([](float x, float y, float z) { return major(x, y, z) == Axis::y ? (y < 0 ? -z : z) : -y; }));
  t.add("v_cubema_f32", vector([](float x, float y, float z) {
          const Axis a = major(x, y, z);
          return 2.0f * (a == Axis::z ? z : a == Axis::y ? y : x);
        }));
}

}  // namespace

void add_vector_f32(Table& t) {
  add_arithmetic(t);
  add_rounding(t);
  add_division(t);
  add_approximations(t);
  add_cube(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
