// What vector instructions do with masks of lanes: one bit a lane in VCC, EXEC or scalar registers, read as a carry or
// a condition, written as a carry or a comparison's result. Bits of lanes that are off are written as 0.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

/// A lane's bit of a mask as an argument of a vector function.
struct LaneBit {
  std::uint32_t on;  // 0 or 1
};
template <>
struct LaneType<LaneBit> {
  static constexpr Type type = Type::mask;
  static constexpr int words = 1, bits = 32;
  static constexpr bool real = false;
  using Bits = std::uint32_t;
};

inline std::uint64_t mask_value(const Wave& w, const Source& s) {
  if (s.kind == Source::Kind::scalar) return w.lane_mask(s.reg);
  return s.kind == Source::Kind::constant ? s.value : 0;
}

inline const LaneBit* fetch(const Wave& w, const Source& s, int base, LaneBit* tmp) {
  const auto bits = static_cast<std::uint32_t>(mask_value(w, s) >> base);
  for (int i = 0; i < kChunk; ++i) tmp[i].on = (bits >> i) & 1;
  return tmp;
}

/// Bit i of the result is v[i], which is 0 or 1.
inline std::uint32_t pack_bits(const std::uint32_t* v) {
  std::uint32_t bits = 0;
#if defined(__AVX2__)
  for (int i = 0; i < kChunk; i += 8) {
    const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v + i));
    const int signs = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(word, 31)));
    bits |= static_cast<std::uint32_t>(signs) << i;
  }
#else
  for (int i = 0; i < kChunk; ++i) bits |= v[i] << i;
#endif
  return bits;
}

// A result and a bit of a mask: of v_add_co_u32, v_div_scale_f32.
template <class R>
struct WithBit {
  R value;
  std::uint32_t bit;  // 0 or 1
};

template <class F, std::size_t... I>
std::uint32_t run_with_bit_at(Wave& w, const Op& op, int base, std::uint32_t mask, std::index_sequence<I...>) {
  using A = typename Signature<F>::Arguments;
  using R = decltype(Signature<F>::Result::value);
  const bool plain = op.plain && w.mode_plain;
  std::tuple<Lanes<std::tuple_element_t<I, A>>...> tmp;
  const std::tuple<const std::tuple_element_t<I, A>*...> in{operand(w, op.src[I], plain, base, std::get<I>(tmp).v)...};
  Lanes<R> other;
  R* const out = result_row(w, op, plain, base, mask, other.v);
  alignas(64) std::uint32_t bits[kChunk];
  WAVETILE_LANES_APART
  for (int i = 0; i < kChunk; ++i) {
    const auto r = F{}(std::get<I>(in)[i]...);
    out[i] = r.value;
    bits[i] = r.bit;
  }
  if (out == other.v) {
    finish(w, op, out);
    put(w, op.dst[0], base, out, mask);
  }
  return pack_bits(bits) & mask;
}

/// WithBit<R> f(A...): the bits go to dst[1].
template <class F>
void run_with_bit(Wave& w, const Op& op) {
  using R = decltype(Signature<F>::Result::value);
  std::uint64_t bits = 0;
  {
    const Rounding rounding_mode(w.mode_plain ? 0 : rounding<R>(w));
    for (int base = 0; base < w.lanes; base += kChunk) {
      const auto mask = static_cast<std::uint32_t>(w.exec >> base);
      if (mask == 0) continue;
      bits |= std::uint64_t{run_with_bit_at<F>(w, op, base, mask, std::make_index_sequence<Signature<F>::count>{})}
              << base;
    }
  }
  w.set_lane_mask(op.dst[1].reg, bits);
}

template <class F, std::size_t... I>
std::uint32_t run_compare_at(const Wave& w, const Op& op, int base, std::index_sequence<I...>) {
  using A = typename Signature<F>::Arguments;
  std::tuple<Lanes<std::tuple_element_t<I, A>>...> tmp;
  const std::tuple<const std::tuple_element_t<I, A>*...> in{
      operand(w, op.src[I], op.plain && w.mode_plain, base, std::get<I>(tmp).v)...};
  alignas(64) std::uint32_t bits[kChunk];
  for (int i = 0; i < kChunk; ++i) bits[i] = F{}(std::get<I>(in)[i]...) ? 1 : 0;
  return pack_bits(bits);
}

/// The result of a comparison, to dst[0], and to dst[1] when there is one.
inline void set_compared(Wave& w, const Op& op, std::uint64_t bits) {
  bits &= w.exec;
  w.set_lane_mask(op.dst[0].reg, bits);
  if (op.dst[1].kind == Destination::Kind::scalar) w.set_lane_mask(op.dst[1].reg, bits);
}

/// bool f(A...): the bits go to dst[0], and to dst[1] when there is one.
template <class F>
void run_compare(Wave& w, const Op& op) {
  std::uint64_t bits = 0;
  for (int base = 0; base < w.lanes; base += kChunk) {
    if (static_cast<std::uint32_t>(w.exec >> base) == 0) continue;
    bits |= std::uint64_t{run_compare_at<F>(w, op, base, std::make_index_sequence<Signature<F>::count>{})} << base;
  }
  set_compared(w, op, bits);
}

/// The instruction with other operands; its encoding and modifiers are the same.
inline Instruction with_operands(const Instruction& in, std::vector<Operand> operands) {
  Instruction copy;
  copy.mnemonic = in.mnemonic;
  copy.encoding = in.encoding;
  copy.text = in.text;
  copy.bytes = in.bytes;
  copy.operands = std::move(operands);
  copy.modifiers = in.modifiers;
  return copy;
}

/// VCC or EXEC as an operand.
inline Operand mask_operand(int reg, const BindContext& c) {
  Operand o;
  o.kind = Operand::Kind::registers;
  o.registers = {File::sgpr, static_cast<std::uint16_t>(reg), static_cast<std::uint8_t>(c.lanes / 32), Half::whole};
  return o;
}

/// An instruction that writes a mask after its vector register: "v0, vcc, v1, v2".
template <class F>
Entry vector_with_bit(F) {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            if (in.operands.size() < 2) throw Unsupported("no second destination in '" + in.text + "'");
            std::vector<Operand> rest = in.operands;
            rest.erase(rest.begin() + 1);
            bind_vector(with_operands(in, std::move(rest)), op, c, &run_with_bit<F>,
                        types_of(static_cast<typename Signature<F>::Arguments*>(nullptr)));
            op.dst[1] = destination(in, 1, c);
          }};
}

/// An instruction whose last source is a mask: printed, or VCC where the encoding has no room for another.
template <class F>
Entry vector_of_mask(F) {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            constexpr std::size_t kOperands = Signature<F>::count + 1;
            std::vector<Operand> operands = in.operands;
            if (operands.size() + 1 == kOperands) operands.push_back(mask_operand(kVcc, c));
            if (operands.size() != kOperands) throw Unsupported("a source is missing in '" + in.text + "'");
            bind_vector(with_operands(in, std::move(operands)), op, c, &run_vector<F>,
                        types_of(static_cast<typename Signature<F>::Arguments*>(nullptr)));
            refuse_output_modifiers<typename Signature<F>::Result>(in, op);
          }};
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
