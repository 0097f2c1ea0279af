// Memory as it is accessed: what was never written, and races.
//
// Lanes that access consecutive bytes are taken together, so that a coalesced access costs a look at each line.
#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "emulator/checks/checks.h"
#include "emulator/program.h"

namespace wavetile::emu::checks {
namespace {

const char* space_name(Space s) {
  switch (s) {
    case Space::lds:
      return "LDS";
    case Space::scratch:
      return "scratch";
    default:
      return "memory";
  }
}

std::uint32_t mask_of(std::uint32_t bytes) { return bytes >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << bytes) - 1; }

// Four bits, a byte each, as the bits of a dword.
std::uint32_t spread(std::uint32_t bytes) {
  std::uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits |= (bytes >> i & 1) != 0 ? 0xffu << 8 * i : 0;
  return bits;
}

// A read-modify-write, or a load or store that the memory model makes atomic.
constexpr std::size_t kMostSuspects = 64;
constexpr unsigned kPlain = 0, kPerhaps = 1, kAtomic = 2;

}  // namespace

const std::vector<Checks::Run>& Checks::runs(const Wave& w, const Access& a) {
  constexpr int kBlock = 16;  // lanes
  runs_.clear();
  for (int first = 0; first < w.lanes; first += kBlock) {
    const std::uint64_t* const address = a.address + first;
    const auto mask = static_cast<std::uint32_t>(a.mask >> first & 0xffff);
    if (mask == 0xffff) {
      // Mostly one piece; matrix fragments are read twice or four times, each by 16 lanes.
      std::uint64_t not_same = 0, not_next = 0, next = address[0];
      for (int i = 0; i < kBlock; ++i, next += a.bytes) {
        not_same |= address[i] ^ address[0];
        not_next |= address[i] ^ next;
      }
      if (not_next == 0) {
        add_run(a, address[0], kBlock * std::uint64_t{a.bytes}, first);
        continue;
      }
      if (a.kind == AccessKind::load) {
        if (not_same == 0) {
          add_run(a, address[0], a.bytes, first);
          continue;
        }
        if (first > 0 && (a.mask & 0xffff) == 0xffff && std::equal(address, address + kBlock, a.address)) continue;
      }
    }
    for (std::uint32_t left = mask; left != 0; left &= left - 1) {
      const int lane = first + std::countr_zero(left);
      add_run(a, a.address[lane], a.bytes, lane);
    }
  }
  return runs_;
}

bool Checks::find_place(const Wave& w, const Run& r) {
  last_ = w.launch->memory->find(r.begin, r.end - r.begin);
  last_shadow_ = last_ ? &shadow_of(*last_) : nullptr;
  return last_ != nullptr;
}

unsigned Checks::level(const Access& a) const {
  if (a.kind == AccessKind::atomic) return kAtomic;
  if (a.space != Space::global) return kPlain;
  if (cdna3_) return a.sc0 || a.sc1 ? kAtomic : kPlain;
  if (a.kind == AccessKind::load) return a.glc ? kAtomic : kPlain;
  return kPerhaps;
}

