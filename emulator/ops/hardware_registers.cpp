// s_getreg, s_setreg and their short forms: MODE, and registers that say where the wave runs.
//
// What MODE switches on and the emulator does not do (traps on exceptions, clamping of f16 overflow) stops the wave
// when it is switched on. Places are numbered densely, not as any chip has them. Registers that are missing here are
// refused.
#include <fmt/format.h>

#include "emulator/ops/scalar.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using U = std::uint32_t;

// Numbers of the registers, where both families agree and where they do not.
enum : int { kMode = 1, kStatus = 2, kHwId = 4, kGprAlloc = 5, kIbSts = 7, kShMemBases = 15 };
enum : int { kXccId = 20 };                                                                          // CDNA3
enum : int { kFlatScratchLow = 20, kFlatScratchHigh = 21, kHwId1 = 23, kHwId2 = 24, kCycles = 29 };  // RDNA3

// Fields of MODE.
constexpr U kExceptions = 0x1ff << 12, kF16Overflow = U{1} << 23;

void set_mode(Wave& w, const Op& op, U raw) {
  if ((raw & ~w.mode.raw & (kExceptions | kF16Overflow)) != 0) {
    return fault(w, op, "unsupported-mode", fmt::format("MODE = {:#x} asks for traps or for clamping of f16", raw));
  }
  w.mode.raw = raw;
  w.mode.round32 = raw & 3;
  w.mode.round64 = raw >> 2 & 3;
  w.mode.denorm32 = raw >> 4 & 3;
  w.mode.denorm64 = raw >> 6 & 3;
  w.mode.dx10_clamp = (raw >> 8 & 1) != 0;
  w.mode.ieee = (raw >> 9 & 1) != 0;
  w.mode_plain = w.mode.plain();
}

U status(const Wave& w) {
  const U in_group = w.launch->waves_per_workgroup > 1 ? 1 : 0;
  return (w.scc ? 1 : 0) | U{w.exec == 0} << 9 | U{w.lane_mask(kVcc) == 0} << 10 | in_group << 11 | U{1} << 16;
}

U hw_id(const Wave& w) {
  constexpr int kCusOfXcc = 38, kCusOfEngine = 10;
  const U wave = static_cast<U>(w.number), cu = static_cast<U>(w.workgroup->compute_unit) % kCusOfXcc;
  return (wave / 4 & 15) | (wave & 3) << 4 | cu % kCusOfEngine << 8 | cu / kCusOfEngine << 13;
}
U hw_id1(const Wave& w) {
  const U wave = static_cast<U>(w.number), cu = static_cast<U>(w.workgroup->compute_unit), wgp = cu / 2;
  return (wave / 2 & 31) | ((cu & 1) * 2 + (wave & 1)) << 8 | (wgp & 7) << 10 | (wgp >> 3 & 1) << 16 |
         (wgp >> 4 & 7) << 18;
}

U read(const Wave& w, int id) {
  const bool cdna = w.launch->chip->family == Family::cdna3;
  switch (id) {
    case kMode:
      return w.mode.raw;
    case kStatus:
      return status(w);
    case kHwId:
      return hw_id(w);
    // Registers begin at 0; the size is the kernel descriptor's.
    case kGprAlloc:
      return (w.launch->descriptor.rsrc1 & 63) << (cdna ? 8 : 12);
    case kIbSts:
      return 0;  // nothing is outstanding
    case kShMemBases:
      return kSharedApertureHigh >> 16 << 16 | kPrivateApertureHigh >> 16;
    case kXccId:
      return cdna ? static_cast<U>(w.workgroup->compute_unit) / 38 : 0;  // kFlatScratchLow
    case kFlatScratchHigh:
      return kPrivateApertureHigh;
    case kHwId1:
      return hw_id1(w);
    case kHwId2:
      return 0;
    default:
      return static_cast<U>(w.executed) & 0xfffff;  // kCycles
  }
}

bool readable(Family family, int id) {
  switch (id) {
    case kMode:
    case kStatus:
    case kGprAlloc:
    case kIbSts:
    case kShMemBases:
      return true;
    case kHwId:
      return family == Family::cdna3;
    case kXccId:
      return true;
    case kFlatScratchHigh:
    case kHwId1:
    case kHwId2:
    case kCycles:
      return family == Family::rdna3;
    default:
      return false;
  }
}

// imm: the register's number; imm2: its first bit; flags: a mask of the width.
void bind_field(const Instruction& in, Op& op, const BindContext& c, bool write) {
  const std::uint16_t bits = simm16(in);
  op.imm = bits & 63;
  op.imm2 = bits >> 6 & 31;
  op.flags = static_cast<U>((std::uint64_t{2} << (bits >> 11)) - 1);
  const int id = static_cast<int>(op.imm);
  if (write ? id != kMode : !readable(c.chip.family, id)) {
    throw Unsupported(fmt::format("hardware register {} in '{}'", id, in.text));
  }
}

void run_get(Wave& w, const Op& op) {
  w.set_scalar(op.dst[0].reg, read(w, static_cast<int>(op.imm)) >> op.imm2 & op.flags);
}
void run_set(Wave& w, const Op& op) {
  const U mask = op.flags << op.imm2;
  set_mode(w, op, (w.mode.raw & ~mask) | (scalar_value<U>(w, op.src[0]) << op.imm2 & mask));
}

template <int Shift>
Entry short_form() {
  return {Class::salu, [](const Instruction& in, Op& op, const BindContext&) {
            op.imm = simm16(in) & 15;
            op.run = [](Wave& w, const Op& o) {
              set_mode(w, o, (w.mode.raw & ~(U{15} << Shift)) | static_cast<U>(o.imm) << Shift);
            };
          }};
}

}  // namespace

void add_hardware_registers(Table& t) {
  t.add("s_getreg_b32", {Class::salu, [](const Instruction& in, Op& op, const BindContext& c) {
                           bind_field(in, op, c, false);
                           op.dst[0] = destination(in, 0, c);
                           op.run = run_get;
                         }});
  const Entry set{Class::salu, [](const Instruction& in, Op& op, const BindContext& c) {
                    bind_field(in, op, c, true);
                    op.src[0] = source(in, 1, Type::b32, c);
                    op.run = run_set;
                  }};
  t.add("s_setreg_b32", set);
  t.add("s_setreg_imm32_b32", set);
  t.add(Family::rdna3, "s_round_mode", short_form<0>());
  t.add(Family::rdna3, "s_denorm_mode", short_form<4>());
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
