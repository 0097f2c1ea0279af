// Bits of 32- and 64-bit registers: logic, shifts, fields, counts and permutations of bytes.
#include "emulator/ops/vector.h"
#include "emulator/ops/vector_int.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using i32 = std::int32_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

void add_logic(Table& t) {
  const Entry both = vector([](u32 a, u32 b) { return a & b; });
  t.add("v_and_b32", both);
  t.add("v_dual_and_b32", both);
  t.add("v_or_b32", vector([](u32 a, u32 b) { return a | b; }));
  t.add("v_xor_b32", vector([](u32 a, u32 b) { return a ^ b; }));
  t.add("v_xnor_b32", vector([](u32 a, u32 b) { return ~(a ^ b); }));
  t.add("v_not_b32", vector([](u32 a) { return ~a; }));
  t.add("v_or3_b32", vector([](u32 a, u32 b, u32 c) { return a | b | c; }));
  t.add("v_xor3_b32", vector([](u32 a, u32 b, u32 c) { return a ^ b ^ c; }));
  t.add("v_and_or_b32", vector([](u32 a, u32 b, u32 c) { return (a & b) | c; }));
  t.add("v_lshl_or_b32", vector([](u32 a, u32 b, u32 c) { return (a << (b & 31)) | c; }));
  t.add("v_bfi_b32", vector([](u32 mask, u32 a, u32 b) { return (mask & a) | (~mask & b); }));
}

void add_shifts(Table& t) {
  const Entry left = vector([](u32 n, u32 a) { return a << (n & 31); });
  t.add("v_lshlrev_b32", left);
  t.add("v_dual_lshlrev_b32", left);
  t.add("v_lshrrev_b32", vector([](u32 n, u32 a) { return a >> (n & 31); }));
  t.add("v_ashrrev_i32", vector([](u32 n, i32 a) { return a >> (n & 31); }));
  t.add("v_lshlrev_b64", vector([](u32 n, u64 a) { return a << (n & 63); }));
  t.add("v_lshrrev_b64", vector([](u32 n, u64 a) { return a >> (n & 63); }));
  t.add("v_ashrrev_i64", vector([](u32 n, i64 a) { return a >> (n & 63); }));
  t.add("v_alignbit_b32", vector([](u32 a, u32 b, u32 n) { return static_cast<u32>((u64{a} << 32 | b) >> (n & 31)); }));
  t.add("v_alignbyte_b32",
        vector([](u32 a, u32 b, u32 n) { return static_cast<u32>((u64{a} << 32 | b) >> (8 * (n & 3))); }));
}

void add_fields(Table& t) {
  t.add("v_bfm_b32", vector([](u32 width, u32 at) { return ((u32{1} << (width & 31)) - 1) << (at & 31); }));
  t.add("v_bfe_u32",
        vector([](u32 a, u32 at, u32 width) { return (a >> (at & 31)) & ((u32{1} << (width & 31)) - 1); }));
  // The field may reach past bit 31, where copies of the sign stand.
  t.add("v_bfe_i32", vector([](i32 a, u32 at, u32 width) {
          const u32 unused = (32 - (width & 31)) & 31;
          const u32 field = static_cast<u32>(a >> (at & 31)) << unused;
          return (width & 31) == 0 ? 0 : static_cast<i32>(field) >> unused;
        }));
}

