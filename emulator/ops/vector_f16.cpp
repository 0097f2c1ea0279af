// f16, a lane at a time: arithmetic in f32 that rounds to f16 as the exact result does, in MODE's mode for f16 and f64.
//
// What AMD's documents leave open is decided so: rcp, sqrt, rsq, exp, log, sin and cos round the exact value (what
// hardware may differ by is in approximate.h); fma_mix rounds to f32 and then, for mixlo and mixhi, to f16; v_mad_f16
// and its kin round the product and the sum. A 16-bit result on GFX11 keeps the other half of its register; on GFX9 it
// clears it, except for the instructions that GFX9 was the first to have.
#include "emulator/ops/half.h"

#include <numbers>

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

struct Mode16 {
  int round;  // of f16 results, and of the host meanwhile
  bool keep;  // denormal results
  bool ieee;
};

Mode16 mode16(const Wave& w) { return {w.mode.round64, (w.mode.denorm64 & 2) != 0, w.mode.ieee}; }

std::uint16_t* bits(Half16* v) { return reinterpret_cast<std::uint16_t*>(v); }
const std::uint16_t* bits(const Half16* v) { return reinterpret_cast<const std::uint16_t*>(v); }

// --- float f(Mode16, float...): of f16 values, to f16

template <class F, std::size_t... I>
void run_math_at(Wave& w, const Op& op, int base, std::uint32_t mask, Mode16 mode, std::index_sequence<I...>) {
  alignas(64) float in[sizeof...(I)][kChunk], out[kChunk];
  alignas(64) Half16 tmp[kChunk];
  (f16_to_f32(bits(fetch(w, op.src[I], base, tmp)), in[I], kChunk), ...);
  for (int i = 0; i < kChunk; ++i) out[i] = F{}(mode, in[I][i]...);
  f32_to_f16(out, bits(tmp), kChunk, mode.round);
  finish(w, op, tmp);
  put(w, op.dst[0], base, tmp, mask);
}

template <class F>
void run_math(Wave& w, const Op& op) {
  const Mode16 mode = mode16(w);
  const Rounding host(mode.round);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask != 0) run_math_at<F>(w, op, base, mask, mode, std::make_index_sequence<Signature<F>::count - 1>{});
  }
}

// --- Half16 f(Mode16, Half16...): on the bits

template <class F, std::size_t... I>
void run_bits_at(Wave& w, const Op& op, int base, std::uint32_t mask, Mode16 mode, std::index_sequence<I...>) {
  alignas(64) Half16 tmp[sizeof...(I)][kChunk], out[kChunk];
  const Half16* in[] = {fetch(w, op.src[I], base, tmp[I])...};
  for (int i = 0; i < kChunk; ++i) out[i] = F{}(mode, in[I][i]...);
  finish(w, op, out);
  put(w, op.dst[0], base, out, mask);
}

template <class F>
void run_bits(Wave& w, const Op& op) {
  const Mode16 mode = mode16(w);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask != 0) run_bits_at<F>(w, op, base, mask, mode, std::make_index_sequence<Signature<F>::count - 1>{});
  }
}

// Destinations that print as a whole register, but whose upper half is kept.
void keep_upper_half(Op& op) {
  if (op.dst[0].pick == Pick::whole) op.dst[0].pick = Pick::low;
}

template <int sources>
Entry entry16(Run run, Class cls, bool keeps_upper_half) {
  return {cls, [=](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::f16, Type::f16, Type::f16};
            bind_vector(in, op, c, run, std::span(kTypes, sources));
            if (keeps_upper_half || c.chip.family == Family::rdna3) keep_upper_half(op);
          }};
}
template <class F>
Entry math(F, Class cls = Class::valu, bool keeps_upper_half = false) {
  return entry16<Signature<F>::count - 1>(&run_math<F>, cls, keeps_upper_half);
}
template <class F>
Entry on_bits(F, bool keeps_upper_half = false) {
  return entry16<Signature<F>::count - 1>(&run_bits<F>, Class::valu, keeps_upper_half);
}

// --- fma_mix: f32 and f16 sources in any mixture, chosen by op_sel_hi, halves by op_sel

