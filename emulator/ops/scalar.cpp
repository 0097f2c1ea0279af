// SOP1, SOP2, SOPC and SOPK: integers and bits. Names of both generations. Scalar floats are in scalar_float.cpp.
#include "emulator/ops/scalar.h"

#include <algorithm>

#include "emulator/program.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
void add_scalar_float(Table& t);
void add_register_index(Table& t);
namespace {

using U = std::uint32_t;
using I = std::int32_t;
using U64 = std::uint64_t;
using I64 = std::int64_t;

// Both widths of a bitwise instruction; SCC says whether the result is not 0.
template <class F>
void bitwise(Table& t, std::initializer_list<std::string_view> names, F) {
  for (std::string_view name : names) {
    t.add(fmt::format("{}_b32", name), scalar([](Wave& w, U a, U b) {
            const U d = F{}(a, b);
            w.scc = d != 0;
            return d;
          }));
    t.add(fmt::format("{}_b64", name), scalar([](Wave& w, U64 a, U64 b) {
            const U64 d = F{}(a, b);
            w.scc = d != 0;
            return d;
          }));
  }
}

// The old EXEC is given back and EXEC becomes f(source, EXEC); with `result`, the new EXEC is given back.
template <class F, bool Result>
void exec_pair(Table& t, std::string_view name) {
  t.add(fmt::format("{}_b32", name), scalar([](Wave& w, U a) {
          const U old = w.s[kExec], now = F{}(a, old);
          w.set_scalar(kExec, now);
          w.scc = now != 0;
          return Result ? now : old;
        }));
  t.add(fmt::format("{}_b64", name), scalar([](Wave& w, U64 a) {
          const U64 old = w.scalar64(kExec), now = F{}(a, old);
          w.set_scalar64(kExec, now);
          w.scc = now != 0;
          return Result ? now : old;
        }));
}
template <class F>
void save_exec(Table& t, std::initializer_list<std::string_view> names, F) {
  for (std::string_view name : names) exec_pair<F, false>(t, name);
}
template <class F>
void write_exec(Table& t, std::initializer_list<std::string_view> names, F) {
  for (std::string_view name : names) exec_pair<F, true>(t, name);
}

void add_bitwise(Table& t) {
  bitwise(t, {"s_and"}, [](auto a, auto b) { return a & b; });
  bitwise(t, {"s_or"}, [](auto a, auto b) { return a | b; });
  bitwise(t, {"s_xor"}, [](auto a, auto b) { return a ^ b; });
  bitwise(t, {"s_nand"}, [](auto a, auto b) { return ~(a & b); });
  bitwise(t, {"s_nor"}, [](auto a, auto b) { return ~(a | b); });
  bitwise(t, {"s_xnor"}, [](auto a, auto b) { return ~(a ^ b); });
  bitwise(t, {"s_andn2", "s_and_not1"}, [](auto a, auto b) { return a & ~b; });
  bitwise(t, {"s_orn2", "s_or_not1"}, [](auto a, auto b) { return a | ~b; });

  save_exec(t, {"s_and_saveexec"}, [](auto a, auto exec) { return a & exec; });
  save_exec(t, {"s_or_saveexec"}, [](auto a, auto exec) { return a | exec; });
  save_exec(t, {"s_xor_saveexec"}, [](auto a, auto exec) { return a ^ exec; });
  save_exec(t, {"s_nand_saveexec"}, [](auto a, auto exec) { return ~(a & exec); });
  save_exec(t, {"s_nor_saveexec"}, [](auto a, auto exec) { return ~(a | exec); });
  save_exec(t, {"s_xnor_saveexec"}, [](auto a, auto exec) { return ~(a ^ exec); });
  save_exec(t, {"s_andn1_saveexec", "s_and_not0_saveexec"}, [](auto a, auto exec) { return ~a & exec; });
  save_exec(t, {"s_orn1_saveexec", "s_or_not0_saveexec"}, [](auto a, auto exec) { return ~a | exec; });
  save_exec(t, {"s_andn2_saveexec", "s_and_not1_saveexec"}, [](auto a, auto exec) { return a & ~exec; });
  save_exec(t, {"s_orn2_saveexec", "s_or_not1_saveexec"}, [](auto a, auto exec) { return a | ~exec; });
  write_exec(t, {"s_andn1_wrexec", "s_and_not0_wrexec"}, [](auto a, auto exec) { return ~a & exec; });
  write_exec(t, {"s_andn2_wrexec", "s_and_not1_wrexec"}, [](auto a, auto exec) { return a & ~exec; });
}

template <class T>
T reversed(T v) {
  T r = 0;
  for (int i = 0; i < std::numeric_limits<T>::digits; ++i, v >>= 1) r = r << 1 | (v & 1);
  return r;
}
// Every group of four bits becomes full or empty; or one bit.
template <class T>
T whole_quads(T v) {
  const T any = (v | v >> 1 | v >> 2 | v >> 3) & static_cast<T>(0x1111111111111111);
  return any * 15;
}
template <class T>
T quad_mask(T v) {
  T r = 0;
  for (int i = 0; i < std::numeric_limits<T>::digits / 4; ++i) r |= static_cast<T>((v >> 4 * i & 15) != 0) << i;
  return r;
}
template <class T>
U first_one(T v) {
  return v == 0 ? ~U{0} : static_cast<U>(std::countr_zero(v));
}
template <class T>
U leading_zeros(T v) {
  return v == 0 ? ~U{0} : static_cast<U>(std::countl_zero(v));
}
// Leading bits equal to the sign, the sign among them; -1 where all bits are.
template <class T>
U leading_signs(T v) {
  const T other = v ^ static_cast<T>(static_cast<std::make_signed_t<T>>(v) >> (std::numeric_limits<T>::digits - 1));
  return leading_zeros(other);
}
template <class T>
T zero_says(Wave& w, T v) {
  w.scc = v != 0;
  return v;
}

void add_unary(Table& t) {
  t.add("s_mov_b32", scalar([](Wave&, U a) { return a; }));
  t.add("s_mov_b64", scalar([](Wave&, U64 a) { return a; }));
  t.add("s_cmov_b32", scalar([](Wave& w, U a, U d) { return w.scc ? a : d; }));
  t.add("s_cmov_b64", scalar([](Wave& w, U64 a, U64 d) { return w.scc ? a : d; }));
  t.add("s_not_b32", scalar([](Wave& w, U a) { return zero_says(w, ~a); }));
  t.add("s_not_b64", scalar([](Wave& w, U64 a) { return zero_says(w, ~a); }));
  t.add("s_wqm_b32", scalar([](Wave& w, U a) { return zero_says(w, whole_quads(a)); }));
  t.add("s_wqm_b64", scalar([](Wave& w, U64 a) { return zero_says(w, whole_quads(a)); }));
  t.add("s_quadmask_b32", scalar([](Wave& w, U a) { return zero_says(w, quad_mask(a)); }));
  t.add("s_quadmask_b64", scalar([](Wave& w, U64 a) { return zero_says(w, quad_mask(a)); }));
  t.add("s_brev_b32", scalar([](Wave&, U a) { return reversed(a); }));
  t.add("s_brev_b64", scalar([](Wave&, U64 a) { return reversed(a); }));
  t.add("s_bcnt0_i32_b32", scalar([](Wave& w, U a) { return zero_says(w, U(std::popcount(~a))); }));
  t.add("s_bcnt0_i32_b64", scalar([](Wave& w, U64 a) { return zero_says(w, U(std::popcount(~a))); }));
  t.add("s_bcnt1_i32_b32", scalar([](Wave& w, U a) { return zero_says(w, U(std::popcount(a))); }));
  t.add("s_bcnt1_i32_b64", scalar([](Wave& w, U64 a) { return zero_says(w, U(std::popcount(a))); }));
  t.add("s_ff0_i32_b32", scalar([](Wave&, U a) { return first_one(~a); }));
  t.add("s_ff0_i32_b64", scalar([](Wave&, U64 a) { return first_one(~a); }));
  for (std::string_view name : {"s_ff1_i32_b32", "s_ctz_i32_b32"}) {
    t.add(name, scalar([](Wave&, U a) { return first_one(a); }));
  }
  for (std::string_view name : {"s_ff1_i32_b64", "s_ctz_i32_b64"}) {
    t.add(name, scalar([](Wave&, U64 a) { return first_one(a); }));
  }
  for (std::string_view name : {"s_flbit_i32_b32", "s_clz_i32_u32"}) {
    t.add(name, scalar([](Wave&, U a) { return leading_zeros(a); }));
  }
  for (std::string_view name : {"s_flbit_i32_b64", "s_clz_i32_u64"}) {
    t.add(name, scalar([](Wave&, U64 a) { return leading_zeros(a); }));
  }
  for (std::string_view name : {"s_flbit_i32", "s_cls_i32"}) {
    t.add(name, scalar([](Wave&, U a) { return leading_signs(a); }));
  }
  for (std::string_view name : {"s_flbit_i32_i64", "s_cls_i32_i64"}) {
    t.add(name, scalar([](Wave&, U64 a) { return leading_signs(a); }));
  }
  t.add("s_sext_i32_i8", scalar([](Wave&, U a) { return U(static_cast<std::int8_t>(a)); }));
  t.add("s_sext_i32_i16", scalar([](Wave&, U a) { return U(static_cast<std::int16_t>(a)); }));
  t.add("s_bitset0_b32", scalar([](Wave&, U a, U d) { return d & ~(U{1} << (a & 31)); }));
  t.add("s_bitset1_b32", scalar([](Wave&, U a, U d) { return d | U{1} << (a & 31); }));
  t.add("s_bitset0_b64", scalar([](Wave&, U a, U64 d) { return d & ~(U64{1} << (a & 63)); }));
  t.add("s_bitset1_b64", scalar([](Wave&, U a, U64 d) { return d | U64{1} << (a & 63); }));
  t.add("s_abs_i32", scalar([](Wave& w, U a) { return zero_says(w, a >> 31 != 0 ? 0 - a : a); }));
  t.add("s_bitreplicate_b64_b32", scalar([](Wave&, U a) {
          U64 d = 0;
          for (int i = 0; i < 32; ++i) d |= U64{3} * (a >> i & 1) << 2 * i;
          return d;
        }));
}

// --- arithmetic

// SCC of a signed sum d = a + b: overflow.
bool overflows(U a, U b, U d) { return ((a ^ d) & (b ^ d)) >> 31 != 0; }

template <int Shift>
void add_shifted(Table& t) {
  t.add(fmt::format("s_lshl{}_add_u32", Shift), scalar([](Wave& w, U a, U b) {
          const U64 d = (U64{a} << Shift) + b;
          w.scc = d >> 32 != 0;
          return static_cast<U>(d);
        }));
}

void add_arithmetic(Table& t) {
  t.add("s_add_u32", scalar([](Wave& w, U a, U b) {
          w.scc = a + b < a;
          return a + b;
        }));
  t.add("s_sub_u32", scalar([](Wave& w, U a, U b) {
          w.scc = b > a;
          return a - b;
        }));
  t.add("s_addc_u32", scalar([](Wave& w, U a, U b) {
          const U64 d = U64{a} + b + (w.scc ? 1 : 0);
          w.scc = d >> 32 != 0;
          return static_cast<U>(d);
        }));
  t.add("s_subb_u32", scalar([](Wave& w, U a, U b) {
          const U64 d = U64{a} - b - (w.scc ? 1 : 0);
          w.scc = d >> 32 != 0;
          return static_cast<U>(d);
        }));
  t.add("s_add_i32", scalar([](Wave& w, U a, U b) {
          w.scc = overflows(a, b, a + b);
          return a + b;
        }));
  t.add("s_sub_i32", scalar([](Wave& w, U a, U b) {
          w.scc = ((a ^ b) & (a ^ (a - b))) >> 31 != 0;
          return a - b;
        }));
  // SCC: the first operand is the result.
  t.add("s_min_i32", scalar([](Wave& w, I a, I b) { return (w.scc = a < b) ? a : b; }));
  t.add("s_min_u32", scalar([](Wave& w, U a, U b) { return (w.scc = a < b) ? a : b; }));
  t.add("s_max_i32", scalar([](Wave& w, I a, I b) { return (w.scc = a >= b) ? a : b; }));
  t.add("s_max_u32", scalar([](Wave& w, U a, U b) { return (w.scc = a >= b) ? a : b; }));
  t.add("s_cselect_b32", scalar([](Wave& w, U a, U b) { return w.scc ? a : b; }));
  t.add("s_cselect_b64", scalar([](Wave& w, U64 a, U64 b) { return w.scc ? a : b; }));
  t.add("s_mul_i32", scalar([](Wave&, U a, U b) { return a * b; }));
  t.add("s_mul_hi_u32", scalar([](Wave&, U a, U b) { return static_cast<U>(U64{a} * b >> 32); }));
  t.add("s_mul_hi_i32", scalar([](Wave&, I a, I b) { return static_cast<U>(I64{a} * b >> 32); }));
  t.add("s_absdiff_i32", scalar([](Wave& w, U a, U b) {
          const U d = a - b;
          return zero_says(w, d >> 31 != 0 ? 0 - d : d);
        }));
  add_shifted<1>(t);
  add_shifted<2>(t);
  add_shifted<3>(t);
  add_shifted<4>(t);
  t.add("s_pack_ll_b32_b16", scalar([](Wave&, U a, U b) { return (a & 0xffff) | b << 16; }));
  t.add("s_pack_lh_b32_b16", scalar([](Wave&, U a, U b) { return (a & 0xffff) | (b & 0xffff0000); }));
  t.add("s_pack_hh_b32_b16", scalar([](Wave&, U a, U b) { return a >> 16 | (b & 0xffff0000); }));
  t.add("s_pack_hl_b32_b16", scalar([](Wave&, U a, U b) { return a >> 16 | b << 16; }));
}

// A field of `v`: offset in the low bits of `field`, width from bit 16 on (7 bits of it). It ends at the top bit.
template <class T>
T bit_field(T v, U field) {
  constexpr int kBits = sizeof(T) * 8;
  const int offset = static_cast<int>(field & (kBits - 1));
  const int width = std::min(static_cast<int>(field >> 16 & 0x7f), kBits);
  if (width == 0) return 0;
  using Bits = std::make_unsigned_t<T>;
  if (offset + width >= kBits) return static_cast<T>(v >> offset);
  return static_cast<T>(static_cast<T>(static_cast<Bits>(v) << (kBits - offset - width)) >> (kBits - width));
}

void add_shifts(Table& t) {
  t.add("s_lshl_b32", scalar([](Wave& w, U a, U b) { return zero_says(w, a << (b & 31)); }));
  t.add("s_lshr_b32", scalar([](Wave& w, U a, U b) { return zero_says(w, a >> (b & 31)); }));
  t.add("s_ashr_i32", scalar([](Wave& w, I a, U b) { return zero_says(w, a >> (b & 31)); }));
  t.add("s_lshl_b64", scalar([](Wave& w, U64 a, U b) { return zero_says(w, a << (b & 63)); }));
  t.add("s_lshr_b64", scalar([](Wave& w, U64 a, U b) { return zero_says(w, a >> (b & 63)); }));
  t.add("s_ashr_i64", scalar([](Wave& w, I64 a, U b) { return zero_says(w, a >> (b & 63)); }));
  t.add("s_bfm_b32", scalar([](Wave&, U a, U b) { return ((U{1} << (a & 31)) - 1) << (b & 31); }));
  t.add("s_bfm_b64", scalar([](Wave&, U a, U b) { return ((U64{1} << (a & 63)) - 1) << (b & 63); }));
  t.add("s_bfe_u32", scalar([](Wave& w, U a, U b) { return zero_says(w, bit_field(a, b)); }));
  t.add("s_bfe_i32", scalar([](Wave& w, I a, U b) { return zero_says(w, bit_field(a, b)); }));
  t.add("s_bfe_u64", scalar([](Wave& w, U64 a, U b) { return zero_says(w, bit_field(a, b)); }));
  t.add("s_bfe_i64", scalar([](Wave& w, I64 a, U b) { return zero_says(w, bit_field(a, b)); }));
}

// --- comparisons

template <class F>
void comparison(Table& t, std::string_view name, F) {
  t.add(fmt::format("s_cmp_{}_i32", name), scalar([](Wave& w, I a, I b) { w.scc = F{}(a, b); }));
  t.add(fmt::format("s_cmp_{}_u32", name), scalar([](Wave& w, U a, U b) { w.scc = F{}(a, b); }));
  t.add(fmt::format("s_cmpk_{}_i32", name), scalar_k([](Wave& w, I a, I b) { w.scc = F{}(a, b); }, true, true));
  t.add(fmt::format("s_cmpk_{}_u32", name), scalar_k([](Wave& w, U a, U b) { w.scc = F{}(a, b); }, false, true));
}

void add_comparisons(Table& t) {
  comparison(t, "eq", [](auto a, auto b) { return a == b; });
  comparison(t, "lg", [](auto a, auto b) { return a != b; });
  comparison(t, "gt", [](auto a, auto b) { return a > b; });
  comparison(t, "ge", [](auto a, auto b) { return a >= b; });
  comparison(t, "lt", [](auto a, auto b) { return a < b; });
  comparison(t, "le", [](auto a, auto b) { return a <= b; });
  t.add("s_cmp_eq_u64", scalar([](Wave& w, U64 a, U64 b) { w.scc = a == b; }));
  t.add("s_cmp_lg_u64", scalar([](Wave& w, U64 a, U64 b) { w.scc = a != b; }));
  t.add("s_bitcmp0_b32", scalar([](Wave& w, U a, U b) { w.scc = (a >> (b & 31) & 1) == 0; }));
  t.add("s_bitcmp1_b32", scalar([](Wave& w, U a, U b) { w.scc = (a >> (b & 31) & 1) != 0; }));
  t.add("s_bitcmp0_b64", scalar([](Wave& w, U64 a, U b) { w.scc = (a >> (b & 63) & 1) == 0; }));
  t.add("s_bitcmp1_b64", scalar([](Wave& w, U64 a, U b) { w.scc = (a >> (b & 63) & 1) != 0; }));
}

void add_constants(Table& t) {
  t.add("s_movk_i32", scalar_k([](Wave&, U k) { return k; }, true, false));
  t.add("s_cmovk_i32", scalar_k([](Wave& w, U d, U k) { return w.scc ? k : d; }, true, true));
  t.add("s_addk_i32", scalar_k(
                          [](Wave& w, U d, U k) {
                            w.scc = overflows(d, k, d + k);
                            return d + k;
                          },
                          true, true));
  t.add("s_mulk_i32", scalar_k([](Wave&, U d, U k) { return d * k; }, true, true));
}

// --- relative moves: M0 is added to a register's number

// A register that M0 moved out of the scalar registers is no access that hardware defines.
bool in_registers(Wave& w, const Op& op, std::uint64_t reg, int count) {
  if (reg + static_cast<unsigned>(count) <= static_cast<unsigned>(w.launch->chip->sgprs)) return true;
  fault(w, op, "register-out-of-range", fmt::format("M0 = {} moves the scalar register to s{}", w.s[kM0], reg));
  return false;
}

template <int Words, bool FromMoved, bool ToMoved, bool Split>
void run_relative(Wave& w, const Op& op) {
  const U m0 = w.s[kM0];
  const U64 from = op.src[0].reg + (FromMoved ? U64{Split ? m0 & 0x3ff : m0} : 0);
  const U64 to = op.dst[0].reg + (ToMoved ? U64{Split ? m0 >> 16 & 0x3ff : m0} : 0);
  if (FromMoved && !in_registers(w, op, from, Words)) return;
  if (ToMoved && !in_registers(w, op, to, Words)) return;
  Source source = op.src[0];
  if (FromMoved) source.reg = static_cast<std::uint16_t>(from);
  if (Words == 2) {
    w.set_scalar64(static_cast<int>(to), scalar_value<U64>(w, source));
  } else {
    w.set_scalar(static_cast<int>(to), scalar_value<U>(w, source));
  }
}

Entry relative(Run run, Type type, bool from_moved) {
  return {Class::salu, [=](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {});
            op.dst[0] = destination(in, 0, c);
            op.src[0] = source(in, 1, type, c);
            if (from_moved && op.src[0].kind != Source::Kind::scalar) {
              throw Unsupported(fmt::format("a source that M0 cannot move in '{}'", in.text));
            }
            op.run = run;
          }};
}

void add_relative(Table& t) {
  t.add("s_movrels_b32", relative(run_relative<1, true, false, false>, Type::b32, true));
  t.add("s_movrels_b64", relative(run_relative<2, true, false, false>, Type::b64, true));
  t.add("s_movreld_b32", relative(run_relative<1, false, true, false>, Type::b32, false));
  t.add("s_movreld_b64", relative(run_relative<2, false, true, false>, Type::b64, false));
  t.add(Family::rdna3, "s_movrelsd_2_b32", relative(run_relative<1, true, true, true>, Type::b32, true));
}

}  // namespace

void add_scalar(Table& t) {
  add_bitwise(t);
  add_unary(t);
  add_arithmetic(t);
  add_shifts(t);
  add_comparisons(t);
  add_constants(t);
  add_relative(t);
  add_scalar_float(t);
  add_register_index(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