void Checks::access(Wave& w, const Op& op, const Access& a) {
  WaveState& s = state(w);
  if (a.mask == 0) return;
  if (a.space == Space::scratch) return scratch(w, op, a);
  if (const std::uint64_t version = w.launch->memory->version(); version != last_version_) {
    last_version_ = version;
    last_ = nullptr;
  }
  const bool lds = a.space == Space::lds;
  const Plan& p = *current_;
  if (lds && p.flat) s.waits.flat_reaches_lds(p);
  const auto stream = a.space == Space::constant                     ? 3
                      : lds && (p.counter == Counter::lds || p.flat) ? 2
                      : p.counter == Counter::vs                     ? 1
                                                                     : 0;
  const std::uint32_t time = s.waits.issued[static_cast<std::size_t>(stream)];
  const unsigned atomicity = level(a);
  const Epoch mine = Epoch::make(s.clock->number, stream, time, 0, atomicity);
  RaceCheck check(clocks_, *s.clock, mine, a.kind, lds);
  const bool defined = a.kind != AccessKind::store || !store_undefined(w, op, a);
  bool written = true;
  for (const Run& r : runs(w, a)) {
    const Place at = place(w, a, r);
    if (!at.shadow) continue;
    const std::uint64_t length = r.end - r.begin;
    if (a.kind != AccessKind::store) written &= at.shadow->all_written(at.offset, length);
    if (a.kind != AccessKind::load && defined) at.shadow->set_written(at.offset, length, true);
    if (!at.writable) continue;
    if (!lds) {
      if (a.kind != AccessKind::load)
        at.shadow->set_author(at.offset, length, Author::dispatch(view_.begun));
      else if (atomicity != kAtomic && !state(*w.workgroup).acquired)
        unfenced(w, op, a, r, at);
    }
    if (atomicity == kAtomic && a.kind != AccessKind::store) {
      // Before this access takes its place as the last write.
      for (std::uint64_t i = 0; i < length; i += a.bytes) {
        const Cell& cell = at.shadow->races(at.offset + i, dispatch_).at(at.offset + i);
        const std::uint64_t key = (r.begin + i) ^ (lds ? std::uint64_t{state(*w.workgroup).number + 1} << 40 : 0);
        clocks_.read_atomically(*s.clock, key, cell, stream, time, lds);
        if (a.kind == AccessKind::atomic) clocks_.chain(*s.clock, key, cell, mine.with_bytes(15));
      }
    }
    for (std::uint64_t done = 0; done < length;) {
      const std::uint64_t offset = at.offset + done, from = offset % kQuadBytes;
      const std::uint64_t n = std::min(length - done, kQuadBytes - from);
      check.quad(at.shadow->races(offset, dispatch_), r.begin + done - from, static_cast<unsigned>(from),
                 static_cast<unsigned>(from + n), r.lane);
      done += n;
    }
  }
  // A plain store to LDS is no release: nothing reads it as one.
  if (a.kind == AccessKind::atomic || (a.kind == AccessKind::store && !lds)) clocks_.publish(*s.clock, s.waits);
  if (!written) load_undefined(w, op, a);
  if (a.kind == AccessKind::atomic && !s.suspects.empty()) {
    std::erase_if(s.suspects, [&](const auto& suspect) {
      for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
        if (suspect.first - a.address[std::countr_zero(left)] < a.bytes) return true;
      }
      return false;
    });
  }
  if (check.found()) race(w, op, a, check);
  if (check.overlap()) overlap(w, op, a);
  if (stale_ && a.space == Space::global && a.kind != AccessKind::load) caches_.write(w, a);
}

// --- what nothing wrote

namespace {

bool sign_extends(const Op& op) {
  const std::string& name = op.instruction->mnemonic;
  return name.find("_i8") != name.npos || name.find("_i16") != name.npos || name.find("sbyte") != name.npos ||
         name.find("sshort") != name.npos;
}
std::uint32_t half_mask(Half h) { return h == Half::low ? 0xffff : h == Half::high ? 0xffff0000u : 0xffffffffu; }

}  // namespace

// Scratch is its lane's alone: bits go there and come back.
void Checks::scratch(const Wave& w, const Op& op, const Access& a) {
  WaveState& s = state(w);
  for (int lane = w.lanes - 1; lane >= 0; --lane) {
    if ((a.mask >> lane & 1) == 0) continue;
    std::uint8_t* undefined =
        s.scratch.data() + std::size_t{w.launch->private_bytes} * static_cast<std::size_t>(lane) + a.address[lane];
    for (std::uint32_t first = 0; first < a.bytes; first += 4) {
      const std::uint32_t n = std::min<std::uint32_t>(4, a.bytes - first);
      const int reg = a.row + static_cast<int>(first / 4);
      const int shift = a.half == Half::high ? 16 : 0;
      std::uint32_t bits = 0;
      if (a.kind != AccessKind::load) {
        bits = s.registers.bits(reg, lane) >> shift;
        std::memcpy(undefined + first, &bits, n);
        continue;
      }
      std::memcpy(&bits, undefined + first, n);
      if (bits == 0) continue;
      if (sign_extends(op)) bits = ~std::uint32_t{0};
      s.registers.set(reg, lane, half_mask(a.half), bits << shift);
      s.registers.origin[static_cast<std::size_t>(reg)] = {&op, "scratch", a.address[lane] + first};
    }
  }
}

