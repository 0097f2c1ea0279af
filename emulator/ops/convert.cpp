// v_cvt_*. To integers: towards zero, out of range to the nearest end, NaN to 0. To floats: in MODE's rounding.
//
// What AMD's documents leave open is decided so: norm and u8 conversions round to nearest, ties to even; nearest (rpi)
// and floor (flr) are exact, whatever MODE says; stochastic rounding adds the upper bits of the random operand below
// the last bit that stays, and cuts; 8-bit floats saturate where MODE.FP16_OVFL is set, and are NaN beyond their range
// otherwise, as infinities always are.
#include "emulator/ops/half.h"

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

constexpr std::uint32_t kFp16Overflow = 1u << 23;  // of MODE

// The casts see only what fits, so that they are defined.
template <class T>
std::int32_t to_i32(T x) {
  const bool high = x >= T(2147483648.0), low = x < T(-2147483648.0), fits = x >= T(-2147483648.0) && !high;
  const auto value = static_cast<std::int32_t>(fits ? x : T(0));
  return high ? 0x7fffffff : low ? -0x7fffffff - 1 : value;
}
template <class T>
std::uint32_t to_u32(T x) {
  const bool high = x >= T(4294967296.0), upper = x >= T(2147483648.0) && !high,
             lower = x > T(0) && x < T(2147483648.0);
  const auto value = static_cast<std::int32_t>(upper ? x - T(2147483648.0) : lower ? x : T(0));
  return high ? ~0u : static_cast<std::uint32_t>(value) ^ (upper ? 0x80000000u : 0);
}

// `least` and `most` are small; NaN gives 0.
int bounded(float x, int least, int most) {
  const auto low = static_cast<float>(least), high = static_cast<float>(most);
  const float inside = x < low ? low : x > high ? high : x;
  return static_cast<int>(x == x ? inside : 0.0f);
}
int snorm(float x) {
  const float inside = x < -1 ? -1.0f : x > 1 ? 1.0f : x;
  return static_cast<int>(x == x ? round_even(double{inside} * 32767) : 0.0);
}
int unorm(float x) {
  const float inside = x > 0 ? (x > 1 ? 1.0f : x) : 0.0f;
  return static_cast<int>(round_even(double{inside} * 65535));
}
std::uint32_t to_u8(float x) { return static_cast<std::uint32_t>(bounded(round_even(x), 0, 255)); }
std::uint32_t with_byte(std::uint32_t word, std::uint32_t byte, std::uint32_t value) {
  const std::uint32_t shift = (byte & 3) * 8;
  return (word & ~(0xffu << shift)) | value << shift;
}
std::uint32_t pair(int low, int high) {
  return (static_cast<std::uint32_t>(low) & 0xffff) | static_cast<std::uint32_t>(high) << 16;
}
int bounded_int(std::int32_t x, int least, int most) { return x < least ? least : x > most ? most : x; }

// x + 1/2 rounded down, without rounding the sum.
float nearest_up(float x) {
  const float below = std::floor(x);
  return x - below >= 0.5f ? below + 1 : below;
}

const std::uint16_t* bits(const Half16* v) { return reinterpret_cast<const std::uint16_t*>(v); }
std::uint16_t* bits(Half16* v) { return reinterpret_cast<std::uint16_t*>(v); }

void run_widen(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) Half16 tmp[kChunk];
    alignas(64) float out[kChunk];
    f16_to_f32(bits(fetch(w, op.src[0], base, tmp)), out, kChunk);
    finish(w, op, out);
    put(w, op.dst[0], base, out, mask);
  }
}

// f32, or a 16-bit integer, to f16.
template <class T>
void run_narrow(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) T tmp[kChunk];
    alignas(64) float wide[kChunk];
    alignas(64) Half16 out[kChunk];
    const T* x = fetch(w, op.src[0], base, tmp);
    for (int i = 0; i < kChunk; ++i) wide[i] = static_cast<float>(x[i]);
    f32_to_f16(wide, bits(out), kChunk, w.mode.round64);
    finish(w, op, out);
    put(w, op.dst[0], base, out, mask);
  }
}

Entry one_source(Run run, Type type) {
  return {Class::valu, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Type types[] = {type};
            bind_vector(in, op, c, run, types);
          }};
}

// --- 8-bit floats

using ToByte = std::uint32_t (*)(float, bool, std::int32_t);

template <ToByte to_byte>
void run_bytes(Wave& w, const Op& op) {
  const bool saturate = (w.mode.raw & kFp16Overflow) != 0;
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) float tmp[2][kChunk];
    alignas(64) std::uint16_t out[kChunk];
    const float* a = fetch(w, op.src[0], base, tmp[0]);
    const float* b = fetch(w, op.src[1], base, tmp[1]);
    for (int i = 0; i < kChunk; ++i) {
      out[i] = static_cast<std::uint16_t>(to_byte(a[i], saturate, -1) | to_byte(b[i], saturate, -1) << 8);
    }
    put(w, op.dst[0], base, out, mask);
  }
}

