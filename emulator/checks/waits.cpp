#include "emulator/checks/waits.h"

#include <algorithm>
#include <bit>

namespace wavetile::emu::checks {

bool Waits::search(const Plan& p, Finding& found) {
  auto look = [&](std::uint16_t row, bool written) {
    if ((row_bits_[row / 64] >> row % 64 & 1) == 0) return false;
    const Pending& load = rows_[row];
    // Loads of one stream arrive in order, so that one may follow another into the same register.
    const bool from_lds = load.lds > done[2];
    const bool in_order = p.counter == Counter::vm ? !from_lds : p.counter == Counter::lds && load.vm == 0;
    if (written && p.loads && in_order && (flat_in_order_ || (!load.flat && !p.flat))) return false;
    found = {.overwritten = written, .reg = row, .load = load.op, .counter = load.vm > done[0] ? "vmcnt" : "lgkmcnt"};
    return true;
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
    Pending& load = rows_[row];
    std::uint64_t& word = row_bits_[row / 64];
    const std::uint64_t bit = std::uint64_t{1} << row % 64;
    if ((word & bit) == 0) ++pending_rows_;
    word |= bit;
    load = {.vm = stream == 0 ? issued[0] : 0, .lds = stream == 2 ? issued[2] : 0, .flat = false, .op = p.op};
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
  for (const std::uint16_t row : p.written_rows) {
    rows_[row].lds = issued[2];
    rows_[row].flat = true;
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
      if (outstanding(rows_[word * 64 + static_cast<std::size_t>(bit)])) continue;
      row_bits_[word] &= ~(std::uint64_t{1} << bit);
      --pending_rows_;
    }
  }
}

}  // namespace wavetile::emu::checks
