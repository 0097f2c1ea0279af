// Instructions of a wave that are outstanding, by the counters that s_waitcnt waits for. What may be taken for done is
// what the hardware documents and LLVM's SIInsertWaitcnts relies on:
//
//   vm      loads and returning atomics, on CDNA3 stores too; in order. CDNA3's flat accesses are out of order: only
//           a wait for 0 ends them.
//   vs      RDNA3's stores and atomics that return nothing; in order
//   lds     LDS, part of lgkmcnt; in order among themselves, so that lgkmcnt(n) leaves the n newest of them
//   scalar  scalar loads, part of lgkmcnt; out of order: only lgkmcnt(0) ends them
//
// A wait for the most that a counter holds, vmcnt(63), ends what is older than that many: there is no room for more.
//
// The halves of a row are outstanding apart from one another: LLVM takes them for registers of their own (RDNA3).
//
// A store's data registers may be overwritten once it was issued, on these chips.
#pragma once

#include <array>
#include <cstdint>

#include "emulator/checks/plan.h"
#include "emulator/monitor.h"

namespace wavetile::emu::checks {

inline constexpr int kStreams = 4;  // vm, vs, lds, scalar
inline int stream_of(Counter c) { return static_cast<int>(c) - 1; }
using Times = std::array<std::uint32_t, kStreams>;  // how many instructions of each stream

class Waits {
 public:
  explicit Waits(bool flat_in_order) : flat_in_order_(flat_in_order) {}
  Times issued{}, done{};

  struct Finding {
    bool scalar = false, overwritten = false;
    int reg = 0;
    const Op* load = nullptr;
    const char* counter = "";
  };
  /// Whether the instruction reads or overwrites a register whose load is outstanding.
  bool check(const Plan& p, Finding& found) {
    std::uint64_t hit = pending_scalars_[0] & (p.read_scalars[0] | p.written_scalars[0]);
    hit |= pending_scalars_[1] & (p.read_scalars[1] | p.written_scalars[1]);
    for (const RowSet& s : p.touched) hit |= row_bits_[s.word] & s.rows;
    return hit != 0 && search(p, found);
  }
  /// The instruction was issued, with EXEC empty too.
  void issue(const Plan& p);
  /// The flat instruction just issued touches LDS. One that touches memory alone is waited for like any other of vm:
  /// LLVM does so where it knows, and so do AMD's own copy kernels.
  void flat_reaches_lds(const Plan& p);
  void wait(const Monitor::Wait& wait);

 private:
  struct Pending {
    std::uint32_t vm = 0, lds = 0;  // the instruction's number in the stream; 0: none
    bool flat = false;
    const Op* op = nullptr;
  };
  bool search(const Plan& p, Finding& found);
  bool outstanding(const Pending& p) const {
    return p.flat ? p.vm > flat_done_vm_ || p.lds > flat_done_lds_ : p.vm > done[0] || p.lds > done[2];
  }
  void forget();

  bool flat_in_order_;
  std::array<std::array<Pending, 2>, 2 * kVgprs + kSpareRows> rows_{};  // the low and the high half of each
  std::array<std::uint64_t, kRowWords> row_bits_{};
  int pending_rows_ = 0;
  std::array<const Op*, kScalars> scalar_ops_{};
  std::uint64_t pending_scalars_[2] = {};
  std::uint32_t flat_done_vm_ = 0, flat_done_lds_ = 0;
};

}  // namespace wavetile::emu::checks