void Checks::load_undefined(const Wave& w, const Op& op, const Access& a) {
  RegisterState& registers = state(w).registers;
  // Downwards, so that the origin is that of the first lane.
  for (int lane = w.lanes - 1; lane >= 0; --lane) {
    if ((a.mask >> lane & 1) == 0) continue;
    const std::uint64_t at = a.address[lane];
    const Place place_of = place(w, a, {at, at + a.bytes, lane});
    if (!place_of.shadow) continue;
    for (std::uint32_t first = 0; first < a.bytes; first += 4) {
      const std::uint32_t n = std::min<std::uint32_t>(4, a.bytes - first);
      const std::uint32_t missing = mask_of(n) & ~place_of.shadow->written_bytes(place_of.offset + first, n);
      if (missing == 0) continue;
      const Origin origin{&op, space_name(a.space), at + first};
      if (a.kind == AccessKind::atomic) {
        place_of.shadow->set_written(place_of.offset + first, n, true);
        if (!first_time(w, op, "uninitialised-memory")) continue;
        report(w, op, "uninitialised-memory", fmt::format("changes {} that nothing wrote", origin.space), "", lane, at);
        continue;
      }
      std::uint32_t bits = spread(missing);
      if (sign_extends(op)) bits = ~std::uint32_t{0};
      const int reg = a.row + static_cast<int>(first / 4);
      if (a.space == Space::constant) {
        registers.set_scalar(reg, bits);
        registers.scalar_origin[static_cast<std::size_t>(reg)] = origin;
        continue;
      }
      registers.set(reg, lane, half_mask(a.half), a.half == Half::high ? bits << 16 : bits);
      registers.origin[static_cast<std::size_t>(reg)] = origin;
    }
  }
}

// True when a lane stores something undefined; the bytes are then marked here, lane by lane. What leaves the wave for
// global memory is an output: a lane that stores nothing defined at all is reported.
bool Checks::store_undefined(const Wave& w, const Op& op, const Access& a) {
  RegisterState& registers = state(w).registers;
  const int rows = a.bytes < 4 ? 1 : static_cast<int>(a.bytes / 4);
  std::uint64_t undefined = 0;
  for (int k = 0; k < rows; ++k) undefined |= registers.any(a.row + k);
  if ((undefined & a.mask) == 0) return false;
  for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const std::uint64_t at = a.address[lane];
    const Place to = place(w, a, {at, at + a.bytes, lane});
    if (!to.shadow) continue;
    std::uint32_t good = 0;  // bytes
    int bad_row = a.row;
    for (std::uint32_t i = 0; i < a.bytes; ++i) {
      const int row = a.row + static_cast<int>(i / 4);
      const std::uint32_t bits = registers.bits(row, lane) >> (a.half == Half::high ? 16 : 0);
      if ((bits >> 8 * (i % 4) & 0xff) == 0) {
        good |= 1u << i;
      } else {
        bad_row = row;
      }
    }
    const bool nothing_defined = good == 0 && a.space == Space::global;
    if (nothing_defined) {
      const Origin& origin = registers.origin[static_cast<std::size_t>(bad_row)];
      report_undefined(w, op,
                       {.reg = bad_row,
                        .lane = lane,
                        .lanes = undefined & a.mask,
                        .bits = registers.bits(bad_row, lane),
                        .origin = origin});
    }
    for (std::uint32_t i = 0; i < a.bytes; ++i) {
      to.shadow->set_written(to.offset + i, 1, nothing_defined || (good >> i & 1) != 0);
    }
  }
  return true;
}

// --- races

// The dword that a lane stores, at its first, second, … place.
std::uint32_t Checks::stored_word(const Wave& w, const Access& a, int lane, std::uint32_t dword) const {
  const std::uint32_t word = w.row(a.row + static_cast<int>(dword))[lane];
  return a.half == Half::high ? word >> 16 : word;
}

// Whether every lane that touches the dword at `address` stores what is there.
bool Checks::changes_nothing(const Wave& w, const Access& a, std::uint64_t address) const {
  if (a.kind != AccessKind::store) return false;
  for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    for (std::uint32_t i = 0; i < a.bytes; ++i) {
      const std::uint64_t at = a.address[lane] + i;
      if (at < address || at >= address + 4) continue;
      const auto* memory =
          a.space == Space::lds ? w.workgroup->lds.data() + at : reinterpret_cast<const std::uint8_t*>(at);
      const std::uint32_t word = stored_word(w, a, lane, i / 4);
      if (__atomic_load_n(memory, __ATOMIC_RELAXED) != (word >> 8 * (i % 4) & 0xff)) return false;
    }
  }
  return true;
}

