// VOP3P's arithmetic: the same operation on two halves of a register (f16, integers of 16 bits), or on two registers
// (f32, CDNA). All sources are read before the result is written.
#include "emulator/ops/packed.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

constexpr int kBoth = 2 * kChunk;  // the low results of a chunk, then the high ones

std::uint16_t* bits(Half16* v) { return reinterpret_cast<std::uint16_t*>(v); }

template <class T>
void fetch_both(const Wave& w, const Op& op, int s, int base, T* out) {
  for (int high = 0; high < 2; ++high) {
    T* to = out + high * kChunk;
    const T* from = fetch(w, packed_half(op, s, high != 0), base, to);
    if (from != to) std::memcpy(to, from, sizeof(T) * kChunk);
  }
}

void put_both(Wave& w, const Op& op, int base, const std::uint16_t* both, std::uint32_t mask) {
  alignas(64) std::uint32_t words[kChunk];
  for (int i = 0; i < kChunk; ++i) words[i] = both[i] | std::uint32_t{both[kChunk + i]} << 16;
  put_words(w.row(op.dst[0].reg) + base, words, mask);
}

// --- f16: float f(int mode, float...)

template <class F, std::size_t... I>
void run_f16_at(Wave& w, const Op& op, int base, std::uint32_t mask, std::index_sequence<I...>) {
  alignas(64) float in[sizeof...(I)][kBoth], out[kBoth];
  alignas(64) Half16 half[kBoth];
  ((fetch_both(w, op, static_cast<int>(I), base, half), f16_to_f32(bits(half), in[I], kBoth)), ...);
  const int mode = w.mode.round64;
  for (int i = 0; i < kBoth; ++i) out[i] = F{}(mode, in[I][i]...);
  f32_to_f16(out, bits(half), kBoth, mode);
  finish(w, op, half);
  finish(w, op, half + kChunk);
  put_both(w, op, base, bits(half), mask);
}

template <class F>
void run_f16(Wave& w, const Op& op) {
  const Rounding host(w.mode.round64);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask != 0) run_f16_at<F>(w, op, base, mask, std::make_index_sequence<Signature<F>::count - 1>{});
  }
}

// --- bits of f16: uint16 f(bool ieee, uint16...)

template <class F>
void run_order(Wave& w, const Op& op) {
  const bool ieee = w.mode.ieee;
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) Half16 a[kBoth], b[kBoth];
    fetch_both(w, op, 0, base, a);
    fetch_both(w, op, 1, base, b);
    for (int i = 0; i < kBoth; ++i) a[i].bits = F{}(ieee, a[i].bits, b[i].bits);
    finish(w, op, a);
    finish(w, op, a + kChunk);
    put_both(w, op, base, bits(a), mask);
  }
}

// --- integers: int32 or uint32 f(bool clamp, T...), of 16-bit values

template <class T, class F, std::size_t... I>
void run_integer_at(Wave& w, const Op& op, int base, std::uint32_t mask, std::index_sequence<I...>) {
  alignas(64) T in[sizeof...(I)][kBoth];
  alignas(64) std::uint16_t out[kBoth];
  (fetch_both(w, op, static_cast<int>(I), base, in[I]), ...);
  const bool clamp = op.clamp;
  for (int i = 0; i < kBoth; ++i) out[i] = static_cast<std::uint16_t>(F{}(clamp, in[I][i]...));
  put_both(w, op, base, out, mask);
}

template <class T, class F>
void run_integer(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask != 0) run_integer_at<T, F>(w, op, base, mask, std::make_index_sequence<Signature<F>::count - 1>{});
  }
}

// --- f32 pairs: float f(float...)

template <class F, std::size_t... I>
void run_f32_at(Wave& w, const Op& op, int base, std::uint32_t mask, std::index_sequence<I...>) {
  alignas(64) float out[2][kChunk], tmp[sizeof...(I)][kChunk];
  for (int high = 0; high < 2; ++high) {
    const float* in[] = {fetch(w, packed_word(op, static_cast<int>(I), high != 0), base, tmp[I])...};
    for (int i = 0; i < kChunk; ++i) out[high][i] = F{}(in[I][i]...);
    finish(w, op, out[high]);
  }
  for (int high = 0; high < 2; ++high) {
    put_words(w.row(op.dst[0].reg + high) + base, reinterpret_cast<const std::uint32_t*>(out[high]), mask);
  }
}

template <class F>
void run_f32(Wave& w, const Op& op) {
  const Rounding host(w.mode.round32);
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask != 0) run_f32_at<F>(w, op, base, mask, std::make_index_sequence<Signature<F>::count>{});
  }
}

// One register of the first pair and one of the second.
void run_move(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask == 0) continue;
    alignas(64) std::uint32_t low[kChunk], high[kChunk];
    const std::uint32_t* a = fetch(w, packed_word(op, 0, false), base, low);
    const std::uint32_t* b = fetch(w, packed_word(op, 1, false), base, high);
    if (b != high) std::memcpy(high, b, sizeof high);
    put_words(w.row(op.dst[0].reg) + base, a, mask);
    put_words(w.row(op.dst[0].reg + 1) + base, high, mask);
  }
}

