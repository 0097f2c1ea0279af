#include "emulator/checks/relative.h"

#include "emulator/checks/names.h"

namespace wavetile::emu::checks {
namespace {

// Of the first operand and of the second.
struct Shifts {
  std::uint32_t of[2] = {};
};

Shifts shifts(const Wave& w, const Op& op, bool indexed) {
  const std::uint32_t m0 = w.s[kM0], low = m0 & 0x3ff, high = m0 >> 16 & 0x3ff;
  const std::string& name = op.instruction->mnemonic;
  if (indexed) {
    const std::uint32_t by = m0 & 0xff;
    return {{(m0 >> 15 & 1) != 0 ? by : 0, (m0 >> 12 & 1) != 0 ? by : 0}};
  }
  if (has(name, "swaprel") || has(name, "movrelsd_2")) return {{high, low}};
  if (has(name, "movrelsd")) return {{m0, m0}};
  return has(name, "movreld") ? Shifts{{m0, 0}} : Shifts{{0, m0}};
}

// What it does once the registers are known.
std::string plain_name(const std::string& name) {
  if (has(name, "swaprel")) return "v_swap_b32";
  return name.substr(0, 2) + "mov" + name.substr(name.rfind('_'));
}

bool fits(const RegisterRange& r, std::uint32_t shift, const Launch& l) {
  const auto limit = static_cast<std::uint64_t>(r.file == File::sgpr ? l.chip->sgprs : l.vgprs);
  return static_cast<std::uint64_t>(r.first) + r.count + shift <= limit;
}

// The instruction with its registers shifted; without operands where they do not fit.
void shift(const Instruction& from, const Shifts& by, const Launch& l, Instruction& to) {
  to.address = from.address;
  to.bytes = from.bytes;
  to.encoding = from.encoding;
  to.text = from.text;
  to.mnemonic = plain_name(from.mnemonic);
  to.operands = from.operands;
  const std::size_t written = to.mnemonic == "v_swap_b32" ? 2 : 1;
  for (std::size_t i = 0; i < to.operands.size() && i < 2; ++i) {
    if (to.operands[i].kind != Operand::Kind::registers) continue;
    RegisterRange& r = to.operands[i].registers;
    if (by.of[i] != 0 && !fits(r, by.of[i], l)) {
      to.operands.clear();
      to.writes.clear();
      return;
    }
    r.first = static_cast<decltype(r.first)>(r.first + by.of[i]);
    if (i < written) to.writes.push_back(r);
  }
}

}  // namespace

const Plan& RelativePlans::plan(const Wave& w, const Op& op, bool indexed) {
  const Shifts by = shifts(w, op, indexed);
  auto& made = plans_[{&op, by.of[0], by.of[1]}];
  if (made) return *made->plan;
  made = std::make_unique<Shifted>();
  shift(*op.instruction, by, *w.launch, made->instruction);
  made->op = op;
  made->op.instruction = &made->instruction;
  made->op.dst[0].reg = static_cast<std::uint16_t>(op.dst[0].reg + by.of[0]);
  if (op.src[0].kind == Source::Kind::vector) {
    made->op.src[0].reg = static_cast<std::uint16_t>(op.src[0].reg + by.of[1]);
  }
  made->plan = make_plan(made->op, *w.launch);
  Plan& plan = *made->plan;
  plan.op = &op;
  for (Part& p : plan.parts) {
    if (indexed) continue;
    p.op = &op;  // shifts by itself
    p.needs.push_back({.scalar = true, .reg = kM0});
    plan.read_scalars[kM0 / 64] |= std::uint64_t{1} << kM0 % 64;
  }
  return plan;
}

}  // namespace wavetile::emu::checks
