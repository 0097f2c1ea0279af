#include "emulator/checks/waits.h"

#include <algorithm>
#include <bit>

#include "emulator/checks/names.h"

namespace wavetile::emu::checks {

namespace {

constexpr unsigned kLowHalf = 1, kHighHalf = 2, kBoth = 3;

unsigned loaded_halves(const Plan& p) {
  const std::uint32_t bits = p.parts[0].written;
  return (bits & kLow ? kLowHalf : 0) | (bits & kHigh ? kHighHalf : 0);
}

// The halves of a row that an instruction reads or writes: as it names them, or as its own name says of what it stores.
unsigned halves_of(const Plan& p, std::uint16_t row, bool written) {
  if (written && p.loads) return loaded_halves(p);
  const Op& op = *p.op;
  const Instruction& in = *op.instruction;
  auto covers = [row](const Source& s) {
    return s.kind == Source::Kind::vector && s.reg <= row && row < s.reg + s.count;
  };
  const bool narrow = has(in.mnemonic, "store_b16") || has(in.mnemonic, "store_b8") ||
                      has(in.mnemonic, "store_short") || has(in.mnemonic, "store_byte");
  const bool high = has(in.mnemonic, "d16_hi");
  if ((narrow || high) && covers(op.src[2]) && !covers(op.src[0]) && !covers(op.src[1]) && !covers(op.src[4]))
    return high ? kHighHalf : kLowHalf;
  unsigned named = 0;
  auto look = [&](const Instruction& part) {
    for (const Operand& o : part.operands) {
      const RegisterRange& r = o.registers;
      if (o.kind != Operand::Kind::registers || (r.file != File::vgpr && r.file != File::agpr)) continue;
      const int first = r.first + (r.file == File::agpr ? kVgprs : 0);
      if (first <= row && row < first + r.count)
        named |= r.half == Half::low ? kLowHalf : r.half == Half::high ? kHighHalf : kBoth;
    }
  };
  look(in);
  if (in.second) look(*in.second);
  return named ? named : kBoth;
}

}  // namespace

bool Waits::search(const Plan& p, Finding& found) {
  auto look_at_half = [&](std::uint16_t row, const Pending& load, bool written) {
    if (!outstanding(load)) return false;
    // Loads of one stream arrive in order, so that one may follow another into the same register.
    const bool from_lds = load.lds > done[2];
    const bool in_order = p.counter == Counter::vm ? !from_lds : p.counter == Counter::lds && load.vm == 0;
    if (written && p.loads && in_order && (flat_in_order_ || (!load.flat && !p.flat))) return false;
    found = {.overwritten = written, .reg = row, .load = load.op, .counter = load.vm > done[0] ? "vmcnt" : "lgkmcnt"};
    return true;
  };
  auto look = [&](std::uint16_t row, bool written) {
    if ((row_bits_[row / 64] >> row % 64 & 1) == 0) return false;
    const unsigned halves = halves_of(p, row, written);
    return (halves & kLowHalf && look_at_half(row, rows_[row][0], written)) ||
           (halves & kHighHalf && look_at_half(row, rows_[row][1], written));
  };
  if (pending_rows_ != 0) {
    for (const std::uint16_t row : p.read_rows) {
      if (look(row, false)) return true;
    }
    for (const std::uint16_t row : p.written_rows) {
      if (look(row, true)) return true;
    }
  }
  for (int word = 0; word < 2; ++word) {
    for (const bool written : {false, true}) {
      const std::uint64_t bad = pending_scalars_[word] & (written ? p.written_scalars : p.read_scalars)[word];
      if (bad == 0) continue;
      const int reg = word * 64 + std::countr_zero(bad);
      found = {.scalar = true,
               .overwritten = written,
               .reg = reg,
               .load = scalar_ops_[static_cast<std::size_t>(reg)],
               .counter = "lgkmcnt"};
      return true;
    }
  }
  return false;
}

void Waits::issue(const Plan& p) {
  if (p.counter == Counter::none) return;
  const auto stream = static_cast<std::size_t>(stream_of(p.counter));
  ++issued[stream];
  if (p.flat) ++issued[2];
  if (!p.loads) return;
  for (const std::uint16_t row : p.written_rows) {
    std::uint64_t& word = row_bits_[row / 64];
    const std::uint64_t bit = std::uint64_t{1} << row % 64;
    if ((word & bit) == 0) ++pending_rows_;
    word |= bit;
    const Pending load{.vm = stream == 0 ? issued[0] : 0, .lds = stream == 2 ? issued[2] : 0, .op = p.op};
    const unsigned halves = loaded_halves(p);
    if (halves & kLowHalf) rows_[row][0] = load;
    if (halves & kHighHalf) rows_[row][1] = load;
  }
  for (int word = 0; word < 2 && p.counter == Counter::scalar; ++word) {
    pending_scalars_[word] |= p.written_scalars[word];
    for (std::uint64_t left = p.written_scalars[word]; left != 0; left &= left - 1) {
      scalar_ops_[static_cast<std::size_t>(word * 64 + std::countr_zero(left))] = p.op;
    }
  }
}

void Waits::flat_reaches_lds(const Plan& p) {
  if (!p.loads) return;
  for (const std::uint16_t row : p.written_rows)
    for (Pending& half : rows_[row]) {
      if (half.op != p.op) continue;
      half.lds = issued[2];
      half.flat = true;
    }
}

void Waits::wait(const Monitor::Wait& w) {
  auto pass = [&](std::size_t stream, int left) {
    const auto n = static_cast<std::uint32_t>(left);
    if (issued[stream] > n) done[stream] = std::max(done[stream], issued[stream] - n);
  };
  if (w.vm >= 0) {
    pass(0, w.vm);
    if (flat_in_order_ || w.vm == 0) flat_done_vm_ = std::max(flat_done_vm_, done[0]);
  }
  if (w.vs >= 0) pass(1, w.vs);
  if (w.lgkm >= 0) {
    pass(2, w.lgkm);
    if (flat_in_order_ || w.lgkm == 0) flat_done_lds_ = std::max(flat_done_lds_, done[2]);
    if (w.lgkm == 0) {
      done[3] = issued[3];
      pending_scalars_[0] = pending_scalars_[1] = 0;
    }
  }
  forget();
}

void Waits::forget() {
  if (pending_rows_ == 0) return;
  for (std::size_t word = 0; word < row_bits_.size(); ++word) {
    for (std::uint64_t left = row_bits_[word]; left != 0; left &= left - 1) {
      const int bit = std::countr_zero(left);
      const auto& halves = rows_[word * 64 + static_cast<std::size_t>(bit)];
      if (outstanding(halves[0]) || outstanding(halves[1])) continue;
      row_bits_[word] &= ~(std::uint64_t{1} << bit);
      --pending_rows_;
    }
  }
}

}  // namespace wavetile::emu::checks
