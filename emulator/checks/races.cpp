#include "emulator/checks/races.h"

#include <algorithm>

namespace wavetile::emu::checks {

void RaceCheck::dwords(Quad& quad, std::uint64_t address, unsigned from, unsigned to, int lane) {
  if (!quad.split) {
    quad.split = std::make_unique<std::array<Cell, kQuadBytes / 4>>();
    quad.split->fill(quad.whole);
  }
  for (unsigned d = from / 4; d * 4 < to; ++d) {
    const unsigned low = std::max(from, d * 4) - d * 4, high = std::min(to, d * 4 + 4) - d * 4;
    const unsigned bytes = ((1u << high) - 1) & ~((1u << low) - 1);
    cell((*quad.split)[d], bytes, address + d * 4, lane);
  }
}

void RaceCheck::compare(Slot slot, Epoch other, unsigned bytes, std::uint64_t address, int lane) {
  if (found_ || (other.bytes() & bytes) == 0 || other.wave() == me_.number) return;
  const unsigned a = other.level(), b = mine_.level();
  if ((a == 2 && b >= 1) || (b == 2 && a >= 1)) return;
  if (ordered(slot, other)) return;
  found_ = true;
  race_ = {.other = other,
           .other_writes = slot < kFirstRead,
           .mine_writes = kind_ != AccessKind::load,
           .address = address,
           .lane = lane};
}

void RaceCheck::remember_read(Cell& c, Epoch mine) {
  for (const Slot slot : {kFirstRead, kSecondRead}) {
    Epoch& read = c.reads[slot - kFirstRead];
    const bool covered = (read.bytes() & ~mine.bytes()) == 0;
    if (!read || (covered && (read.wave() == me_.number || ordered(slot, read)))) {
      read = mine;
      return;
    }
  }
  c.reads[1] = mine;
}

void RaceCheck::cell(Cell& c, unsigned bytes, std::uint64_t address, int lane) {
  Epoch mine = mine_.with_bytes(bytes);
  if (c.write) {
    if (kind_ == AccessKind::store && c.write.same_instruction(mine)) {
      overlap_ |= (c.write.bytes() & bytes) != 0;
      mine = mine_.with_bytes(bytes | c.write.bytes());
    } else {
      compare(kWrite, c.write, bytes, address, lane);
    }
  }
  if (c.atomic && kind_ != AccessKind::atomic) compare(kLastAtomic, c.atomic, bytes, address, lane);
  if (kind_ == AccessKind::load) {
    if (c.reads[0].same_instruction(mine)) {
      c.reads[0] = mine_.with_bytes(bytes | c.reads[0].bytes());
      return;
    }
    return remember_read(c, mine);
  }
  for (const Slot slot : {kFirstRead, kSecondRead}) {
    Epoch& read = c.reads[slot - kFirstRead];
    if (!read) continue;
    compare(slot, read, bytes, address, lane);
    if ((read.bytes() & ~bytes) == 0) read = {};
  }
  // A read-modify-write does not hide a store that nothing orders before the others'.
  if (kind_ == AccessKind::atomic) {
    c.atomic = mine;
    return;
  }
  c.write = mine;
  if ((c.atomic.bytes() & ~bytes) == 0) c.atomic = {};
}

}  // namespace wavetile::emu::checks