template <ToByte to_byte>
void run_byte_stochastic(Wave& w, const Op& op) {
  const bool saturate = (w.mode.raw & kFp16Overflow) != 0;
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) float x_tmp[kChunk];
    alignas(64) std::uint32_t random_tmp[kChunk], old_tmp[kChunk], out[kChunk];
    const float* x = fetch(w, op.src[0], base, x_tmp);
    const std::uint32_t* random = fetch(w, op.src[1], base, random_tmp);
    const std::uint32_t* old = fetch(w, op.src[2], base, old_tmp);
    for (int i = 0; i < kChunk; ++i) {
      const auto below = static_cast<std::int32_t>(random[i] >> 12);
      out[i] = with_byte(old[i], static_cast<std::uint32_t>(op.imm), to_byte(x[i], saturate, below));
    }
    put(w, op.dst[0], base, out, mask);
  }
}

Entry pair_of_bytes(Run run) {
  return {Class::valu, [=](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::f32, Type::f32};
            bind_vector(in, op, c, run, kTypes);
            if (op.dst[0].pick == Pick::whole) op.dst[0].pick = Pick::low;  // the other half stays
          }};
}

// The last two of op_sel are the byte that is written.
Entry stochastic_byte(Run run) {
  return {Class::valu, [=](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::f32, Type::b32, Type::b32};
            bind_vector(in, op, c, run, kTypes);
            op.dst[0].pick = op.src[2].pick = Pick::whole;
            const Modifier* select = in.find("op_sel");
            for (std::size_t i = 2; select && i < 4 && i < select->values.size(); ++i)
              op.imm |= select->values[i] << (i - 2);
          }};
}

template <float (*widen)(std::uint32_t)>
std::uint64_t two_floats(std::uint32_t word) {
  const auto low = std::bit_cast<std::uint32_t>(widen(word & 0xff));
  return low | std::uint64_t{std::bit_cast<std::uint32_t>(widen(word >> 8 & 0xff))} << 32;
}

// --- the table

void add_to_integer(Table& t) {
  t.add("v_cvt_i32_f32", vector([](float x) { return to_i32(x); }));
  t.add("v_cvt_u32_f32", vector([](float x) { return to_u32(x); }));
  t.add("v_cvt_i32_f64", vector([](double x) { return to_i32(x); }));
  t.add("v_cvt_u32_f64", vector([](double x) { return to_u32(x); }));
  for (const char* name : {"v_cvt_nearest_i32_f32", "v_cvt_rpi_i32_f32"}) {
    t.add(name, vector([](float x) { return to_i32(nearest_up(x)); }));
  }
  for (const char* name : {"v_cvt_floor_i32_f32", "v_cvt_flr_i32_f32"}) {
    t.add(name, vector([](float x) { return to_i32(std::floor(x)); }));
  }
  t.add("v_cvt_u16_f16",
        vector([](Half16 x) { return static_cast<std::uint16_t>(bounded(f16_to_f32(x.bits), 0, 65535)); }));
  t.add("v_cvt_i16_f16",
        vector([](Half16 x) { return static_cast<std::int16_t>(bounded(f16_to_f32(x.bits), -32768, 32767)); }));
  t.add("v_cvt_norm_i16_f16", vector([](Half16 x) { return static_cast<std::int16_t>(snorm(f16_to_f32(x.bits))); }));
  t.add("v_cvt_norm_u16_f16", vector([](Half16 x) { return static_cast<std::uint16_t>(unorm(f16_to_f32(x.bits))); }));
  t.add("v_cvt_i32_i16", vector([](std::int16_t x) { return std::int32_t{x}; }));
  t.add("v_cvt_u32_u16", vector([](std::uint16_t x) { return std::uint32_t{x}; }));
}

void add_to_float(Table& t) {
  t.add("v_cvt_f32_i32", vector([](std::int32_t x) { return static_cast<float>(x); }));
  t.add("v_cvt_f32_u32", vector([](std::uint32_t x) { return static_cast<float>(x); }));
  t.add("v_cvt_f64_i32", vector([](std::int32_t x) { return static_cast<double>(x); }));
  t.add("v_cvt_f64_u32", vector([](std::uint32_t x) { return static_cast<double>(x); }));
  t.add("v_cvt_f64_f32", vector([](float x) { return double{x}; }));
  t.add("v_cvt_f32_f64", vector([](double x) { return static_cast<float>(x); }));
  t.add("v_cvt_f32_ubyte0", vector([](std::uint32_t x) { return static_cast<float>(x & 0xff); }));
  t.add("v_cvt_f32_ubyte1", vector([](std::uint32_t x) { return static_cast<float>(x >> 8 & 0xff); }));
  t.add("v_cvt_f32_ubyte2", vector([](std::uint32_t x) { return static_cast<float>(x >> 16 & 0xff); }));
  t.add("v_cvt_f32_ubyte3", vector([](std::uint32_t x) { return static_cast<float>(x >> 24); }));
  t.add("v_cvt_off_f32_i4",
        vector([](std::uint32_t x) { return static_cast<float>(static_cast<std::int32_t>(x << 28) >> 28) * 0.0625f; }));
  t.add("v_cvt_f32_f16", one_source(&run_widen, Type::f16));
  t.add("v_cvt_f16_f32", one_source(&run_narrow<float>, Type::f32));
  t.add("v_cvt_f16_u16", one_source(&run_narrow<std::uint16_t>, Type::i16));
  t.add("v_cvt_f16_i16", one_source(&run_narrow<std::int16_t>, Type::i16));
}

