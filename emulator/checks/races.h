// Races: every access is compared with the last ones of the same bytes, in the manner of ThreadSanitizer. A dword
// remembers its last write and up to two reads, so that of many readers some may be forgotten: what is reported is a
// race, but not every race is reported.
//
// What cannot be told from the instruction:
//  - RDNA3's global stores may be atomic ones: they do not race with atomic accesses, but with all others.
//  - LDS loads and stores are taken for plain ones: a flag in LDS has to be read by a read-modify-write.
// Stores of the value that is there already are no race with other stores.
#pragma once

#include <functional>

#include "emulator/checks/clocks.h"
#include "emulator/monitor.h"

namespace wavetile::emu::checks {

struct Race {
  Epoch other;
  bool other_writes = false, mine_writes = false;
  std::uint64_t address = 0;  // of the dword
  int lane = 0;
};

/// One access of one wave on its way through the records.
class RaceCheck {
 public:
  /// `mine` has no bytes yet.
  RaceCheck(const Clocks& clocks, const WaveClock& me, Epoch mine, AccessKind kind, bool lds)
      : clocks_(clocks), me_(me), mine_(mine), kind_(kind), lds_(lds) {}

  /// A part of four dwords: bytes [from, to) of it, accessed by `lane` and the following ones.
  void quad(Quad& quad, std::uint64_t address, unsigned from, unsigned to, int lane) {
    if (!quad.split && from == 0 && to == kQuadBytes) {
      // Read again by the wave that read it last, and that nobody else has written: the common case by far.
      Cell& c = quad.whole;
      const bool mine =
          !c.atomic && (!c.write || c.write.wave() == me_.number) && c.reads[0] && c.reads[0].wave() == me_.number;
      if (kind_ == AccessKind::load && mine) {
        c.reads[0] = mine_.with_bytes(15);
        return;
      }
      return cell(c, 15, address, lane);
    }
    dwords(quad, address, from, to, lane);
  }

  bool found() const { return found_; }
  const Race& race() const { return race_; }
  /// Two lanes of this instruction stored to the same bytes.
  bool overlap() const { return overlap_; }

 private:
  // What an access met in one dword it mostly meets in the next: the last answers of Clocks::ordered are kept, by the
  // place in a cell.
  enum Slot { kWrite, kLastAtomic, kFirstRead, kSecondRead, kSlots };
  void dwords(Quad& quad, std::uint64_t address, unsigned from, unsigned to, int lane);
  void cell(Cell& c, unsigned bytes, std::uint64_t address, int lane);
  void compare(Slot slot, Epoch other, unsigned bytes, std::uint64_t address, int lane);
  void remember_read(Cell& c, Epoch mine);
  bool ordered(Slot slot, Epoch other) {
    Answer& a = answers_[slot];
    if (a.valid && a.other.same_instruction(other)) return a.ordered;
    // Reads hold nobody up but writers.
    const bool reads = slot < kFirstRead && kind_ == AccessKind::load;
    a = {other, true, clocks_.ordered(me_, other, lds_, reads)};
    return a.ordered;
  }

  const Clocks& clocks_;
  const WaveClock& me_;
  Epoch mine_;
  AccessKind kind_;
  bool lds_;
  bool found_ = false, overlap_ = false;
  Race race_;
  struct Answer {
    Epoch other;
    bool valid = false, ordered = false;
  };
  Answer answers_[kSlots];
};

}  // namespace wavetile::emu::checks
