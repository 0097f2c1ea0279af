// Dot products within a lane: two pairs of halves, four of bytes or eight of nibbles, and a sum.
//
// What AMD's documents leave open is decided so: floats take the pairs in order, starting from the accumulator, by
// fused steps that round to the result's type in MODE's mode. dot2 with f16 factors and an f32 result reads and writes
// f32 denormals as 0, whatever MODE says (so LLVM's back end has it, and forms dots accordingly). Integer sums are
// exact; they wrap, or saturate at the end with clamp.
#include "emulator/ops/packed.h"

#include <algorithm>

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

constexpr int kAccumulator = 2;

float widen(Half16 h) { return f16_to_f32(h.bits); }
float widen(Bfloat16 b) { return bf16_to_f32(b.bits); }
float fma_odd(Half16, float a, float b, float c, int mode) { return fma_for_f16(a, b, c, mode); }
float fma_odd(Bfloat16, float a, float b, float c, int mode) { return fma_for_bf16(a, b, c, mode); }
Half16 narrow(Half16, float f, int mode) { return {f32_to_f16(f, mode)}; }
Bfloat16 narrow(Bfloat16, float f, int mode) { return {f32_to_bf16(f, mode)}; }

// The two factors of `pair` (0: low, 1: high), widened.
template <class T>
void fetch_pair(const Wave& w, const Op& op, int base, int pair, float* a, float* b) {
  alignas(64) T tmp[kChunk];
  const T* from = fetch(w, packed_half(op, 0, pair != 0), base, tmp);
  for (int i = 0; i < kChunk; ++i) a[i] = widen(from[i]);
  from = fetch(w, packed_half(op, 1, pair != 0), base, tmp);
  for (int i = 0; i < kChunk; ++i) b[i] = widen(from[i]);
}

template <class T>
void run_f32(Wave& w, const Op& op) {
  const Rounding host(w.mode.round32);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) float a[kChunk], b[kChunk], tmp[kChunk], sum[kChunk];
    std::memcpy(sum, fetch(w, op.src[kAccumulator], base, tmp), sizeof sum);
    if constexpr (std::is_same_v<T, Half16>) flush_denormals(sum);
    for (int pair = 0; pair < 2; ++pair) {
      fetch_pair<T>(w, op, base, pair, a, b);
      for (int i = 0; i < kChunk; ++i) sum[i] = std::fma(a[i], b[i], sum[i]);
    }
    if constexpr (std::is_same_v<T, Half16>) flush_denormals(sum);
    finish(w, op, sum);
    put(w, op.dst[0], base, sum, mask);
  }
}

template <class T>
void run_half(Wave& w, const Op& op) {
  const int mode = rounding<T>(w);
  const Rounding host(mode);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) float a[kChunk], b[kChunk];
    alignas(64) T tmp[kChunk], sum[kChunk];
    std::memcpy(sum, fetch(w, op.src[kAccumulator], base, tmp), sizeof sum);
    for (int pair = 0; pair < 2; ++pair) {
      fetch_pair<T>(w, op, base, pair, a, b);
      for (int i = 0; i < kChunk; ++i) sum[i] = narrow(T{}, fma_odd(T{}, a[i], b[i], widen(sum[i]), mode), mode);
    }
    finish(w, op, sum);
    put(w, op.dst[0], base, sum, mask);
  }
}

// --- integers

struct Signs {
  bool a, b, sum;
};
Signs signs(const Op& op) { return {(op.imm & 1) != 0, (op.imm & 2) != 0, (op.imm & 4) != 0}; }

// Element `at` of `bits` bits, at the top of its word and back.
template <int bits>
std::int64_t element(std::uint32_t word, int at, bool is_signed) {
  const std::uint32_t top = word << (32 - bits * (at + 1));
  const std::int32_t extended = static_cast<std::int32_t>(top) >> (32 - bits);
  return is_signed ? std::int64_t{extended} : std::int64_t{top >> (32 - bits)};
}

template <int bits>
void run_integer(Wave& w, const Op& op) {
  const Signs sign = signs(op);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) std::uint32_t a_tmp[kChunk], b_tmp[kChunk], c_tmp[kChunk], out[kChunk];
    const std::uint32_t* a = fetch(w, op.src[0], base, a_tmp);
    const std::uint32_t* b = fetch(w, op.src[1], base, b_tmp);
    const std::uint32_t* c = fetch(w, op.src[kAccumulator], base, c_tmp);
    alignas(64) std::int64_t sum[kChunk];
    for (int i = 0; i < kChunk; ++i) sum[i] = sign.sum ? std::int64_t{static_cast<std::int32_t>(c[i])} : c[i];
    for (int at = 0; at < 32 / bits; ++at) {
      for (int i = 0; i < kChunk; ++i) sum[i] += element<bits>(a[i], at, sign.a) * element<bits>(b[i], at, sign.b);
    }
    const std::int64_t least = sign.sum ? -0x80000000ll : 0, most = sign.sum ? 0x7fffffffll : 0xffffffffll;
    for (int i = 0; i < kChunk; ++i) {
      out[i] = static_cast<std::uint32_t>(op.clamp ? std::clamp(sum[i], least, most) : sum[i]);
    }
    put(w, op.dst[0], base, out, mask);
  }
}