void add_pairs(Table& t) {
  for (const char* name : {"v_cvt_pkrtz_f16_f32", "v_cvt_pk_rtz_f16_f32"}) {
    t.add(name, vector([](float a, float b) { return pair(f32_to_f16(a, kToZero), f32_to_f16(b, kToZero)); }));
  }
  t.add("v_cvt_pk_i16_f32",
        vector([](float a, float b) { return pair(bounded(a, -32768, 32767), bounded(b, -32768, 32767)); }));
  t.add("v_cvt_pk_u16_f32", vector([](float a, float b) { return pair(bounded(a, 0, 65535), bounded(b, 0, 65535)); }));
  t.add("v_cvt_pk_i16_i32", vector([](std::int32_t a, std::int32_t b) {
          return pair(bounded_int(a, -32768, 32767), bounded_int(b, -32768, 32767));
        }));
  t.add("v_cvt_pk_u16_u32", vector([](std::uint32_t a, std::uint32_t b) {
          return (a > 0xffff ? 0xffff : a) | (b > 0xffff ? 0xffff : b) << 16;
        }));
  for (const char* name : {"v_cvt_pknorm_i16_f32", "v_cvt_pk_norm_i16_f32"}) {
    t.add(name, vector([](float a, float b) { return pair(snorm(a), snorm(b)); }));
  }
  for (const char* name : {"v_cvt_pknorm_u16_f32", "v_cvt_pk_norm_u16_f32"}) {
    t.add(name, vector([](float a, float b) { return pair(unorm(a), unorm(b)); }));
  }
  for (const char* name : {"v_cvt_pknorm_i16_f16", "v_cvt_pk_norm_i16_f16"}) {
    t.add(name, vector([](Half16 a, Half16 b) { return pair(snorm(f16_to_f32(a.bits)), snorm(f16_to_f32(b.bits))); }));
  }
  for (const char* name : {"v_cvt_pknorm_u16_f16", "v_cvt_pk_norm_u16_f16"}) {
    t.add(name, vector([](Half16 a, Half16 b) { return pair(unorm(f16_to_f32(a.bits)), unorm(f16_to_f32(b.bits))); }));
  }
}

void add_bytes(Table& t) {
  t.add("v_cvt_pk_u8_f32",
        vector([](float x, std::uint32_t byte, std::uint32_t old) { return with_byte(old, byte, to_u8(x)); }));
  // Its last source is the old destination.
  t.add("v_cvt_pkaccum_u8_f32",
        vector([](float x, std::uint32_t byte, std::uint32_t old) { return with_byte(old, byte, to_u8(x)); }));
  t.add("v_sat_pk_u8_i16", vector([](std::uint32_t x) {
          const int low = bounded_int(static_cast<std::int16_t>(x), 0, 255);
          const int high = bounded_int(static_cast<std::int16_t>(x >> 16), 0, 255);
          return static_cast<std::uint16_t>(low | high << 8);
        }));
  t.add("v_cvt_f32_fp8", vector([](std::uint32_t x) { return fp8_to_f32(x & 0xff); }));
  t.add("v_cvt_f32_bf8", vector([](std::uint32_t x) { return bf8_to_f32(x & 0xff); }));
  t.add("v_cvt_pk_f32_fp8", vector([](std::uint32_t x) { return two_floats<fp8_to_f32>(x); }));
  t.add("v_cvt_pk_f32_bf8", vector([](std::uint32_t x) { return two_floats<bf8_to_f32>(x); }));
  t.add("v_cvt_pk_fp8_f32", pair_of_bytes(&run_bytes<f32_to_fp8>));
  t.add("v_cvt_pk_bf8_f32", pair_of_bytes(&run_bytes<f32_to_bf8>));
  t.add("v_cvt_sr_fp8_f32", stochastic_byte(&run_byte_stochastic<f32_to_fp8>));
  t.add("v_cvt_sr_bf8_f32", stochastic_byte(&run_byte_stochastic<f32_to_bf8>));
}

}  // namespace

void add_convert(Table& t) {
  add_to_integer(t);
  add_to_float(t);
  add_pairs(t);
  add_bytes(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
