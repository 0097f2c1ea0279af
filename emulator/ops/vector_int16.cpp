// 16-bit integers.
#include "emulator/ops/integer.h"
#include "emulator/ops/vector_int.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using i16 = std::int16_t;
using u16 = std::uint16_t;
using i64 = std::int64_t;

void add_arithmetic(Table& t) {
  const Entry add_u16 = vector_clampable<u16>([](u16 a, u16 b) { return a + b; });
  const Entry sub_u16 = vector_clampable<u16>([](u16 a, u16 b) { return a - b; });
  const Entry subrev_u16 = vector_clampable<u16>([](u16 a, u16 b) { return b - a; });
  const Entry add_i16 = vector_clampable<i16>([](i16 a, i16 b) { return a + b; });
  const Entry sub_i16 = vector_clampable<i16>([](i16 a, i16 b) { return a - b; });
  const Entry mad_u16 = vector_clampable<u16>([](u16 a, u16 b, u16 c) { return i64{a} * b + c; });
  const Entry mad_i16 = vector_clampable<i16>([](i16 a, i16 b, i16 c) { return i64{a} * b + c; });
  t.add("v_add_nc_u16", add_u16);
  t.add("v_sub_nc_u16", sub_u16);
  t.add("v_add_nc_i16", add_i16);
  t.add("v_sub_nc_i16", sub_i16);
  t.add("v_add_u16", add_u16);
  t.add("v_sub_u16", sub_u16);
  t.add("v_subrev_u16", subrev_u16);
  t.add("v_add_i16", keeping_half(add_i16));
  t.add("v_sub_i16", keeping_half(sub_i16));
  t.add("v_mul_lo_u16", vector([](u16 a, u16 b) { return static_cast<u16>(std::uint32_t{a} * b); }));
  t.add("v_mad_u16", keeping_half(mad_u16));
  t.add("v_mad_i16", keeping_half(mad_i16));
  t.add("v_mad_legacy_u16", mad_u16);
  t.add("v_mad_legacy_i16", mad_i16);
}

void add_bits(Table& t) {
  t.add("v_and_b16", vector([](u16 a, u16 b) { return static_cast<u16>(a & b); }));
  t.add("v_or_b16", vector([](u16 a, u16 b) { return static_cast<u16>(a | b); }));
  t.add("v_xor_b16", vector([](u16 a, u16 b) { return static_cast<u16>(a ^ b); }));
  t.add("v_not_b16", vector([](u16 a) { return static_cast<u16>(~a); }));
  t.add("v_lshlrev_b16", vector([](u16 n, u16 a) { return static_cast<u16>(a << (n & 15)); }));
  t.add("v_lshrrev_b16", vector([](u16 n, u16 a) { return static_cast<u16>(a >> (n & 15)); }));
  t.add("v_ashrrev_i16", vector([](u16 n, i16 a) { return static_cast<i16>(a >> (n & 15)); }));
}

void add_order(Table& t) {
  t.add("v_min_u16", vector([](u16 a, u16 b) { return smaller(a, b); }));
  t.add("v_max_u16", vector([](u16 a, u16 b) { return greater(a, b); }));
  t.add("v_min_i16", vector([](i16 a, i16 b) { return smaller(a, b); }));
  t.add("v_max_i16", vector([](i16 a, i16 b) { return greater(a, b); }));
  add_order3<u16>(t, "u16");
  add_order3<i16>(t, "i16");
}

}  // namespace

void add_vector_int16(Table& t) {
  add_arithmetic(t);
  add_bits(t);
  add_order(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