// --- the table

[[noreturn]] void refuse(const Instruction& in, const char* what) {
  throw Unsupported(std::string(what) + " in '" + in.text + "'");
}

// No document says what the modifiers of VOP3, written on the operand, do to a pair.
void refuse_signs_of_pairs(const Instruction& in, const Op& op) {
  for (const Source& s : {op.src[0], op.src[1]}) {
    if (s.negate || s.absolute) refuse(in, "a sign modifier of a packed operand");
  }
}

Entry to_f32(Run run, Type factor) {
  return {Class::dot, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Type types[] = {factor, factor, Type::f32};
            bind_packed(in, op, c, run, types, {"op_sel", "op_sel_hi", "neg_lo", "neg_hi", "clamp"});
            refuse_signs_of_pairs(in, op);
            // LLVM sets both to negate an accumulator; either alone is in no document.
            const bool low = packed_flag(op, kNegateLow, kAccumulator),
                       high = packed_flag(op, kNegateHigh, kAccumulator);
            if (high && !low) refuse(in, "neg_hi of the accumulator");
            if (packed_flag(op, kSelect, kAccumulator)) refuse(in, "op_sel of the accumulator");
            op.src[kAccumulator].negate ^= low;
          }};
}

Entry to_half(Run run, Type type) {
  return {Class::dot, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Type types[] = {type, type, type};
            bind_packed(in, op, c, run, types, {"op_sel"});
            refuse_signs_of_pairs(in, op);
            // op_sel names the halves of the accumulator and of the result, which LLVM may print as v0.h as well.
            const Modifier* select = in.find("op_sel");
            const auto upper = [&](std::size_t i) {
              return select && i < select->values.size() && select->values[i] != 0;
            };
            if (upper(0) || upper(1)) refuse(in, "op_sel of a factor");
            if (upper(2) && op.src[kAccumulator].kind != Source::Kind::constant) op.src[kAccumulator].pick = Pick::high;
            if (upper(3)) op.dst[0].pick = Pick::high;
            if (op.dst[0].pick == Pick::whole) op.dst[0].pick = Pick::low;
          }};
}

// `sign`: of the factors and of the sum, as in Signs; -1: neg_lo says it of the factors.
template <int bits>
Entry integer(int sign) {
  return {Class::dot, [=](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::b32, Type::b32, Type::b32};
            if (sign < 0) {
              bind_packed(in, op, c, &run_integer<bits>, kTypes, {"neg_lo", "clamp"});
              if (packed_flag(op, kNegateLow, kAccumulator)) refuse(in, "neg_lo of the accumulator");
              op.imm = (packed_flag(op, kNegateLow, 0) ? 1 : 0) | (packed_flag(op, kNegateLow, 1) ? 2 : 0) | 4;
            } else {
              bind_packed(in, op, c, &run_integer<bits>, kTypes, {"clamp"});
              op.imm = sign;
            }
          }};
}

}  // namespace

void add_dot(Table& t) {
  for (const char* name : {"v_dot2_f32_f16", "v_dot2c_f32_f16", "v_dot2acc_f32_f16", "v_dual_dot2acc_f32_f16"}) {
    t.add(name, to_f32(&run_f32<Half16>, Type::f16));
  }
  for (const char* name : {"v_dot2_f32_bf16", "v_dual_dot2acc_f32_bf16"}) {
    t.add(name, to_f32(&run_f32<Bfloat16>, Type::bf16));
  }
  t.add("v_dot2_f16_f16", to_half(&run_half<Half16>, Type::f16));
  t.add("v_dot2_bf16_bf16", to_half(&run_half<Bfloat16>, Type::bf16));
  t.add("v_dot4_i32_iu8", integer<8>(-1));
  t.add("v_dot8_i32_iu4", integer<4>(-1));
  for (const char* name : {"v_dot4_i32_i8", "v_dot4c_i32_i8"}) t.add(name, integer<8>(7));
  for (const char* name : {"v_dot8_i32_i4", "v_dot8c_i32_i4"}) t.add(name, integer<4>(7));
  for (const char* name : {"v_dot2_i32_i16", "v_dot2c_i32_i16"}) t.add(name, integer<16>(7));
  t.add("v_dot2_u32_u16", integer<16>(0));
  t.add("v_dot4_u32_u8", integer<8>(0));
  t.add("v_dot8_u32_u4", integer<4>(0));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
