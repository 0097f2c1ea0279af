// Atomics keep the order of lanes within a wave: lane 0 first. Between waves of different threads they are sequentially
// consistent, a compare-and-swap loop on the host.
//
// Float additions round to the nearest even. In LDS they keep or flush denormals as MODE says; in memory they keep
// them. Minimum and maximum are IEEE 754's minNum and maxNum, with -0 below +0.
#include "emulator/ops/atomics.h"

#include <array>
#include <cmath>

#include "emulator/ops/half.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using U = std::uint64_t;

float f32(U v) { return std::bit_cast<float>(static_cast<std::uint32_t>(v)); }
double f64(U v) { return std::bit_cast<double>(v); }
U bits(float v) { return std::bit_cast<std::uint32_t>(v); }
U bits(double v) { return std::bit_cast<std::uint64_t>(v); }
std::int32_t i32(U v) { return static_cast<std::int32_t>(v); }
std::int64_t i64(U v) { return static_cast<std::int64_t>(v); }

// --- floats

U flushed(const Wave& w, U v, int bit) {
  const bool kept = (w.mode.denorm32 >> bit & 1) != 0;
  return !kept && (v & 0x7f800000) == 0 ? v & 0x80000000 : v;
}
U lds_add_f32(const Wave& w, U old, U a, U) {
  return flushed(w, bits(f32(flushed(w, old, 0)) + f32(flushed(w, a, 0))), 1);
}