template <class T>
const float* fetch_mixed(const Wave& w, const Source& s, int base, float* tmp) {
  if constexpr (std::is_same_v<T, float>) {
    return fetch(w, s, base, tmp);
  } else {
    alignas(64) Half16 half[kChunk];
    f16_to_f32(bits(fetch(w, s, base, half)), tmp, kChunk);
    return tmp;
  }
}

template <bool to_half>
void run_mix(Wave& w, const Op& op) {
  const Rounding host(w.mode.round32);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) float tmp[3][kChunk], out[kChunk];
    const float* in[3];
    for (int s = 0; s < 3; ++s) {
      in[s] = (op.flags >> s) & 1 ? fetch_mixed<Half16>(w, op.src[s], base, tmp[s])
                                  : fetch_mixed<float>(w, op.src[s], base, tmp[s]);
    }
    for (int i = 0; i < kChunk; ++i) out[i] = std::fma(in[0][i], in[1][i], in[2][i]);
    if constexpr (to_half) {
      alignas(64) Half16 half[kChunk];
      if ((w.mode.denorm32 & 2) == 0) flush_denormals(out);
      f32_to_f16(out, bits(half), kChunk, w.mode.round64);
      finish(w, op, half);
      put(w, op.dst[0], base, half, mask);
    } else {
      finish(w, op, out);
      put(w, op.dst[0], base, out, mask);
    }
  }
}

Entry mix(Pick result) {
  return {Class::packed, [=](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {"clamp", "op_sel", "op_sel_hi"});
            op.run = result == Pick::whole ? &run_mix<false> : &run_mix<true>;
            op.clamp = in.has("clamp");
            op.sources = 3;
            op.dst[0] = destination(in, 0, c);
            op.dst[0].pick = result;
            const Modifier* half = in.find("op_sel_hi");
            const Modifier* upper = in.find("op_sel");
            for (std::size_t s = 0; s < 3; ++s) {
              const bool is_half = half && half->values.at(s) != 0;
              op.src[s] = source(in, s + 1, is_half ? Type::f16 : Type::f32, c);
              op.flags |= (is_half ? 1u : 0u) << s;
              if (is_half && upper && upper->values.at(s) != 0) op.src[s].pick = Pick::high;
            }
          }};
}

// --- others

// Of x revolutions.
float sine(float x, double phase) {
  const double turns = double{x} - std::floor(double{x}) + phase;
  return static_cast<float>(std::sin(2 * std::numbers::pi * turns));
}

Half16 fix_quotient(Half16 quotient, Half16 denominator, Half16 numerator) {
  const auto d = denominator.bits, n = numerator.bits;
  const int sign = (d ^ n) & 0x8000, da = d & 0x7fff, na = n & 0x7fff;
  int r = sign | (quotient.bits & 0x7fff);
  r = da == 0x7c00 || na == 0 ? sign : r;
  r = da == 0 || na == 0x7c00 ? sign | 0x7c00 : r;
  r = (da == 0 && na == 0) || (da == 0x7c00 && na == 0x7c00) ? 0xfe00 : r;
  r = da > 0x7c00 ? d | 0x200 : r;
  r = na > 0x7c00 ? n | 0x200 : r;
  return {static_cast<std::uint16_t>(r)};
}

// x * 2^e. Beyond +-60 every x is infinite or rounds as at the end.
Half16 scale(Half16 x, std::int16_t e, int mode) {
  const int bounded = e < -60 ? -60 : e > 60 ? 60 : e;
  const float factor = std::bit_cast<float>(static_cast<std::uint32_t>(127 + bounded) << 23);
  return {f32_to_f16(f16_to_f32(x.bits) * factor, mode)};
}

void run_ldexp(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) Half16 x_tmp[kChunk], out[kChunk];
    alignas(64) std::int16_t e_tmp[kChunk];
    const Half16* x = fetch(w, op.src[0], base, x_tmp);
    const std::int16_t* e = fetch(w, op.src[1], base, e_tmp);
    for (int i = 0; i < kChunk; ++i) out[i] = scale(x[i], e[i], w.mode.round64);
    finish(w, op, out);
    put(w, op.dst[0], base, out, mask);
  }
}

Entry ldexp_entry() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::f16, Type::i16};
            bind_vector(in, op, c, &run_ldexp, kTypes);
            if (c.chip.family == Family::rdna3) keep_upper_half(op);
          }};
}