// --- the table

Entry packed_entry(Run run, Type type, std::size_t sources, bool negates) {
  return {Class::packed, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Type types[] = {type, type, type};
            const std::span all(types, sources);
            if (negates) {
              bind_packed(in, op, c, run, all, {"op_sel", "op_sel_hi", "neg_lo", "neg_hi", "clamp"});
            } else {
              bind_packed(in, op, c, run, all, {"op_sel", "op_sel_hi", "clamp"});
            }
          }};
}

template <class F>
Entry f16_pair(F) {
  return packed_entry(&run_f16<F>, Type::f16, Signature<F>::count - 1, true);
}
template <class F>
Entry f16_order_pair(F) {
  return packed_entry(&run_order<F>, Type::f16, 2, true);
}
template <class T, class F>
Entry integer_pair(F) {
  return packed_entry(&run_integer<T, F>, Type::b32, Signature<F>::count - 1, false);
}
template <class F>
Entry f32_pair(F) {
  return packed_entry(&run_f32<F>, Type::f32, Signature<F>::count, true);
}

using U = std::uint16_t;
using S = std::int16_t;

std::uint32_t saturate_unsigned(bool clamp, std::uint32_t v) { return clamp && v > 0xffff ? 0xffff : v; }
std::int32_t saturate_signed(bool clamp, std::int32_t v) {
  return !clamp ? v : v < -0x8000 ? -0x8000 : v > 0x7fff ? 0x7fff : v;
}

void add_integers(Table& t) {
  t.add("v_pk_add_u16", integer_pair<U>([](bool c, U a, U b) { return saturate_unsigned(c, std::uint32_t{a} + b); }));
  t.add("v_pk_sub_u16", integer_pair<U>([](bool c, U a, U b) { return c && a < b ? 0 : a - b; }));
  t.add("v_pk_mul_lo_u16", integer_pair<U>([](bool, U a, U b) { return std::uint32_t{a} * b; }));
  t.add("v_pk_mad_u16",
        integer_pair<U>([](bool c, U a, U b, U d) { return saturate_unsigned(c, std::uint32_t{a} * b + d); }));
  t.add("v_pk_min_u16", integer_pair<U>([](bool, U a, U b) { return a < b ? a : b; }));
  t.add("v_pk_max_u16", integer_pair<U>([](bool, U a, U b) { return a < b ? b : a; }));
  t.add("v_pk_lshlrev_b16", integer_pair<U>([](bool, U n, U a) { return std::uint32_t{a} << (n & 15); }));
  t.add("v_pk_lshrrev_b16", integer_pair<U>([](bool, U n, U a) { return std::uint32_t{a} >> (n & 15); }));
  t.add("v_pk_add_i16", integer_pair<S>([](bool c, S a, S b) { return saturate_signed(c, a + b); }));
  t.add("v_pk_sub_i16", integer_pair<S>([](bool c, S a, S b) { return saturate_signed(c, a - b); }));
  t.add("v_pk_mad_i16", integer_pair<S>([](bool c, S a, S b, S d) { return saturate_signed(c, a * b + d); }));
  t.add("v_pk_min_i16", integer_pair<S>([](bool, S a, S b) { return a < b ? a : b; }));
  t.add("v_pk_max_i16", integer_pair<S>([](bool, S a, S b) { return a < b ? b : a; }));
  t.add("v_pk_ashrrev_i16", integer_pair<S>([](bool, S n, S a) { return std::int32_t{a} >> (n & 15); }));
}

}  // namespace

void add_packed(Table& t) {
  t.add("v_pk_add_f16", f16_pair([](int, float a, float b) { return a + b; }));
  t.add("v_pk_mul_f16", f16_pair([](int, float a, float b) { return a * b; }));
  for (const char* name : {"v_pk_fma_f16", "v_pk_fmac_f16"}) {
    t.add(name, f16_pair([](int mode, float a, float b, float c) { return fma_for_f16(a, b, c, mode); }));
  }
  t.add("v_pk_min_f16", f16_order_pair([](bool ieee, U a, U b) { return f16_min(a, b, ieee); }));
  t.add("v_pk_max_f16", f16_order_pair([](bool ieee, U a, U b) { return f16_max(a, b, ieee); }));
  add_integers(t);
  t.add("v_pk_add_f32", f32_pair([](float a, float b) { return a + b; }));
  t.add("v_pk_mul_f32", f32_pair([](float a, float b) { return a * b; }));
  t.add("v_pk_fma_f32", f32_pair([](float a, float b, float c) { return std::fma(a, b, c); }));
  t.add("v_pk_mov_b32", packed_entry(&run_move, Type::b32, 2, false));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