template <class F>
F minimum(F a, F b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
template <class F>
F maximum(F a, F b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

// In f32 first: rounding the sum once more is right for both (24 >= 2 * 11 + 2 bits).
U add_half(std::uint16_t x, std::uint16_t y) { return f32_to_f16(f16_to_f32(x) + f16_to_f32(y)); }
U add_bfloat(std::uint16_t x, std::uint16_t y) { return f32_to_bf16(bf16_to_f32(x) + bf16_to_f32(y)); }

template <U (*Add)(std::uint16_t, std::uint16_t)>
U packed_add(const Wave&, U old, U a, U) {
  const auto add = [&](int shift) {
    return Add(static_cast<std::uint16_t>(old >> shift), static_cast<std::uint16_t>(a >> shift)) << shift;
  };
  return add(0) | add(16);
}

// --- the table

#define APPLY(EXPRESSION)                                                                                       \
  []([[maybe_unused]] const Wave& w, [[maybe_unused]] U old, [[maybe_unused]] U a, [[maybe_unused]] U b) -> U { \
    return EXPRESSION;                                                                                          \
  }
// Of 32 bits only the low half of the result counts; `old` and `a` are zero-extended.
constexpr std::array kAtomics{
    Atomic{"swap_b32", "swap", "storexchg_b32", "wrxchg_b32", 4, 1, APPLY(a)},
    Atomic{"cmpswap_b32", "cmpswap", "cmpstore_b32", "cmpst_b32", 4, 2, APPLY(old == b ? a : old)},
    Atomic{"add_u32", "add", "add_u32", "add_u32", 4, 1, APPLY(old + a)},
    Atomic{"sub_u32", "sub", "sub_u32", "sub_u32", 4, 1, APPLY(old - a)},
    Atomic{"", "", "rsub_u32", "rsub_u32", 4, 1, APPLY(a - old)},
    Atomic{"csub_u32", "", "", "", 4, 1, APPLY(old >= a ? old - a : 0)},
    Atomic{"min_i32", "smin", "min_i32", "min_i32", 4, 1, APPLY(i32(a) < i32(old) ? a : old)},
    Atomic{"min_u32", "umin", "min_u32", "min_u32", 4, 1, APPLY(a < old ? a : old)},
    Atomic{"max_i32", "smax", "max_i32", "max_i32", 4, 1, APPLY(i32(a) > i32(old) ? a : old)},
    Atomic{"max_u32", "umax", "max_u32", "max_u32", 4, 1, APPLY(a > old ? a : old)},
    Atomic{"and_b32", "and", "and_b32", "and_b32", 4, 1, APPLY(old& a)},
    Atomic{"or_b32", "or", "or_b32", "or_b32", 4, 1, APPLY(old | a)},
    Atomic{"xor_b32", "xor", "xor_b32", "xor_b32", 4, 1, APPLY(old ^ a)},
    Atomic{"inc_u32", "inc", "inc_u32", "inc_u32", 4, 1, APPLY(old >= a ? 0 : old + 1)},
    Atomic{"dec_u32", "dec", "dec_u32", "dec_u32", 4, 1, APPLY(old == 0 || old > a ? a : old - 1)},
    Atomic{"", "", "mskor_b32", "mskor_b32", 4, 2, APPLY((old & ~a) | b)},
    Atomic{"", "", "wrap_b32", "wrap_b32", 4, 2, APPLY(old >= a ? old - a : old + b)},
    Atomic{"add_f32", "add_f32", "", "", 4, 1, APPLY(bits(f32(old) + f32(a)))},
    Atomic{"", "", "add_f32", "add_f32", 4, 1, lds_add_f32},
    Atomic{"min_f32", "", "min_f32", "min_f32", 4, 1, APPLY(bits(minimum(f32(old), f32(a))))},
    Atomic{"max_f32", "", "max_f32", "max_f32", 4, 1, APPLY(bits(maximum(f32(old), f32(a))))},
    Atomic{"cmpswap_f32", "", "cmpstore_f32", "cmpst_f32", 4, 2, APPLY(f32(old) == f32(b) ? a : old)},
    Atomic{"", "pk_add_f16", "", "pk_add_f16", 4, 1, packed_add<add_half>},
    Atomic{"", "pk_add_bf16", "", "pk_add_bf16", 4, 1, packed_add<add_bfloat>},
    Atomic{"swap_b64", "swap_x2", "storexchg_b64", "wrxchg_b64", 8, 1, APPLY(a)},
    Atomic{"cmpswap_b64", "cmpswap_x2", "cmpstore_b64", "cmpst_b64", 8, 2, APPLY(old == b ? a : old)},
    Atomic{"add_u64", "add_x2", "add_u64", "add_u64", 8, 1, APPLY(old + a)},
    Atomic{"sub_u64", "sub_x2", "sub_u64", "sub_u64", 8, 1, APPLY(old - a)},
    Atomic{"", "", "rsub_u64", "rsub_u64", 8, 1, APPLY(a - old)},
    Atomic{"min_i64", "smin_x2", "min_i64", "min_i64", 8, 1, APPLY(i64(a) < i64(old) ? a : old)},
    Atomic{"min_u64", "umin_x2", "min_u64", "min_u64", 8, 1, APPLY(a < old ? a : old)},
    Atomic{"max_i64", "smax_x2", "max_i64", "max_i64", 8, 1, APPLY(i64(a) > i64(old) ? a : old)},
    Atomic{"max_u64", "umax_x2", "max_u64", "max_u64", 8, 1, APPLY(a > old ? a : old)},
    Atomic{"and_b64", "and_x2", "and_b64", "and_b64", 8, 1, APPLY(old& a)},
    Atomic{"or_b64", "or_x2", "or_b64", "or_b64", 8, 1, APPLY(old | a)},
    Atomic{"xor_b64", "xor_x2", "xor_b64", "xor_b64", 8, 1, APPLY(old ^ a)},
    Atomic{"inc_u64", "inc_x2", "inc_u64", "inc_u64", 8, 1, APPLY(old >= a ? 0 : old + 1)},
    Atomic{"dec_u64", "dec_x2", "dec_u64", "dec_u64", 8, 1, APPLY(old == 0 || old > a ? a : old - 1)},
    Atomic{"", "", "mskor_b64", "mskor_b64", 8, 2, APPLY((old & ~a) | b)},
    Atomic{"", "add_f64", "", "add_f64", 8, 1, APPLY(bits(f64(old) + f64(a)))},
    Atomic{"", "min_f64", "min_f64", "min_f64", 8, 1, APPLY(bits(minimum(f64(old), f64(a))))},
    Atomic{"", "max_f64", "max_f64", "max_f64", 8, 1, APPLY(bits(maximum(f64(old), f64(a))))},
    Atomic{"", "", "cmpstore_f64", "cmpst_f64", 8, 2, APPLY(f64(old) == f64(b) ? a : old)},
    // Each half is exchanged where the top bit of its operand is set, and gets the other 31.
    Atomic{"", "", "condxchg32_b64", "condxchg32_b64", 8, 1,
           APPLY(((a & 0x80000000) != 0 ? a & 0x7fffffff : old & 0xffffffff) |
                 ((a >> 63) != 0 ? (a & 0x7fffffff00000000) : (old & 0xffffffff00000000)))},
};
#undef APPLY

template <class T>
U exchange(Wave& w, const Atomic& atomic, Space space, U at, U a, U b) {
  auto* const p = reinterpret_cast<T*>(at);
  if (space != Space::global) {
    const T old = *p;
    *p = static_cast<T>(atomic.apply(w, old, a, b));
    w.changes += *p != old;
    return old;
  }
  T old = __atomic_load_n(p, __ATOMIC_SEQ_CST), fresh;
  do {
    fresh = static_cast<T>(atomic.apply(w, old, a, b));
  } while (!__atomic_compare_exchange_n(p, &old, fresh, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  w.changes += fresh != old;
  return old;
}

}  // namespace

std::span<const Atomic> atomics() { return kAtomics; }

void move_atomic(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address) {
  const Atomic& atomic = kAtomics[op.flags >> kAtomicShift];
  const bool wide = atomic.bytes == 8, returns = (op.flags & kReturns) != 0;
  Access access = access_of(op, space, AccessKind::atomic, mask, address, static_cast<std::uint32_t>(atomic.bytes));
  access.row = returns ? op.dst[0].reg : op.src[kData].reg;
  U room[64];
  const Places host = enter(w, op, access, room);
  if (!host) return;
  const auto lanes = static_cast<std::size_t>(w.lanes);
  const std::uint32_t* const first = w.row(op.src[kData].reg);
  const std::uint32_t* const second = w.row(op.src[kData2].reg);
  std::uint32_t* const out = returns ? w.row(op.dst[0].reg) : nullptr;
  const auto value = [&](const std::uint32_t* row, int i) { return row[i] | (wide ? U{row[lanes + i]} << 32 : 0); };
  for_lanes(mask, [&](int i) {
    const U a = value(first, i), b = atomic.operands == 2 ? value(second, i) : 0;
    U old = 0;
    if ((access.mask >> i & 1) != 0) {
      old = wide ? exchange<std::uint64_t>(w, atomic, space, host[i], a, b)
                 : exchange<std::uint32_t>(w, atomic, space, host[i], a, b);
    }
    if (!returns) return;
    out[i] = static_cast<std::uint32_t>(old);
    if (wide) out[lanes + i] = static_cast<std::uint32_t>(old >> 32);
  });
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