u32 ones(u32 v) {
  v -= (v >> 1) & 0x55555555;
  v = (v & 0x33333333) + ((v >> 2) & 0x33333333);
  return (((v + (v >> 4)) & 0x0f0f0f0f) * 0x01010101) >> 24;
}
u32 reversed(u32 v) {
  v = ((v >> 1) & 0x55555555) | ((v & 0x55555555) << 1);
  v = ((v >> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  v = ((v >> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
  return v >> 16 | v << 16;
}
// Counts from the top or the bottom to the first 1; -1 where there is none.
i32 leading_zeros(u32 v) {
  u32 below = v | v >> 1;
  below |= below >> 2, below |= below >> 4, below |= below >> 8, below |= below >> 16;
  return v == 0 ? -1 : static_cast<i32>(32 - ones(below));
}
i32 trailing_zeros(u32 v) { return v == 0 ? -1 : static_cast<i32>(ones((v & (0 - v)) - 1)); }
// How many of the top bits are equal to the sign; -1 when all are.
i32 sign_bits(i32 v) { return leading_zeros(static_cast<u32>(v < 0 ? ~v : v)); }

// Bits of lanes below the lane's own number, counted over one half of a mask.
template <int Half>
void run_mbcnt(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<u32>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) u32 tmp0[kChunk], tmp1[kChunk], out[kChunk];
    const u32* bits = fetch(w, op.src[0], base, tmp0);
    const u32* add = fetch(w, op.src[1], base, tmp1);
    for (int i = 0; i < kChunk; ++i) {
      const u32 own = base == 32 * Half ? (u32{1} << i) - 1 : base > 32 * Half ? ~u32{0} : 0;
      out[i] = ones(bits[i] & own) + add[i];
    }
    put(w, op.dst[0], base, out, mask);
  }
}
template <int Half>
Entry mbcnt() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::b32, Type::b32};
            bind_vector(in, op, c, &run_mbcnt<Half>, kTypes);
            refuse_output_modifiers<u32>(in, op);
          }};
}

void add_counts(Table& t) {
  t.add("v_bcnt_u32_b32", vector([](u32 a, u32 b) { return ones(a) + b; }));
  t.add("v_bfrev_b32", vector([](u32 a) { return reversed(a); }));
  for (const char* name : {"v_clz_i32_u32", "v_ffbh_u32"}) t.add(name, vector([](u32 a) { return leading_zeros(a); }));
  for (const char* name : {"v_ctz_i32_b32", "v_ffbl_b32"}) t.add(name, vector([](u32 a) { return trailing_zeros(a); }));
  for (const char* name : {"v_cls_i32", "v_ffbh_i32"}) t.add(name, vector([](i32 a) { return sign_bits(a); }));
  t.add("v_mbcnt_lo_u32_b32", mbcnt<0>());
  t.add("v_mbcnt_hi_u32_b32", mbcnt<1>());
}

// One byte of the result: 0..7 a byte of b and then a, 8..11 the signs of their words, 12 zeros, above it ones.
u32 permuted_byte(u32 a, u32 b, u32 select) {
  const u32 byte = ((select & 4) != 0 ? a : b) >> (8 * (select & 3)) & 0xff;
  const u32 sign = (((select & 2) != 0 ? a : b) >> (16 * (select & 1) + 15) & 1) * 0xff;
  return select <= 7 ? byte : select <= 11 ? sign : select == 12 ? 0 : 0xff;
}

void add_bytes(Table& t) {
  t.add("v_perm_b32", vector([](u32 a, u32 b, u32 select) {
          return permuted_byte(a, b, select & 0xff) | permuted_byte(a, b, select >> 8 & 0xff) << 8 |
                 permuted_byte(a, b, select >> 16 & 0xff) << 16 | permuted_byte(a, b, select >> 24) << 24;
        }));
  // Averages of bytes, rounded up where c's lowest bit of the byte is 1.
  t.add("v_lerp_u8", vector([](u32 a, u32 b, u32 c) {
          const u32 ones_below = a ^ b, half = (a & b) + ((ones_below >> 1) & 0x7f7f7f7f);
          return half + (ones_below & c & 0x01010101);
        }));
  t.add("v_sat_pk_u8_i16", vector([](u32 a) {
          const i32 low = static_cast<std::int16_t>(a), high = static_cast<i32>(a) >> 16;
          const i32 l = low < 0 ? 0 : low > 255 ? 255 : low, h = high < 0 ? 0 : high > 255 ? 255 : high;
          return static_cast<std::uint16_t>(l | h << 8);
        }));
}

}  // namespace

void add_vector_bits(Table& t) {
  add_logic(t);
  add_shifts(t);
  add_fields(t);
  add_counts(t);
  add_bytes(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
