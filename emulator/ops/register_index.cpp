// s_set_gpr_idx_* (CDNA3): an index that is added to the numbers of vector registers until it is switched off. What
// LLVM puts between on and off are moves, so only those are known of vector instructions: s_set_gpr_idx_on runs them
// itself, shifted. Scalar registers have no index.
#include <fmt/format.h>

#include "emulator/monitor.h"
#include "emulator/ops/scalar.h"
#include "emulator/program.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using U = std::uint32_t;

// M0: the index in bits 0..7, what it is added to in bits 12..15 (the sources 0 to 2, the destination).
void set_index(Wave& w, U index) { w.set_scalar(kM0, (w.s[kM0] & ~U{0xff}) | (index & 0xff)); }
void set_what(Wave& w, U what) { w.set_scalar(kM0, (w.s[kM0] & ~U{0xf000}) | what << 12); }

bool shift(Wave& w, const Op& op, std::uint16_t& row) {
  const U moved = row + (w.s[kM0] & 0xff);
  if (moved >= static_cast<U>(w.launch->vgprs)) {
    fault(w, op, "register-out-of-range",
          fmt::format("the index {} moves v{} to v{}: the wave has {} vector registers", w.s[kM0] & 0xff, row, moved,
                      w.launch->vgprs));
    return false;
  }
  row = static_cast<std::uint16_t>(moved);
  return true;
}

void run_shifted(Wave& w, const Op& op) {
  Op moved = op;
  const U what = w.s[kM0] >> 12 & 15;
  if ((what & 1) != 0 && op.src[0].kind == Source::Kind::vector && !shift(w, op, moved.src[0].reg)) return;
  if ((what & 8) != 0 && !shift(w, op, moved.dst[0].reg)) return;
  moved.run(w, moved);
}

// One instruction under the index, as run_wave() runs one. False: the last of them.
bool step(Wave& w) {
  const Op* const op = w.launch->program->at(w.pc);
  if (!op) return false;  // reported when the wave comes to it
  const Instruction& in = *op->instruction;
  const auto cls = static_cast<Class>(op->cls);
  const bool move = in.mnemonic == "v_mov_b32" && (in.encoding == Encoding::e32 || in.encoding == Encoding::e64);
  Monitor* const monitor = w.launch->monitor;
  if (monitor) monitor->before(w, *op);
  if (w.status == Status::faulted) return false;
  ++w.executed;
  w.pc += op->dwords;
  if (move) {
    run_shifted(w, *op);
  } else if (cls == Class::salu || cls == Class::wait) {
    op->run(w, *op);
  } else {
    fault(w, *op, "unknown-instruction", "an instruction that the emulator does not know under a register index");
  }
  if (monitor) monitor->after(w, *op);
  return w.status == Status::ready && in.mnemonic != "s_set_gpr_idx_off";
}

void run_on(Wave& w, const Op& op) {
  set_index(w, scalar_value<U>(w, op.src[0]));
  set_what(w, static_cast<U>(op.imm));
  while (step(w)) {
  }
}

}  // namespace

void add_register_index(Table& t) {
  t.add(Family::cdna3, "s_set_gpr_idx_on", {Class::salu, [](const Instruction& in, Op& op, const BindContext& c) {
                                              op.src[0] = source(in, 0, Type::b32, c);
                                              op.imm = in.raw.at(1) & 15;  // the field of the second source
                                              op.run = run_on;
                                            }});
  t.add(Family::cdna3, "s_set_gpr_idx_off",
        {Class::salu, [](const Instruction&, Op& op, const BindContext&) { op.run = [](Wave&, const Op&) {}; }});
  t.add(Family::cdna3, "s_set_gpr_idx_idx", scalar([](Wave& w, U index) { set_index(w, index); }));
  t.add(Family::cdna3, "s_set_gpr_idx_mode", {Class::salu, [](const Instruction& in, Op& op, const BindContext&) {
                                                op.imm = simm16(in) & 15;
                                                op.run = [](Wave& w, const Op& o) {
                                                  set_what(w, static_cast<U>(o.imm));
                                                };
                                              }});
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
