// Operands and their roles: which registers an instruction reads and writes, and how.
#include "emulator/checks/plan.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "emulator/checks/names.h"

namespace wavetile::emu::checks {
namespace {

int row_of(const RegisterRange& r) { return r.first + (r.file == File::agpr ? kVgprs : 0); }
bool is_vector(const RegisterRange& r) { return r.file == File::vgpr || r.file == File::agpr; }

// --- operands

void add_uses(std::vector<Use>& to, const RegisterRange& r, std::uint32_t bits, bool lane_mask, bool dpp,
              int dword = -1) {
  for (int k = 0; k < r.count; ++k) {
    if (dword >= 0 && k != dword) continue;
    Use u;
    u.bits = bits;
    u.dpp = dpp;
    if (is_vector(r)) {
      u.reg = static_cast<std::uint16_t>(row_of(r) + k);
    } else if (r.file == File::sgpr) {
      u.scalar = true;
      u.lane_mask = lane_mask;
      u.reg = static_cast<std::uint16_t>(r.first + k);
      if (u.reg >= kExec || u.reg == kNull) continue;  // always defined
    } else {
      continue;
    }
    to.push_back(u);
  }
}

void add_source(std::vector<Use>& to, const Source& s, int count = -1) {
  if (s.kind != Source::Kind::vector && s.kind != Source::Kind::scalar) return;
  RegisterRange r{.file = s.kind == Source::Kind::scalar ? File::sgpr : File::vgpr,
                  .first = s.reg,
                  .count = count >= 0 ? static_cast<std::uint8_t>(count) : s.count};
  add_uses(to, r, kAll, false, false);
}

std::size_t destinations(const Instruction& in, const std::vector<RegisterRange>& writes, std::string_view name) {
  const std::size_t most = has(name, "_co_") || has(name, "div_scale") || has(name, "v_mad_u64") ||
                                   has(name, "v_mad_i64") || has(name, "v_swap")
                               ? 2
                               : 1;
  std::size_t n = 0;
  while (n < most && n < in.operands.size() && in.operands[n].kind == Operand::Kind::registers) {
    const RegisterRange& r = in.operands[n].registers;
    const bool written = std::ranges::any_of(writes, [&](const RegisterRange& w) {
      return w.file == r.file && r.first >= w.first && r.first + r.count <= w.first + w.count;
    });
    if (!written && r.first != kNull) break;
    ++n;
  }
  return n;
}

// The old destination is an operand that is not printed.
bool accumulates(std::string_view name) {
  return has(name, "fmac") ||
         starts(name,
                {"v_mac_", "v_dot2c", "v_dot4c", "v_dot8c", "v_smfmac", "v_swmmac", "s_addk", "s_mulk", "v_fmamk_c"}) ||
         starts(name, {"v_cvt_pkaccum"});
}

bool is_lane_mask_operand(std::string_view name, std::size_t i) {
  return (has(name, "cndmask") && i == 2) || ((has(name, "_ci_") || has(name, "addc_") || has(name, "subb")) && i == 2);
}

bool reads_all_lanes(std::string_view name) { return starts(name, {"v_wmma", "v_swmmac", "v_mfma", "v_smfmac"}); }

int selected(const Instruction& in, std::string_view modifier, std::size_t i, int otherwise) {
  const Modifier* m = in.find(modifier);
  return m && i < m->values.size() ? static_cast<int>(m->values[i]) : otherwise;
}

// Packed instructions and conversions to two halves.
bool add_flows(Part& p, const Instruction& in, std::string_view name, std::size_t first) {
  const bool packed = name.starts_with("v_pk_");
  const bool pair =
      starts(name, {"v_cvt_pk_i16", "v_cvt_pk_u16", "v_cvt_pkrtz", "v_cvt_pk_rtz", "v_cvt_pknorm", "v_cvt_pk_norm"});
  if (!packed && !pair) return false;
  if (in.operands.empty() || !is_vector(in.operands[0].registers)) return false;
  const int d = row_of(in.operands[0].registers);
  const bool dwords = packed && (name.ends_with("_f32") || name.ends_with("_b32"));
  for (int part = 0; part < 2; ++part) {
    Flow f{.reg = static_cast<std::uint16_t>(dwords ? d + part : d), .bits = dwords ? kAll : part == 0 ? kLow : kHigh};
    for (std::size_t s = 0; first + s < in.operands.size(); ++s) {
      const Operand& o = in.operands[first + s];
      if (o.kind != Operand::Kind::registers) continue;
      if (pair) {
        if (static_cast<int>(s) == part)
          add_uses(f.from, o.registers, source_bits(in, name, s), false, s == 0 && in.encoding == Encoding::dpp16);
        continue;
      }
      const int which = selected(in, part == 0 ? "op_sel" : "op_sel_hi", s, part);
      if (dwords) {
        add_uses(f.from, o.registers, kAll, false, false, o.registers.count > 1 ? which : 0);
      } else {
        add_uses(f.from, o.registers, which == 0 ? kLow : kHigh, false, false);
      }
    }
    if (has(name, "fmac")) add_uses(f.from, in.operands[0].registers, f.bits, false, false);
    p.flows.push_back(std::move(f));
  }
  p.way = Way::flow;
  return true;
}

void add_operands(Part& p, const Instruction& in, std::string_view name, std::size_t first) {
  const Vary* vary = find_vary(name);
  const bool all = reads_all_lanes(name);
  if (all) p.lanes = Lanes::all;
  if (vary) p.way = vary->linear ? Way::linear : Way::vary;
  const bool dpp = in.encoding == Encoding::dpp16 || in.encoding == Encoding::dpp8;
  const bool wide_mad = starts(name, {"v_mad_u64", "v_mad_i64"});
  for (std::size_t i = 0; first + i < in.operands.size(); ++i) {
    const Operand& o = in.operands[first + i];
    if (o.kind != Operand::Kind::registers) continue;
    const bool data = vary && std::ranges::find(vary->data, static_cast<int>(i)) != vary->data.end();
    if (data) {
      const std::size_t before = p.data.size();
      add_uses(p.data, o.registers, kAll, false, dpp && i == 0);
      const bool falling = std::ranges::find(vary->falling, static_cast<int>(i)) != vary->falling.end();
      p.falling.resize(before, 0);
      p.falling.resize(p.data.size(), falling);
      continue;
    }
    std::uint32_t bits = picked(in, o, i, vary ? control_bits(name, i, kAll) : source_bits(in, name, i));
    const bool scalar_mask = o.registers.file == File::sgpr && is_lane_mask_operand(name, i);
    if (all && i == 2 && (name.starts_with("v_wmma_f16") || name.starts_with("v_wmma_bf16"))) {
      bits = selected(in, "op_sel", 2, 0) != 0 ? kHigh : kLow;
    }
    if (wide_mad && i == 2 && o.registers.count == 2 && in.operands[0].registers.file == File::vgpr) {
      add_uses(p.needs, o.registers, kAll, false, false, 0);
      Flow f{.reg = static_cast<std::uint16_t>(row_of(in.operands[0].registers) + 1)};
      add_uses(f.from, o.registers, kAll, false, false, 1);
      p.flows.push_back(std::move(f));
      p.way = Way::flow;
      continue;
    }
    if (scalar_mask) bits = kAll;
    add_uses(p.needs, o.registers, bits, scalar_mask, dpp && i == 0);
  }
  p.falling.resize(p.data.size(), 0);
  if (carries(name) && in.encoding != Encoding::sdwa && p.data.empty()) {
    p.way = Way::carry;
    p.data = std::exchange(p.needs, {});
    p.falling.assign(p.data.size(), 0);
  }
  // A count of bits plus an operand: the operand's undefined bits reach upwards, those that are counted count all.
  if (starts(name, {"v_bcnt_u32", "v_mbcnt_"}) && p.needs.size() == 2) {
    p.way = Way::carry;
    p.data = {p.needs[1]};
    p.needs.pop_back();
    p.falling.assign(p.data.size(), 0);
  }
  if (accumulates(name) && !in.operands.empty()) {
    std::uint32_t bits = in.operands[0].registers.half == Half::high  ? kHigh
                         : in.operands[0].registers.half == Half::low ? kLow
                                                                      : source_bits(in, name, 2);
    if (starts(name, {"v_dot2c", "v_dot4c", "v_dot8c"})) bits = kAll;
    add_uses(p.way == Way::carry ? p.data : p.needs, in.operands[0].registers, bits, false, false);
    p.falling.resize(p.data.size(), 0);
  }
}

// VCC and SCC where they are operands that are not printed.
void add_implicit(Part& p, const Instruction& in, std::string_view name) {
  for (const RegisterRange& r : in.reads) {
    if (r.file == File::scc) p.reads_scc = true;
  }
  if (has(name, "div_fmas")) add_uses(p.needs, {File::sgpr, kVcc, 2}, kAll, true, false);
  if (has(name, "cbranch_vcc")) add_uses(p.needs, {File::sgpr, kVcc, 2}, kAll, false, false);
}

std::uint32_t written_bits(const Instruction& in, std::string_view name) {
  if (in.operands.empty() || in.operands[0].kind != Operand::Kind::registers) return kAll;
  if (in.operands[0].registers.half == Half::high) return kHigh;
  if (in.operands[0].registers.half == Half::low) return kLow;
  if (starts(name, {"v_fma_mixlo", "v_mad_mixlo"})) return kLow;
  if (starts(name, {"v_fma_mixhi", "v_mad_mixhi"})) return kHigh;
  if (starts(name, {"v_wmma_f16", "v_wmma_bf16"})) return selected(in, "op_sel", 2, 0) != 0 ? kHigh : kLow;
  if (in.encoding == Encoding::sdwa) {
    const Modifier* m = in.find("dst_sel");
    const Modifier* unused = in.find("dst_unused");
    if (!m || m->word == "DWORD" || !unused || unused->word != "UNUSED_PRESERVE") return kAll;
    if (m->word == "WORD_0") return kLow;
    if (m->word == "WORD_1") return kHigh;
    return 0xffu << 8 * (m->word.back() - '0');
  }
  const auto [result, type] = types_in(name);
  const Modifier* select = in.find("op_sel");
  if (select && !name.starts_with("v_pk_") && !has(name, "permlane") && !has(name, "dot")) {
    const std::size_t sources = in.operands.size() - 1;
    if (select->values.size() > sources && select->values[sources] != 0 && result.bits == 16) return kHigh;
  }
  return kAll;
}

bool is_memory(Class c) {
  return c == Class::lds || c == Class::global || c == Class::scratch || c == Class::flat || c == Class::buffer ||
         c == Class::atomic;
}

bool governed_by_exec(Class c) {
  return is_memory(c) || c == Class::valu || c == Class::trans || c == Class::vopd || c == Class::packed ||
         c == Class::dot || c == Class::matrix;
}

Part make_part(const Op& op, const Instruction& in, const std::vector<RegisterRange>& writes) {
  Part p;
  p.op = &op;
  const std::string name = base_name(in);
  const auto cls = static_cast<Class>(op.cls);
  p.vector = governed_by_exec(cls);
  const bool lanes_of_lds = starts(name, {"ds_bpermute", "ds_permute", "ds_swizzle"});
  if (is_memory(cls) && !lanes_of_lds) {
    p.way = Way::memory;
    for (const int i : {0, 1, 4}) add_source(p.needs, op.src[i]);
    if (has(name, "d16")) p.written = has(name, "d16_hi") ? kHigh : kLow;
    if (cls == Class::atomic || (cls != Class::lds && has(name, "_atomic"))) {
      // What is stored, or compared: the count of the operand as printed.
      add_source(p.needs, op.src[2]);
    }
  } else if (cls == Class::smem) {
    p.way = Way::memory;
    for (const int i : {0, 1}) add_source(p.needs, op.src[i]);
  } else if (cls != Class::wait && cls != Class::barrier && cls != Class::cache) {
    const std::size_t first = destinations(in, writes, name);
    if (!add_flows(p, in, name, first)) add_operands(p, in, name, first);
    // Both operands of a swap are read and written.
    if (name.starts_with("v_swap_b")) {
      for (const Operand& o : in.operands) add_uses(p.data, o.registers, kAll, false, false);
      p.falling.resize(p.data.size(), 0);
    }
    add_implicit(p, in, name);
    p.written = written_bits(in, name);
  }
  return p;
}

void add_written(Part& p, const std::vector<RegisterRange>& writes) {
  for (const RegisterRange& r : writes) {
    if (r.file == File::scc) p.writes_scc = true;
    for (int k = 0; k < r.count; ++k) {
      if (is_vector(r)) p.rows.push_back(static_cast<std::uint16_t>(row_of(r) + k));
      if (r.file == File::sgpr && r.first + k != kNull && r.first + k < kScalars)
        p.scalars.push_back(static_cast<std::uint16_t>(r.first + k));
    }
  }
}

void set_counter(Plan& plan, const Op& op, const Launch& l, bool stores) {
  const auto cls = static_cast<Class>(op.cls);
  const bool arrives = !plan.written_rows.empty();
  switch (cls) {
    case Class::lds:
      plan.counter = Counter::lds;
      break;
    case Class::smem:
      plan.counter = Counter::scalar;
      break;
    case Class::flat:
    case Class::atomic:
    case Class::global:
    case Class::scratch:
    case Class::buffer:
      plan.flat = op.instruction->mnemonic.starts_with("flat_");
      plan.counter = l.chip->family == Family::rdna3 && stores && !arrives ? Counter::vs : Counter::vm;
      break;
    default:
      if (op.instruction->mnemonic.starts_with("s_sendmsg_rtn")) plan.counter = Counter::scalar;
      return;
  }
  plan.loads = arrives || plan.counter == Counter::scalar;
}

Index index_of(const Instruction& in) {
  if (starts(in.mnemonic, {"v_movrel", "v_swaprel", "s_movrel"})) return Index::by_m0;
  if (in.mnemonic == "s_set_gpr_idx_on") return Index::on;
  return in.mnemonic == "s_set_gpr_idx_off" ? Index::off : Index::none;
}

}  // namespace

std::string register_name(bool scalar, int reg) {
  if (!scalar) return reg >= kVgprs ? fmt::format("a{}", reg - kVgprs) : fmt::format("v{}", reg);
  switch (reg) {
    case kVcc:
      return "vcc_lo";
    case kVcc + 1:
      return "vcc_hi";
    case kM0:
      return "m0";
    case kExec:
      return "exec_lo";
    case kExec + 1:
      return "exec_hi";
    default:
      return reg >= kTtmp0 && reg < kM0 ? fmt::format("ttmp{}", reg - kTtmp0) : fmt::format("s{}", reg);
  }
}

std::unique_ptr<Plan> make_plan(const Op& op, const Launch& l) {
  auto plan = std::make_unique<Plan>();
  plan->op = &op;
  const Instruction& in = *op.instruction;
  if (!is_supported(op)) return plan;
  plan->index = index_of(in);
  if (in.second) {
    // The tables speak of both at once; each half has one destination, its first operand.
    const Op* y = op.second;
    const Op* x = y->second;
    for (const auto& [half, text] : {std::pair<const Op*, const Instruction*>{x, &in},
                                     std::pair<const Op*, const Instruction*>{y, in.second.get()}}) {
      const std::vector<RegisterRange> writes = {text->operands[0].registers};
      Part p = make_part(*half, *text, writes);
      add_written(p, writes);
      if (has(text->mnemonic, "cndmask") && text->operands.size() < 4)
        add_uses(p.needs, {File::sgpr, kVcc, 2}, kAll, true, false);
      plan->parts.push_back(std::move(p));
    }
  } else {
    Part p = make_part(op, in, in.writes);
    add_written(p, in.writes);
    // With 32 lanes the upper half of VCC is a register like others, and no branch looks at it.
    if (l.lanes == 32 && has(in.mnemonic, "cbranch_vcc"))
      std::erase_if(p.needs, [](const Use& u) { return u.scalar && u.reg == kVcc + 1; });
    plan->parts.push_back(std::move(p));
  }
  auto touch = [&](std::vector<std::uint16_t>& rows, std::uint64_t* scalars, const RegisterRange& r) {
    for (int k = 0; k < r.count; ++k) {
      if (is_vector(r)) rows.push_back(static_cast<std::uint16_t>(row_of(r) + k));
      if (r.file == File::sgpr && r.first + k < kExec && r.first + k != kNull) {
        scalars[(r.first + k) / 64] |= std::uint64_t{1} << (r.first + k) % 64;
      }
    }
  };
  auto use = [&](const Use& u) {
    if (u.scalar) {
      plan->read_scalars[u.reg / 64] |= std::uint64_t{1} << u.reg % 64;
    } else {
      plan->read_rows.push_back(u.reg);
    }
  };
  // Narrow waves have 32 bits of VCC: its other half is read by what names it only.
  auto names_vcc_hi = [](const Operand& o) {
    const RegisterRange& r = o.registers;
    return r.file == File::sgpr && r.first <= kVcc + 1 && kVcc + 1 < r.first + r.count;
  };
  if (l.lanes == 32 && std::ranges::none_of(in.operands, names_vcc_hi)) {
    for (Part& p : plan->parts) std::erase_if(p.needs, [](const Use& u) { return u.scalar && u.reg == kVcc + 1; });
  }
  for (const Part& p : plan->parts) {
    std::ranges::for_each(p.needs, use);
    std::ranges::for_each(p.data, use);
    for (const Flow& f : p.flows) std::ranges::for_each(f.from, use);
    plan->partial |= p.written != kAll;
    plan->uses_scc |= p.reads_scc;
    plan->writes_scc |= p.writes_scc;
    plan->every_lane |= p.lanes == Lanes::all;
    if (p.way == Way::memory) {
      add_source(plan->parts[0].data, op.src[2]);
      // A compare-and-swap of memory has both values in one operand.
      if (op.cls == static_cast<std::uint8_t>(Class::lds)) add_source(plan->parts[0].data, op.src[3]);
    }
  }
  if (plan->parts[0].way == Way::memory) {
    const std::vector<Use> data = std::exchange(plan->parts[0].data, {});
    std::ranges::for_each(data, use);  // read, but its definedness is the memory's affair
  }
  for (const RegisterRange& r : in.writes) touch(plan->written_rows, plan->written_scalars, r);
  plan->partial |= op.dpp != nullptr || starts(in.mnemonic, {"v_writelane", "v_permlane"});
  plan->cross_lane = op.dpp != nullptr || plan->every_lane ||
                     starts(in.mnemonic, {"v_writelane", "v_readlane", "v_readfirstlane", "v_permlane", "ds_bpermute",
                                          "ds_permute", "ds_swizzle"});
  for (auto* rows : {&plan->read_rows, &plan->written_rows}) {
    std::ranges::sort(*rows);
    rows->erase(std::unique(rows->begin(), rows->end()), rows->end());
    for (const int row : *rows) {
      const bool agpr = row >= kVgprs;
      if (row - (agpr ? kVgprs : 0) >= (agpr ? l.agprs : l.vgprs) && plan->out_of_range.empty()) {
        plan->out_of_range = fmt::format("{}: the kernel allocated {} {}", register_name(false, row),
                                         agpr ? l.agprs : l.vgprs, agpr ? "AGPRs" : "VGPRs");
      }
    }
  }
  for (const auto* rows : {&plan->read_rows, &plan->written_rows}) {
    for (const std::size_t row : *rows) {
      const auto same = std::ranges::find(plan->touched, row / 64, &RowSet::word);
      RowSet& set = same != plan->touched.end() ? *same : plan->touched.emplace_back(RowSet{row / 64, 0});
      set.rows |= std::uint64_t{1} << row % 64;
    }
  }
  const bool stores = has(in.mnemonic, "store") || has(in.mnemonic, "atomic");
  set_counter(*plan, op, l, stores);
  plan->vector = governed_by_exec(static_cast<Class>(op.cls));
  return plan;
}

}  // namespace wavetile::emu::checks
