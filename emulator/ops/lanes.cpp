// Instructions that cross lanes, or that choose their registers when they run: readlane and its kin, permlane, swaps,
// and the moves whose registers M0 shifts.
#include <bit>

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

// The operands of these are bound one by one: destination first, then 32-bit sources.
void bind_plain(const Instruction& in, Op& op, const BindContext& c, Run run, std::size_t sources) {
  if (in.operands.size() != sources + 1) throw Unsupported("an unexpected number of operands in '" + in.text + "'");
  // What bind() puts around an instruction knows only the registers that are written in it.
  if (in.encoding == Encoding::dpp16 || in.encoding == Encoding::dpp8 || in.encoding == Encoding::sdwa) {
    throw Unsupported("DPP or SDWA in '" + in.text + "'");
  }
  op.run = run;
  op.dst[0] = destination(in, 0, c);
  for (std::size_t i = 0; i < sources; ++i) op.src[i] = source(in, i + 1, Type::b32, c);
  op.sources = static_cast<std::uint8_t>(sources);
}

void expect_kind(const Instruction& in, bool good) {
  if (!good) throw Unsupported("an operand of the wrong kind in '" + in.text + "'");
}

// A source that is the same for all lanes.
u32 uniform(const Wave& w, const Source& s) {
  switch (s.kind) {
    case Source::Kind::scalar:
      return w.s[s.reg];
    case Source::Kind::scc:
      return w.scc;
    default:
      return static_cast<u32>(s.value);
  }
}
u32 value_in_lane(const Wave& w, const Source& s, int lane) {
  return s.kind == Source::Kind::vector ? w.row(s.reg)[lane] : uniform(w, s);
}

// --- one lane

// The first lane that is on; lane 0 when none is.
void run_readfirstlane(Wave& w, const Op& op) {
  const int lane = w.exec == 0 ? 0 : std::countr_zero(w.exec);
  w.set_scalar(op.dst[0].reg, value_in_lane(w, op.src[0], lane));
}
// EXEC does not matter to these two.
void run_readlane(Wave& w, const Op& op) {
  const u32 lane = uniform(w, op.src[1]) & static_cast<u32>(w.lanes - 1);
  w.set_scalar(op.dst[0].reg, value_in_lane(w, op.src[0], static_cast<int>(lane)));
}
void run_writelane(Wave& w, const Op& op) {
  const u32 lane = uniform(w, op.src[1]) & static_cast<u32>(w.lanes - 1);
  w.row(op.dst[0].reg)[lane] = uniform(w, op.src[0]);
}

void add_single(Table& t) {
  t.add("v_readfirstlane_b32", {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
                                  expect_modifiers(in, {});
                                  bind_plain(in, op, c, run_readfirstlane, 1);
                                  expect_kind(in, op.dst[0].kind == Destination::Kind::scalar);
                                }});
  t.add("v_readlane_b32",
        {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
           expect_modifiers(in, {});
           bind_plain(in, op, c, run_readlane, 2);
           expect_kind(in, op.dst[0].kind == Destination::Kind::scalar && op.src[1].kind != Source::Kind::vector);
         }});
  t.add("v_writelane_b32", {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
                              expect_modifiers(in, {});
                              bind_plain(in, op, c, run_writelane, 2);
                              expect_kind(in, op.dst[0].kind == Destination::Kind::vector &&
                                                  op.src[0].kind != Source::Kind::vector &&
                                                  op.src[1].kind != Source::Kind::vector);
                            }});
}

// --- permutations

enum : u32 { kFetchInactive = 1, kBoundControl = 2 };

// In a row of 16 lanes, or with Cross from the other row of a pair, lane i reads the lane that nibble i of the two
// selects names. A lane that is off is not read without fi: with bound_ctrl it counts as 0, else nothing is written.
template <bool Cross>
void run_permlane16(Wave& w, const Op& op) {
  const u64 select = u64{uniform(w, op.src[1])} | u64{uniform(w, op.src[2])} << 32;
  u32 out[64];
  u64 written = 0;
  for (int i = 0; i < w.lanes; ++i) {
    const int row = (i & ~15) ^ (Cross ? 16 : 0);
    const int from = row + static_cast<int>(select >> (4 * (i & 15)) & 15);
    const bool readable = (op.flags & kFetchInactive) != 0 || (w.exec >> from & 1) != 0;
    out[i] = readable ? value_in_lane(w, op.src[0], from) : 0;
    written |= u64{readable || (op.flags & kBoundControl) != 0} << i;
  }
  written &= w.exec;
  for (int base = 0; base < w.lanes; base += kChunk) {
    put_words(w.row(op.dst[0].reg) + base, out + base, static_cast<u32>(written >> base));
  }
}
template <bool Cross>
Entry permlane16() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {"op_sel"});
            bind_plain(in, op, c, run_permlane16<Cross>, 3);
            expect_kind(in, op.src[1].kind != Source::Kind::vector && op.src[2].kind != Source::Kind::vector);
            if (const Modifier* m = in.find("op_sel")) {
              if (m->values.at(0) != 0) op.flags |= kFetchInactive;
              if (m->values.at(1) != 0) op.flags |= kBoundControl;
            }
          }};
}

