// The sources of VOP3P: two values side by side in a register, picked by op_sel for the low result and by op_sel_hi for
// the high one, negated by neg_lo and neg_hi.
#pragma once

#include "emulator/ops/half.h"
#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

// Op::flags: a bit for each of three sources.
inline constexpr int kSelect = 0, kSelectHigh = 3, kNegateLow = 6, kNegateHigh = 9;

inline bool packed_flag(const Op& op, int field, int s) { return (op.flags >> (field + s)) & 1; }

inline void read_packed_flag(const Instruction& in, Op& op, std::string_view name, int field, int otherwise) {
  const Modifier* m = in.find(name);
  for (int s = 0; s < 3; ++s) {
    const bool given = m && s < static_cast<int>(m->values.size());
    const auto bit = static_cast<unsigned>(given ? m->values[static_cast<std::size_t>(s)] : otherwise);
    op.flags |= (bit & 1) << (field + s);
  }
}

/// Operand 0 is the destination; the others are `types`. One operand less: the last source is the old destination.
/// Inline constants: an integer fills the register, an f16 its low half, and for integer instructions a float is f32's.
inline void bind_packed(const Instruction& in, Op& op, const BindContext& c, Run run, std::span<const Type> types,
                        std::initializer_list<std::string_view> modifiers) {
  expect_modifiers(in, modifiers);
  const std::size_t printed = in.operands.size() - 1;
  if (printed != types.size() && printed + 1 != types.size()) throw Unsupported("operands of '" + in.text + "'");
  op.run = run;
  op.clamp = in.has("clamp");
  op.dst[0] = destination(in, 0, c);
  op.sources = static_cast<std::uint8_t>(types.size());
  for (std::size_t s = 0; s < printed; ++s) op.src[s] = source(in, s + 1, types[s], c);
  if (printed < types.size()) {
    op.src[printed] = {.kind = Source::Kind::vector, .reg = op.dst[0].reg, .count = op.dst[0].count};
  }
  read_packed_flag(in, op, "op_sel", kSelect, 0);
  read_packed_flag(in, op, "op_sel_hi", kSelectHigh, 1);
  read_packed_flag(in, op, "neg_lo", kNegateLow, 0);
  read_packed_flag(in, op, "neg_hi", kNegateHigh, 0);
}

/// Source `s` as the low or the high result reads it: a half of its register.
inline Source packed_half(const Op& op, int s, bool high_result) {
  Source half = op.src[s];
  half.pick = packed_flag(op, high_result ? kSelectHigh : kSelect, s) ? Pick::high : Pick::low;
  half.negate ^= packed_flag(op, high_result ? kNegateHigh : kNegateLow, s);
  return half;
}

/// The same of a pair of registers: one of them. An inline constant has 64 bits: those above a float are 0.
inline Source packed_word(const Op& op, int s, bool high_result) {
  Source word = op.src[s];
  const bool upper = packed_flag(op, high_result ? kSelectHigh : kSelect, s);
  word.negate ^= packed_flag(op, high_result ? kNegateHigh : kNegateLow, s);
  word.count = 1;
  if (upper && word.kind == Source::Kind::constant) word.value >>= 32;
  if (upper) ++word.reg;
  return word;
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