void Checks::race(const Wave& w, const Op& op, const Access& a, const RaceCheck& check) {
  const Race& r = check.race();
  if (r.mine_writes && r.other_writes && changes_nothing(w, a, r.address)) return;
  const bool suspect = !r.mine_writes && r.other.level() == kAtomic;
  auto& suspects = state(w).suspects;
  if (suspect) {
    const auto same = [&](const auto& s) {
      return s.first == r.address && s.second.address == op.instruction->address;
    };
    // A scalar load begins the loop where the place is the same for all lanes.
    if (suspects.size() >= kMostSuspects || std::ranges::any_of(suspects, same)) return;
  } else if (!first_time(w, op, "race")) {
    return;
  }
  const std::uint32_t number = r.other.wave();
  const auto per_group = static_cast<std::uint32_t>(clocks_.waves_per_workgroup());
  const std::uint32_t group = number / per_group;
  const auto& n = w.launch->workgroups;
  const char* space = space_name(a.space);
  std::string more = fmt::format("   {} by wave {} of workgroup ({}, {}, {})\n", r.other_writes ? "written" : "read",
                                 number % per_group, group % n[0], group / n[0] % n[1], group / n[0] / n[1]);
  std::uint64_t pc = 0;
  if (clocks_.where(r.other, pc)) {
    if (const Op* other = w.launch->program->at(pc)) more += fmt::format("   at {}\n", where(w, *other));
  }
  if (a.space != Space::lds) more += fmt::format("   in {}\n", w.launch->memory->explain(r.address, 4));
  if (suspect) {
    Report report = make_report(
        w, &op, "race", fmt::format("reads {} that another wave changed atomically, and nothing orders the two", space),
        r.lane, r.address);
    report.text += more;
    suspects.emplace_back(r.address, std::move(report));
    return;
  }
  report(w, op, "race",
         fmt::format("{} {} that another wave {} and nothing orders the two", r.mine_writes ? "writes" : "reads", space,
                     r.other_writes ? "wrote," : "read,"),
         more, r.lane, r.address);
}

void Checks::unfenced(const Wave& w, const Op& op, const Access& a, const Run& r, const Place& at) {
  const std::uint64_t end = at.offset + r.end - r.begin;
  const std::uint64_t bad = at.shadow->find_author(at.offset, end, [&](Author who) { return view_.sees(who); });
  if (bad == end || !first_time(w, op, "missing-fence")) return;
  const std::uint64_t address = r.begin + bad - at.offset;
  report(w, op, "missing-fence",
         fmt::format("reads {} {}", space_name(a.space), fences_.explain(at.shadow->author(bad))),
         fmt::format("   in {}\n", w.launch->memory->explain(address, 4)), r.lane, address);
}

// A compare-and-swap of the same place follows, or the loads were races.
void Checks::settle(Wave& w) {
  for (auto& [address, report] : state(w).suspects) w.launch->sink->add(std::move(report));
  state(w).suspects.clear();
}

// Two lanes of a store met: a race if what they store differs.
void Checks::overlap(const Wave& w, const Op& op, const Access& a) {
  for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    for (std::uint64_t rest = left & (left - 1); rest != 0; rest &= rest - 1) {
      const int other = std::countr_zero(rest);
      for (std::uint32_t i = 0; i < a.bytes; ++i) {
        const std::uint64_t j = a.address[lane] + i - a.address[other];
        if (j >= a.bytes) continue;
        const std::uint32_t x = stored_word(w, a, lane, i / 4) >> 8 * (i % 4) & 0xff;
        const std::uint32_t y = stored_word(w, a, other, static_cast<std::uint32_t>(j / 4)) >> 8 * (j % 4) & 0xff;
        if (x == y) continue;
        if (!first_time(w, op, "race")) return;
        return report(w, op, "race",
                      fmt::format("two lanes store different values to the same {}", space_name(a.space)),
                      fmt::format("   the other is lane {}\n", other), lane, a.address[lane] + i);
      }
    }
  }
}

// --- stale reads

void Checks::read(Wave& w, const Op& op, const Access& a, std::uint64_t address, void* to, std::uint32_t bytes) {
  if (!caches_.read(w, a, address, to, bytes) || !first_time(w, op, "stale-read")) return;
  int lane = 0;
  for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
    if (a.address[std::countr_zero(left)] == address) lane = std::countr_zero(left);
  }
  report(w, op, "stale-read",
         fmt::format("reads {} that has changed since a cache of its compute unit took it in",
                     a.space == Space::constant ? "constant memory" : "memory"),
         "", lane, address);
}

}  // namespace wavetile::emu::checks