// Halves of two registers side by side. The bits pass through, but negated, absolute and flushed as f16 are.
void run_pack(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) Half16 tmp[2][kChunk];
    alignas(64) std::uint32_t out[kChunk];
    const Half16* low = fetch(w, op.src[0], base, tmp[0]);
    const Half16* high = fetch(w, op.src[1], base, tmp[1]);
    for (int i = 0; i < kChunk; ++i) out[i] = low[i].bits | std::uint32_t{high[i].bits} << 16;
    put(w, op.dst[0], base, out, mask);
  }
}

Entry pack_entry() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::f16, Type::f16};
            bind_vector(in, op, c, &run_pack, kTypes);
          }};
}

float mad(Mode16 mode, float a, float b, float c) {
  const std::uint16_t product = f32_to_f16(a * b, mode.round);
  const bool flushed = !mode.keep && (product & 0x7c00) == 0;
  return f16_to_f32(static_cast<std::uint16_t>(flushed ? product & 0x8000 : product)) + c;
}

struct Normalised {
  std::uint32_t bits;
  bool special;  // zero, infinity or NaN
};
Normalised normalised(Half16 x) {
  const int rest = x.bits & 0x7fff;
  return {std::bit_cast<std::uint32_t>(f16_to_f32(x.bits)), rest == 0 || rest >= 0x7c00};
}

void add_arithmetic(Table& t) {
  t.add("v_add_f16", math([](Mode16, float a, float b) { return a + b; }));
  t.add("v_sub_f16", math([](Mode16, float a, float b) { return a - b; }));
  t.add("v_subrev_f16", math([](Mode16, float a, float b) { return b - a; }));
  t.add("v_mul_f16", math([](Mode16, float a, float b) { return a * b; }));
  // Their acc operand is the destination; fmaak and fmamk print theirs in the order of the product.
  for (const char* name : {"v_fmac_f16", "v_fmaak_f16", "v_fma_legacy_f16"}) {
    t.add(name, math([](Mode16 m, float a, float b, float c) { return fma_for_f16(a, b, c, m.round); }));
  }
  t.add("v_fma_f16",
        math([](Mode16 m, float a, float b, float c) { return fma_for_f16(a, b, c, m.round); }, Class::valu, true));
  t.add("v_fmamk_f16", math([](Mode16 m, float a, float k, float c) { return fma_for_f16(a, k, c, m.round); }));
  for (const char* name : {"v_mac_f16", "v_madak_f16", "v_madmk_f16", "v_mad_legacy_f16"}) {
    t.add(name, math([](Mode16 m, float a, float b, float c) { return mad(m, a, b, c); }));
  }
  t.add("v_mad_f16", math([](Mode16 m, float a, float b, float c) { return mad(m, a, b, c); }, Class::valu, true));
  t.add("v_ldexp_f16", ldexp_entry());
  t.add("v_div_fixup_f16", on_bits([](Mode16, Half16 q, Half16 d, Half16 n) { return fix_quotient(q, d, n); }, true));
  t.add("v_div_fixup_legacy_f16", on_bits([](Mode16, Half16 q, Half16 d, Half16 n) { return fix_quotient(q, d, n); }));
  t.add("v_pack_b32_f16", pack_entry());
  t.add("v_fma_mix_f32", mix(Pick::whole));
  t.add("v_fma_mixlo_f16", mix(Pick::low));
  t.add("v_fma_mixhi_f16", mix(Pick::high));
}

Half16 min16(Mode16 m, Half16 a, Half16 b) { return {f16_min(a.bits, b.bits, m.ieee)}; }
Half16 max16(Mode16 m, Half16 a, Half16 b) { return {f16_max(a.bits, b.bits, m.ieee)}; }

// The first operand that equals the largest (zeros are equal) is left out.
Half16 median(Mode16 m, Half16 a, Half16 b, Half16 c) {
  const Half16 smallest = min16(m, min16(m, a, b), c);
  const int top = f16_order(max16(m, max16(m, a, b), c).bits);
  const auto equals_top = [top](Half16 x) {
    const int order = f16_order(x.bits);
    return order == top || (order + (order < 0) == 0 && top + (top < 0) == 0);
  };
  const Half16 bc = max16(m, b, c), ac = max16(m, a, c), ab = max16(m, a, b);
  const bool nan = f16_is_nan(a.bits) || f16_is_nan(b.bits) || f16_is_nan(c.bits);
  return nan ? smallest : equals_top(a) ? bc : equals_top(b) ? ac : ab;
}

