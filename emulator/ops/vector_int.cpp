// Integers of 32 and 64 bits: arithmetic, carries, moves and choices. Bits are in vector_bits.cpp, 16-bit integers in
// vector_int16.cpp, sums of byte differences in vector_sad.cpp.
#include "emulator/ops/vector_int.h"
#include "emulator/ops/integer.h"
#include "emulator/ops/lane_bits.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using i32 = std::int32_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

i64 signed24(u32 v) { return static_cast<i32>(v << 8) >> 8; }
u64 unsigned24(u32 v) { return v & 0xffffff; }

void add_sums(Table& t) {
  const auto add_u32 = vector_clampable<u32>([](u32 a, u32 b) { return i64{a} + i64{b}; });
  const auto sub_u32 = vector_clampable<u32>([](u32 a, u32 b) { return i64{a} - i64{b}; });
  const auto subrev_u32 = vector_clampable<u32>([](u32 a, u32 b) { return i64{b} - i64{a}; });
  const auto add_i32 = vector_clampable<i32>([](i32 a, i32 b) { return i64{a} + i64{b}; });
  const auto sub_i32 = vector_clampable<i32>([](i32 a, i32 b) { return i64{a} - i64{b}; });
  t.add("v_add_nc_u32", add_u32);
  t.add("v_dual_add_nc_u32", add_u32);
  t.add("v_sub_nc_u32", sub_u32);
  t.add("v_subrev_nc_u32", subrev_u32);
  t.add("v_add_nc_i32", add_i32);
  t.add("v_sub_nc_i32", sub_i32);
  t.add("v_add_u32", add_u32);
  t.add("v_sub_u32", sub_u32);
  t.add("v_subrev_u32", subrev_u32);
  t.add("v_add_i32", add_i32);
  t.add("v_sub_i32", sub_i32);
  t.add("v_add3_u32", vector([](u32 a, u32 b, u32 c) { return a + b + c; }));
  t.add("v_xad_u32", vector([](u32 a, u32 b, u32 c) { return (a ^ b) + c; }));
  t.add("v_add_lshl_u32", vector([](u32 a, u32 b, u32 c) { return (a + b) << (c & 31); }));
  t.add("v_lshl_add_u32", vector([](u32 a, u32 b, u32 c) { return (a << (b & 31)) + c; }));
  t.add("v_lshl_add_u64", vector([](u64 a, u32 b, u64 c) { return (a << (b & 7)) + c; }));
}

// A sum or difference with its carry or borrow. With clamp the value saturates; the carry stays.
template <class F>
struct ClampedCarry;
template <class F>
Entry carrying(F) {
  Entry entry = vector_with_bit(F{});
  entry.bind = [bind = entry.bind](const Instruction& in, Op& op, const BindContext& c) {
    bind(in, op, c);
    if (op.omod != 0) throw Unsupported("scale of integers in '" + in.text + "'");
    if (op.clamp) op.run = &run_with_bit<ClampedCarry<F>>;
    op.clamp = false;
  };
  return entry;
}

// The 33 bits of a result. A difference that borrows is negative.
WithBit<u32> carried(u64 exact) { return {static_cast<u32>(exact), static_cast<u32>(exact >> 32 & 1)}; }

struct Add {
  WithBit<u32> operator()(u32 a, u32 b) const { return carried(u64{a} + b); }
  static constexpr u32 limit = 0xffffffff;
};
struct Sub {
  WithBit<u32> operator()(u32 a, u32 b) const { return carried(u64{a} - b); }
  static constexpr u32 limit = 0;
};
struct SubRev {
  WithBit<u32> operator()(u32 a, u32 b) const { return carried(u64{b} - a); }
  static constexpr u32 limit = 0;
};
struct AddCarry {
  WithBit<u32> operator()(u32 a, u32 b, LaneBit c) const { return carried(u64{a} + b + c.on); }
  static constexpr u32 limit = 0xffffffff;
};
struct SubBorrow {
  WithBit<u32> operator()(u32 a, u32 b, LaneBit c) const { return carried(u64{a} - b - c.on); }
  static constexpr u32 limit = 0;
};
struct SubRevBorrow {
  WithBit<u32> operator()(u32 a, u32 b, LaneBit c) const { return carried(u64{b} - a - c.on); }
  static constexpr u32 limit = 0;
};

template <class F, class M>
struct ClampedCarryOf;
template <class F, class... A>
struct ClampedCarryOf<F, WithBit<u32> (F::*)(A...) const> {
  WithBit<u32> operator()(A... a) const {
    const WithBit<u32> r = F{}(a...);
    return {r.bit != 0 ? F::limit : r.value, r.bit};
  }
};
template <class F>
struct ClampedCarry : ClampedCarryOf<F, decltype(&F::operator())> {};

void add_carries(Table& t) {
  t.add("v_add_co_u32", carrying(Add{}));
  t.add("v_sub_co_u32", carrying(Sub{}));
  t.add("v_subrev_co_u32", carrying(SubRev{}));
  for (const char* name : {"v_add_co_ci_u32", "v_addc_co_u32"}) t.add(name, carrying(AddCarry{}));
  for (const char* name : {"v_sub_co_ci_u32", "v_subb_co_u32"}) t.add(name, carrying(SubBorrow{}));
  for (const char* name : {"v_subrev_co_ci_u32", "v_subbrev_co_u32"}) t.add(name, carrying(SubRevBorrow{}));
}

