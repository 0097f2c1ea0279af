#include "emulator/checks/registers.h"

#include <bit>

namespace wavetile::emu::checks {

// What a part writes: the undefined bits of every lane of its rows, of its scalars, and of SCC.
struct RegisterState::Result {
  std::vector<std::array<std::uint32_t, 64>> rows;
  std::vector<std::uint32_t> scalars;
  bool scc = false;
};

RegisterState::RegisterState(const Wave& w, const std::vector<RegisterRange>& written)
    : lanes_(static_cast<std::size_t>(w.lanes)) {
  const auto rows = static_cast<std::size_t>(first_spare_row(*w.launch->chip) + kSpareRows);
  bits_.assign(rows * lanes_, ~std::uint32_t{0});
  for (std::size_t r = 0; r < rows - kSpareRows; ++r) any_[r] = w.all_lanes();
  scalars_.fill(~std::uint32_t{0});
  undefined_scalars_[0] = undefined_scalars_[1] = ~std::uint64_t{0};
  for (const RegisterRange& r : written) {
    for (int k = 0; k < r.count; ++k) {
      if (r.file == File::vgpr) define(r.first + k, w.all_lanes());
      if (r.file == File::sgpr) set_scalar(r.first + k, 0);
    }
  }
  for (const int reg : {int{kNull}, int{kExec}, kExec + 1}) set_scalar(reg, 0);
  if (w.launch->chip->accumulation_vgprs) {
    for (int reg = kFlatScratch; reg < kXnackMask + 2; ++reg) set_scalar(reg, 0);
  }
}

void RegisterState::set(int row, int lane, std::uint32_t mask, std::uint32_t value) {
  const std::uint32_t now = (bits(row, lane) & ~mask) | (value & mask);
  const std::uint64_t bit = std::uint64_t{1} << lane;
  auto& any = any_[static_cast<std::size_t>(row)];
  any = now != 0 ? any | bit : any & ~bit;
  row_bits(row)[lane] = now;
}

void RegisterState::set_scalar(int reg, std::uint32_t undefined) {
  if (reg == kNull || reg >= kExec) undefined = 0;
  scalars_[static_cast<std::size_t>(reg)] = undefined;
  auto& word = undefined_scalars_[reg / 64];
  const std::uint64_t bit = std::uint64_t{1} << reg % 64;
  word = undefined != 0 ? word | bit : word & ~bit;
}

bool RegisterState::needs(const Wave& w, const Part& p, const Use& u, Finding& found) const {
  if (u.scalar) {
    if ((undefined_scalars_[u.reg / 64] >> u.reg % 64 & 1) == 0) return false;
    std::uint32_t bits = scalar_bits(u.reg) & u.bits;
    const bool high = (u.reg & 1) != 0;
    if (u.lane_mask) bits &= static_cast<std::uint32_t>(high && w.lanes == 64 ? w.exec >> 32 : high ? 0 : w.exec);
    if (u.reg == kVcc + 1 && w.lanes == 32) bits = 0;
    // A vector instruction that no lane executes reads nothing that counts.
    if (bits == 0 || (w.exec == 0 && p.vector)) return false;
    found = {.scalar = true, .reg = u.reg, .bits = bits, .origin = scalar_origin[u.reg]};
    return true;
  }
  const std::uint64_t lanes = p.lanes == Lanes::all ? w.all_lanes() : w.exec;
  const Dpp* dpp = u.dpp ? p.op->dpp : nullptr;
  if (any(u.reg) == 0) return false;
  for (std::uint64_t left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    int from = lane;
    if (dpp) {
      from = dpp->from[lane];
      if ((dpp->enabled >> lane & 1) == 0 || from < 0 || (!dpp->fetch_inactive && (w.exec >> from & 1) == 0)) continue;
    }
    const std::uint32_t undefined = bits(u.reg, from) & u.bits;
    if (undefined == 0) continue;
    if (found.lanes == 0) found = {.reg = u.reg, .lane = from, .bits = undefined, .origin = origin[u.reg]};
    found.lanes |= std::uint64_t{1} << from;
  }
  return found.lanes != 0;
}

// Runs the instruction with the undefined bits of data (all of it, or operand `only`) as zeros or ones, and of what it
// writes too, so that what it leaves alone stays as it was; the result is taken as values.
void RegisterState::run_with(Wave& w, const Part& p, int only, bool ones, Result& result) {
  std::vector<std::pair<std::uint32_t*, std::vector<std::uint32_t>>> saved;
  const auto scalars = w.s;
  const bool scc = w.scc;
  const std::uint64_t exec = w.exec, pc = w.pc;
  auto force = [&](bool scalar, int reg, bool one) {
    if (scalar) {
      const std::uint32_t u = scalar_bits(reg);
      w.s[static_cast<std::size_t>(reg)] = (w.s[static_cast<std::size_t>(reg)] & ~u) | (one ? u : 0);
      return;
    }
    std::uint32_t* row = w.row(reg);
    saved.emplace_back(row, std::vector<std::uint32_t>(row, row + lanes_));
    for (std::size_t i = 0; i < lanes_; ++i) {
      const std::uint32_t u = bits(reg, static_cast<int>(i));
      row[i] = (row[i] & ~u) | (one ? u : 0);
    }
  };
  for (const std::uint16_t row : p.rows) force(false, row, only < 0 && ones);
  for (const std::uint16_t reg : p.scalars) force(true, reg, only < 0 && ones);
  for (std::size_t i = 0; i < p.data.size(); ++i) {
    const bool one = (only < 0 || only == static_cast<int>(i)) && ones != (p.falling[i] != 0);
    force(p.data[i].scalar, p.data[i].reg, one);
  }
  p.op->run(w, *p.op);
  result.rows.resize(p.rows.size());
  for (std::size_t r = 0; r < p.rows.size(); ++r) {
    std::copy_n(w.row(p.rows[r]), lanes_, result.rows[r].begin());
  }
  result.scalars.clear();
  for (const std::uint16_t reg : p.scalars) result.scalars.push_back(w.s[reg]);
  result.scc = w.scc;
  // Rows may have been saved twice: the first copy is the true one.
  for (auto at = saved.rbegin(); at != saved.rend(); ++at) std::copy(at->second.begin(), at->second.end(), at->first);
  // What is written and not read was not put aside above; nothing of it may stay.
  w.s = scalars;
  w.scc = scc;
  w.exec = exec;
  w.pc = pc;
}

void RegisterState::vary(Wave& w, const Part& p, Result& result) {
  Result base, other;
  run_with(w, p, p.way == Way::linear ? static_cast<int>(p.data.size()) : -1, false, base);
  result.rows.assign(p.rows.size(), {});
  result.scalars.assign(p.scalars.size(), 0);
  auto differences = [&] {
    for (std::size_t r = 0; r < p.rows.size(); ++r) {
      for (std::size_t i = 0; i < lanes_; ++i) result.rows[r][i] |= base.rows[r][i] ^ other.rows[r][i];
    }
    for (std::size_t s = 0; s < p.scalars.size(); ++s) result.scalars[s] |= base.scalars[s] ^ other.scalars[s];
    result.scc |= p.writes_scc && base.scc != other.scc;
  };
  if (p.way == Way::vary) {
    run_with(w, p, -1, true, other);
    return differences();
  }
  for (std::size_t i = 0; i < p.data.size(); ++i) {
    run_with(w, p, static_cast<int>(i), true, other);
    differences();
  }
  // Lanes that are not written keep what they had.
  for (std::size_t r = 0; r < p.rows.size(); ++r) {
    for (std::size_t i = 0; i < lanes_; ++i) {
      if ((w.exec >> i & 1) == 0) result.rows[r][i] = bits(p.rows[r], static_cast<int>(i));
    }
  }
}

void RegisterState::flow(const Wave& w, const Part& p, Result& result) const {
  const std::uint64_t lanes = p.lanes == Lanes::all ? w.all_lanes() : w.exec;
  for (std::size_t r = 0; r < p.rows.size(); ++r) {
    for (std::uint64_t left = w.all_lanes(); left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      std::uint32_t undefined = bits(p.rows[r], lane);
      const bool written = (lanes >> lane & 1) != 0 && (!p.op->dpp || (p.op->dpp->enabled >> lane & 1) != 0);
      if (written) undefined &= ~p.written;
      for (const Flow& f : p.flows) {
        if (!written || f.reg != p.rows[r]) continue;
        for (const Use& u : f.from) {
          int from = lane;
          if (u.dpp && p.op->dpp && p.op->dpp->from[lane] >= 0) from = p.op->dpp->from[lane];
          if ((use_bits(u, from) & u.bits) != 0) undefined |= f.bits;
        }
      }
      result.rows[r][static_cast<std::size_t>(lane)] = undefined;
    }
  }
}

void RegisterState::carry(const Wave& w, const Part& p, Result& result) const {
  auto undefined = [&](int lane, std::uint32_t written) {
    std::uint32_t from = 0;
    for (const Use& u : p.data) {
      int at = lane;
      if (u.dpp && p.op->dpp && p.op->dpp->from[lane] >= 0) at = p.op->dpp->from[lane];
      // The upper half of a register as an operand of 16 bits begins at bit 0.
      const std::uint32_t bits = use_bits(u, at) & u.bits;
      from |= u.bits == 0xffff0000u ? bits >> 16 : bits;
    }
    const std::uint32_t above = from == 0 ? 0 : ~std::uint32_t{0} << std::countr_zero(from);
    return written == 0xffff0000u ? above << 16 : above & written;
  };
  for (std::size_t r = 0; r < p.rows.size(); ++r) {
    for (std::uint64_t left = w.exec; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      if (p.op->dpp && (p.op->dpp->enabled >> lane & 1) == 0) continue;
      result.rows[r][static_cast<std::size_t>(lane)] |= undefined(lane, p.written);
    }
  }
  for (std::uint32_t& s : result.scalars) s = undefined(0, ~std::uint32_t{0});
  result.scc = p.writes_scc && undefined(0, ~std::uint32_t{0}) != 0;
}

bool RegisterState::step(Wave& w, const Plan& plan, Finding& found) {
  bool bad = false;
  std::array<Result, 2> results;
  for (std::size_t n = 0; n < plan.parts.size(); ++n) {
    const Part& p = plan.parts[n];
    Result& result = results[n];
    result.rows.assign(p.rows.size(), {});
    result.scalars.assign(p.scalars.size(), 0);
    for (const Use& u : p.needs) {
      if (bad || !needs(w, p, u, found)) continue;
      bad = true;
    }
    if (!bad && p.reads_scc && scc_) {
      found = {.scc = true};
      bad = true;
    }
    if (p.way == Way::vary || p.way == Way::linear) {
      vary(w, p, result);
    } else {
      flow(w, p, result);
      if (p.way == Way::carry) carry(w, p, result);
    }
  }
  for (std::size_t n = 0; n < plan.parts.size(); ++n) {
    const Part& p = plan.parts[n];
    const Origin* from = nullptr;
    auto origin_of = [&](const Use& u) {
      const bool undefined = u.scalar ? scalar_bits(u.reg) != 0 : any(u.reg) != 0;
      const Origin& o = u.scalar ? scalar_origin[u.reg] : origin[u.reg];
      if (undefined && o.op) from = &o;
    };
    for (const Use& u : p.data) origin_of(u);
    for (const Flow& f : p.flows) {
      for (const Use& u : f.from) origin_of(u);
    }
    const Origin source = from ? *from : Origin{};
    for (std::size_t r = 0; r < p.rows.size(); ++r) {
      for (int i = 0; i < w.lanes; ++i)
        set(p.rows[r], i, ~std::uint32_t{0}, results[n].rows[r][static_cast<std::size_t>(i)]);
      if (any(p.rows[r]) != 0) origin[p.rows[r]] = source;
    }
    for (std::size_t s = 0; s < p.scalars.size(); ++s) {
      if (results[n].scalars[s] != 0 && p.scalars[s] >= kExec && !bad) {
        // EXEC decides what every later instruction does.
        if (p.scalars[s] == kExec || w.lanes == 64) {
          found = {.scalar = true, .reg = p.data.empty() ? p.scalars[s] : p.data[0].reg, .bits = results[n].scalars[s]};
          bad = true;
        }
      }
      set_scalar(p.scalars[s], results[n].scalars[s]);
      if (p.scalars[s] < kScalars) scalar_origin[p.scalars[s]] = source;
    }
    if (p.writes_scc) scc_ = results[n].scc;
  }
  return bad;
}

}  // namespace wavetile::emu::checks