void add_order(Table& t) {
  t.add("v_min_f16", on_bits([](Mode16 m, Half16 a, Half16 b) { return min16(m, a, b); }));
  t.add("v_max_f16", on_bits([](Mode16 m, Half16 a, Half16 b) { return max16(m, a, b); }));
  t.add("v_min3_f16",
        on_bits([](Mode16 m, Half16 a, Half16 b, Half16 c) { return min16(m, min16(m, a, b), c); }, true));
  t.add("v_max3_f16",
        on_bits([](Mode16 m, Half16 a, Half16 b, Half16 c) { return max16(m, max16(m, a, b), c); }, true));
  t.add("v_med3_f16", on_bits([](Mode16 m, Half16 a, Half16 b, Half16 c) { return median(m, a, b, c); }, true));
  t.add("v_minmax_f16", on_bits([](Mode16 m, Half16 a, Half16 b, Half16 c) { return max16(m, min16(m, a, b), c); }));
  t.add("v_maxmin_f16", on_bits([](Mode16 m, Half16 a, Half16 b, Half16 c) { return min16(m, max16(m, a, b), c); }));
}

void add_roundings(Table& t) {
  t.add("v_floor_f16", math([](Mode16, float x) { return std::floor(x); }));
  t.add("v_ceil_f16", math([](Mode16, float x) { return std::ceil(x); }));
  t.add("v_trunc_f16", math([](Mode16, float x) { return std::trunc(x); }));
  t.add("v_rndne_f16", math([](Mode16, float x) { return round_even(x); }));
  // Below 1, also where the difference would round to it.
  t.add("v_fract_f16", math([](Mode16, float x) {
          const float part = x - std::floor(x);
          return part > 0x1.ffcp-1f ? 0x1.ffcp-1f : part;
        }));
  t.add("v_frexp_mant_f16", on_bits([](Mode16, Half16 x) {
          const Normalised n = normalised(x);
          const std::uint16_t mantissa = f32_to_f16(std::bit_cast<float>((n.bits & 0x807fffffu) | 0x3f000000u));
          const bool nan = (x.bits & 0x7fff) > 0x7c00;
          return Half16{nan ? static_cast<std::uint16_t>(x.bits | 0x200) : n.special ? x.bits : mantissa};
        }));
}

// Integers out of f16, as bits, so that no float modifier of the result is applied to them.
void run_frexp_exponent(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) Half16 tmp[kChunk];
    alignas(64) std::int16_t out[kChunk];
    const Half16* x = fetch(w, op.src[0], base, tmp);
    for (int i = 0; i < kChunk; ++i) {
      const Normalised n = normalised(x[i]);
      out[i] = static_cast<std::int16_t>(n.special ? 0 : static_cast<int>(n.bits >> 23 & 0xff) - 126);
    }
    put(w, op.dst[0], base, out, mask);
  }
}

void add_transcendental(Table& t) {
  t.add("v_rcp_f16", math([](Mode16, float x) { return 1 / x; }, Class::trans));
  t.add("v_sqrt_f16", math([](Mode16, float x) { return std::sqrt(x); }, Class::trans));
  t.add("v_rsq_f16", math([](Mode16, float x) { return static_cast<float>(1 / std::sqrt(double{x})); }, Class::trans));
  t.add("v_exp_f16", math([](Mode16, float x) { return std::exp2(x); }, Class::trans));
  t.add("v_log_f16", math([](Mode16, float x) { return std::log2(x); }, Class::trans));
  t.add("v_sin_f16", math([](Mode16, float x) { return sine(x, 0); }, Class::trans));
  t.add("v_cos_f16", math([](Mode16, float x) { return sine(x, 0.25); }, Class::trans));
}

}  // namespace

void add_vector_f16(Table& t) {
  add_arithmetic(t);
  add_order(t);
  add_roundings(t);
  t.add("v_frexp_exp_i16_f16", entry16<1>(&run_frexp_exponent, Class::valu, false));
  add_transcendental(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