// The halves of a wave64 change places, lanes that are off are read too. Nothing in a wave32.
void run_permlane64(Wave& w, const Op& op) {
  if (w.lanes != 64) return;
  u32 out[64];
  for (int i = 0; i < 64; ++i) out[i] = value_in_lane(w, op.src[0], i ^ 32);
  for (int base = 0; base < 64; base += kChunk) {
    put_words(w.row(op.dst[0].reg) + base, out + base, static_cast<u32>(w.exec >> base));
  }
}

void add_permutations(Table& t) {
  t.add("v_permlane16_b32", permlane16<false>());
  t.add("v_permlanex16_b32", permlane16<true>());
  t.add("v_permlane64_b32", {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
                               expect_modifiers(in, {});
                               bind_plain(in, op, c, run_permlane64, 1);
                             }});
}

// --- swaps

void swap_rows(Wave& w, int a, int b) {
  u32* x = w.row(a);
  u32* y = w.row(b);
  for (int i = 0; i < w.lanes; ++i) {
    const u32 old = x[i], other = y[i];
    const bool on = (w.exec >> i & 1) != 0;
    x[i] = on ? other : old;
    y[i] = on ? old : other;
  }
}

void run_swap_b32(Wave& w, const Op& op) { swap_rows(w, op.dst[0].reg, op.dst[1].reg); }

void run_swap_b16(Wave& w, const Op& op) {
  const int shift0 = op.dst[0].pick == Pick::high ? 16 : 0, shift1 = op.dst[1].pick == Pick::high ? 16 : 0;
  u32* x = w.row(op.dst[0].reg);
  u32* y = w.row(op.dst[1].reg);
  for (int i = 0; i < w.lanes; ++i) {
    if ((w.exec >> i & 1) == 0) continue;
    const u32 a = x[i] >> shift0 & 0xffff, b = y[i] >> shift1 & 0xffff;
    x[i] = (x[i] & ~(0xffffu << shift0)) | b << shift0;
    y[i] = (y[i] & ~(0xffffu << shift1)) | a << shift1;  // after x: the two halves of one register may change places
  }
}

void bind_swap(const Instruction& in, Op& op, const BindContext& c, Run run) {
  expect_modifiers(in, {});
  bind_plain(in, op, c, run, 1);
  op.dst[1] = destination(in, 1, c);
  expect_kind(in, op.dst[0].kind == Destination::Kind::vector && op.dst[1].kind == Destination::Kind::vector);
}

// --- registers that M0 chooses

enum class Shift { none, m0, low, high };  // by all of M0, by its bits 9..0, by its bits 25..16

// The shifted row, or -1 with a report: the hardware would read or write a register of someone else, or v0.
int shifted(Wave& w, const Op& op, int reg, Shift shift) {
  const u32 m0 = w.s[kM0];
  const u32 by = shift == Shift::none  ? 0
                 : shift == Shift::m0  ? m0
                 : shift == Shift::low ? m0 & 0x3ff
                                       : m0 >> 16 & 0x3ff;
  const u64 row = u64{static_cast<u32>(reg)} + by;
  if (row < static_cast<u64>(w.launch->vgprs)) return static_cast<int>(row);
  fault(w, op, "register-out-of-range",
        "M0 is " + std::to_string(m0) + ", which makes v" + std::to_string(reg) + " v" + std::to_string(row) +
            ": the wave has " + std::to_string(w.launch->vgprs) + " vector registers");
  return -1;
}

template <Shift D, Shift S>
void run_movrel(Wave& w, const Op& op) {
  const int to = shifted(w, op, op.dst[0].reg, D);
  if (to < 0) return;
  Source from = op.src[0];
  if (from.kind == Source::Kind::vector) {
    const int reg = shifted(w, op, from.reg, S);
    if (reg < 0) return;
    from.reg = static_cast<std::uint16_t>(reg);
  }
  for (int base = 0; base < w.lanes; base += kChunk) {
    u32 tmp[kChunk];
    put_words(w.row(to) + base, fetch(w, from, base, tmp), static_cast<u32>(w.exec >> base));
  }
}
void run_swaprel(Wave& w, const Op& op) {
  const int a = shifted(w, op, op.dst[0].reg, Shift::high);
  const int b = a < 0 ? -1 : shifted(w, op, op.dst[1].reg, Shift::low);
  if (b >= 0) swap_rows(w, a, b);
}

template <Shift D, Shift S>
Entry movrel() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {});
            bind_plain(in, op, c, run_movrel<D, S>, 1);
            expect_kind(in, op.dst[0].kind == Destination::Kind::vector &&
                                (S == Shift::none || op.src[0].kind == Source::Kind::vector));
          }};
}

void add_indexed(Table& t) {
  const auto swap = [](Run run) {
    return Entry{Class::valu,
                 [run](const Instruction& in, Op& op, const BindContext& c) { bind_swap(in, op, c, run); }};
  };
  t.add("v_swap_b32", swap(run_swap_b32));
  t.add("v_swap_b16", swap(run_swap_b16));
  t.add("v_swaprel_b32", swap(run_swaprel));
  t.add("v_movreld_b32", movrel<Shift::m0, Shift::none>());
  t.add("v_movrels_b32", movrel<Shift::none, Shift::m0>());
  t.add("v_movrelsd_b32", movrel<Shift::m0, Shift::m0>());
  t.add("v_movrelsd_2_b32", movrel<Shift::high, Shift::low>());
}

}  // namespace

void add_lanes(Table& t) {
  add_single(t);
  add_permutations(t);
  add_indexed(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