// a b + c in 64 bits; the bit is the one above them in the exact sum: the carry, or its sign.
struct MadU64 {
  WithBit<u64> operator()(u32 a, u32 b, u64 c) const {
    const u64 product = u64{a} * b, sum = product + c;
    return {sum, sum < product ? u32{1} : 0};
  }
};
struct MadI64 {
  WithBit<i64> operator()(i32 a, i32 b, i64 c) const {
    i64 sum;
    const bool overflow = __builtin_add_overflow(i64{a} * b, c, &sum);
    return {sum, overflow != (sum < 0) ? u32{1} : 0};  // bit 64 of the exact sum: its sign
  }
};
struct ClampedMadU64 {
  WithBit<u64> operator()(u32 a, u32 b, u64 c) const {
    const WithBit<u64> r = MadU64{}(a, b, c);
    return {r.bit != 0 ? ~u64{0} : r.value, r.bit};
  }
};
struct ClampedMadI64 {
  WithBit<i64> operator()(i32 a, i32 b, i64 c) const {
    const WithBit<i64> r = MadI64{}(a, b, c);
    const bool overflow = (r.bit != 0) != (r.value < 0);
    const i64 limit = r.bit != 0 ? std::numeric_limits<i64>::min() : std::numeric_limits<i64>::max();
    return {overflow ? limit : r.value, r.bit};
  }
};
template <class F, class Clamped>
Entry wide_mad() {
  Entry entry = vector_with_bit(F{});
  entry.bind = [bind = entry.bind](const Instruction& in, Op& op, const BindContext& c) {
    bind(in, op, c);
    if (op.omod != 0) throw Unsupported("scale of integers in '" + in.text + "'");
    if (op.clamp) op.run = &run_with_bit<Clamped>;
    op.clamp = false;
  };
  return entry;
}

void add_products(Table& t) {
  t.add("v_mul_lo_u32", vector([](u32 a, u32 b) { return a * b; }));
  t.add("v_mul_hi_u32", vector([](u32 a, u32 b) { return static_cast<u32>(u64{a} * b >> 32); }));
  t.add("v_mul_hi_i32", vector([](i32 a, i32 b) { return static_cast<i32>(i64{a} * b >> 32); }));
  t.add("v_mul_u32_u24", vector_clampable<u32>([](u32 a, u32 b) { return unsigned24(a) * unsigned24(b); }));
  t.add("v_mul_i32_i24", vector_clampable<i32>([](u32 a, u32 b) { return signed24(a) * signed24(b); }));
  t.add("v_mul_hi_u32_u24", vector([](u32 a, u32 b) { return static_cast<u32>(unsigned24(a) * unsigned24(b) >> 32); }));
  t.add("v_mul_hi_i32_i24", vector([](u32 a, u32 b) { return static_cast<i32>(signed24(a) * signed24(b) >> 32); }));
  t.add("v_mad_u32_u24", vector_clampable<u32>([](u32 a, u32 b, u32 c) { return unsigned24(a) * unsigned24(b) + c; }));
  t.add("v_mad_i32_i24", vector_clampable<i32>([](u32 a, u32 b, i32 c) { return signed24(a) * signed24(b) + c; }));
  t.add("v_mad_u64_u32", wide_mad<MadU64, ClampedMadU64>());
  t.add("v_mad_i64_i32", wide_mad<MadI64, ClampedMadI64>());
  t.add("v_mad_u32_u16", vector_clampable<u32>([](std::uint16_t a, std::uint16_t b, u32 c) { return u64{a} * b + c; }));
  t.add("v_mad_i32_i16", vector_clampable<i32>([](std::int16_t a, std::int16_t b, i32 c) { return i64{a} * b + c; }));
}

void add_order(Table& t) {
  t.add("v_min_u32", vector([](u32 a, u32 b) { return a < b ? a : b; }));
  t.add("v_max_u32", vector([](u32 a, u32 b) { return a > b ? a : b; }));
  t.add("v_min_i32", vector([](i32 a, i32 b) { return a < b ? a : b; }));
  t.add("v_max_i32", vector([](i32 a, i32 b) { return a > b ? a : b; }));
  add_order3<u32>(t, "u32");
  add_order3<i32>(t, "i32");
  t.add("v_minmax_u32", vector([](u32 a, u32 b, u32 c) { return greater(smaller(a, b), c); }));
  t.add("v_minmax_i32", vector([](i32 a, i32 b, i32 c) { return greater(smaller(a, b), c); }));
  t.add("v_maxmin_u32", vector([](u32 a, u32 b, u32 c) { return smaller(greater(a, b), c); }));
  t.add("v_maxmin_i32", vector([](i32 a, i32 b, i32 c) { return smaller(greater(a, b), c); }));
}

void add_moves(Table& t) {
  t.add("v_mov_b32", vector([](u32 a) { return a; }));
  t.add("v_dual_mov_b32", vector([](u32 a) { return a; }));
  t.add("v_mov_b64", vector([](u64 a) { return a; }));
  t.add("v_mov_b16", vector([](std::uint16_t a) { return a; }));
  const Entry choose = vector_of_mask([](u32 a, u32 b, LaneBit m) { return m.on != 0 ? b : a; });
  t.add("v_cndmask_b32", choose);
  t.add("v_dual_cndmask_b32", choose);
  t.add("v_cndmask_b16", vector_of_mask([](std::uint16_t a, std::uint16_t b, LaneBit m) { return m.on != 0 ? b : a; }));
  const Entry nothing = {Class::other, [](const Instruction& in, Op& op, const BindContext&) {
                           expect_modifiers(in, {});
                           op.run = [](Wave&, const Op&) {};
                         }};
  t.add("v_nop", nothing);
  t.add("v_pipeflush", nothing);
  t.add("v_clrexcp", nothing);  // clears flags of exceptions, which are not emulated
}

}  // namespace

void add_vector_int(Table& t) {
  add_sums(t);
  add_carries(t);
  add_products(t);
  add_order(t);
  add_moves(t);
  add_vector_bits(t);
  add_vector_int16(t);
  add_vector_sad(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
