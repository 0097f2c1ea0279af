// Addresses are checked here, for every space: nothing leaves this file that is not inside an allocation, the
// workgroup's LDS or the lane's scratch.
#include "emulator/ops/memory.h"

#include <array>

#include <fmt/format.h>

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

// Top bit set: an address of an enabled lane is not in [base, base + limit].
std::uint64_t outside(const std::uint64_t* address, std::uint64_t mask, int lanes, std::uint64_t base,
                      std::uint64_t limit) {
  std::uint64_t bad = 0;
  if (mask == (lanes == 64 ? ~std::uint64_t{0} : 0xffffffffu)) {
    for (int i = 0; i < lanes; ++i) {
      const std::uint64_t d = address[i] - base;
      bad |= d | (limit - d);
    }
    return bad;
  }
  for (; mask != 0; mask &= mask - 1) {
    const std::uint64_t d = address[std::countr_zero(mask)] - base;
    bad |= d | (limit - d);
  }
  return bad;
}

constexpr bool top(std::uint64_t v) { return (v >> 63) != 0; }

bool all_in(const Allocation& a, const Access& access, int lanes) {
  const std::uint64_t size = a.end - a.begin;
  return size >= access.bytes && !top(outside(access.address, access.mask, lanes, a.begin, size - access.bytes));
}

bool enter_global(Wave& w, const Op& op, const Access& access) {
  const Memory& memory = *w.launch->memory;
  const std::uint64_t version = memory.version();
  if (w.memory_version != version) {
    w.memory_version = version;
    w.last = nullptr;
  }
  const bool writes = access.kind != AccessKind::load;
  if (!w.last || (writes && !w.last->writable) || !all_in(*w.last, access, w.lanes)) {
    for (std::uint64_t left = access.mask; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      const std::uint64_t at = access.address[lane];
      const Allocation* found = memory.find(at, access.bytes);
      if (!found || (writes && !found->writable)) {
        const std::string what = memory.explain(at, access.bytes);
        const bool freed = !found && what.ends_with("which was freed");
        fault(w, op,
              found   ? "read-only-write"
              : freed ? "use-after-free"
                      : "out-of-bounds",
              fmt::format("{} of {} bytes at {:#x}: {}", writes ? "write" : "read", access.bytes, at,
                          found ? fmt::format("{} is read-only", found->what) : what),
              lane, at);
        return false;
      }
      w.last = found;
      if (left == access.mask && all_in(*found, access, w.lanes)) break;
    }
  }
  return true;
}

bool enter_lds(Wave& w, const Op& op, Access& access) {
  const std::uint64_t size = w.workgroup->lds.size();
  if (size < access.bytes || top(outside(access.address, access.mask, w.lanes, 0, size - access.bytes))) {
    for (std::uint64_t left = access.mask; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      const std::uint64_t at = access.address[lane];
      if (at <= size && access.bytes <= size - at) continue;
      access.mask &= ~(std::uint64_t{1} << lane);
      if (!w.launch->checks) continue;
      fault(w, op, "lds-out-of-bounds",
            fmt::format("{} of {} bytes at {:#x} of LDS, of which the workgroup has {} bytes",
                        access.kind == AccessKind::load ? "read" : "write", access.bytes, at, size),
            lane, at);
      return false;
    }
  }
  return true;
}

bool enter_scratch(Wave& w, const Op& op, const Access& access, std::uint64_t* host) {
  const std::uint64_t size = w.scratch ? w.launch->private_bytes : 0;
  if (size < access.bytes || top(outside(access.address, access.mask, w.lanes, 0, size - access.bytes))) {
    for (std::uint64_t left = access.mask; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      const std::uint64_t at = access.address[lane];
      if (at <= size && access.bytes <= size - at) continue;
      fault(w, op, "scratch-out-of-bounds",
            fmt::format("{} of {} bytes at {:#x} of scratch, of which a work-item has {} bytes",
                        access.kind == AccessKind::load ? "read" : "write", access.bytes, at, size),
            lane, at);
      return false;
    }
  }
  const auto begin = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(w.scratch));
  const int lanes = w.lanes;  // a copy, so that the loop is known not to change it
  for (int i = 0; i < lanes; ++i) host[i] = begin + static_cast<std::uint64_t>(i) * size + access.address[i];
  return true;
}

bool aligned(Wave& w, const Op& op, const Access& access) {
  for (std::uint64_t left = access.mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const std::uint64_t at = access.address[lane];
    if (at % access.bytes == 0) continue;
    fault(w, op, "misaligned-atomic",
          fmt::format("atomic of {} bytes at {:#x}, which is not a multiple of its size", access.bytes, at), lane, at);
    return false;
  }
  return true;
}

}  // namespace

Access access_of(const Op& op, Space space, AccessKind kind, std::uint64_t mask, const std::uint64_t* address,
                 std::uint32_t bytes) {
  const std::uint32_t f = op.flags;
  Access a;
  a.space = space;
  a.kind = kind;
  a.mask = mask;
  a.address = address;
  a.bytes = bytes;
  a.returns = (f & kReturns) != 0;
  a.glc = (f & kGlc) != 0;
  a.slc = (f & kSlc) != 0;
  a.dlc = (f & kDlc) != 0;
  a.sc0 = (f & kSc0) != 0;
  a.sc1 = (f & kSc1) != 0;
  a.nt = (f & kNt) != 0;
  return a;
}

std::uint32_t scope_flags(const Instruction& in) {
  static constexpr std::pair<std::string_view, std::uint32_t> kNames[] = {{"glc", kGlc}, {"slc", kSlc}, {"dlc", kDlc},
                                                                          {"sc0", kSc0}, {"sc1", kSc1}, {"nt", kNt}};
  std::uint32_t flags = 0;
  for (const auto& [name, bit] : kNames) flags |= in.has(name) ? bit : 0;
  return flags;
}

Places enter(Wave& w, const Op& op, Access& access, std::uint64_t* room) {
  // Hardware splits no atomic; loads and stores of any alignment are legal in its unaligned mode, the one that LLVM
  // compiles for.
  if (access.kind == AccessKind::atomic && !aligned(w, op, access)) return {};
  w.changes += access.kind == AccessKind::store ? 1 : 0;
  Places places{0, access.address};
  switch (access.space) {
    case Space::lds:
      if (!enter_lds(w, op, access)) return {};
      places.base = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(w.workgroup->lds.data()));
      break;
    case Space::scratch:
      if (!enter_scratch(w, op, access, room)) return {};
      places.offset = room;
      break;
    default:
      if (!enter_global(w, op, access)) return {};
      break;
  }
  if (Monitor* monitor = w.launch->monitor) {
    monitor->access(w, op, access);
    if (w.status == Status::faulted) return {};
  }
  return places;
}

std::span<const Form> forms() {
  constexpr Half kWhole = Half::whole, kLow = Half::low, kHigh = Half::high;
  static constexpr std::array kForms{
      Form{"load_u8", "load_ubyte", "load_u8", "read_u8", false, 1, kWhole, move_load<1, false, kWhole>},
      Form{"load_i8", "load_sbyte", "load_i8", "read_i8", false, 1, kWhole, move_load<1, true, kWhole>},
      Form{"load_u16", "load_ushort", "load_u16", "read_u16", false, 2, kWhole, move_load<2, false, kWhole>},
      Form{"load_i16", "load_sshort", "load_i16", "read_i16", false, 2, kWhole, move_load<2, true, kWhole>},
      Form{"load_b32", "load_dword", "load_b32", "read_b32", false, 4, kWhole, move_load<4, false, kWhole>},
      Form{"load_b64", "load_dwordx2", "load_b64", "read_b64", false, 8, kWhole, move_load<8, false, kWhole>},
      Form{"load_b96", "load_dwordx3", "load_b96", "read_b96", false, 12, kWhole, move_load<12, false, kWhole>},
      Form{"load_b128", "load_dwordx4", "load_b128", "read_b128", false, 16, kWhole, move_load<16, false, kWhole>},
      Form{"load_d16_u8", "load_ubyte_d16", "load_u8_d16", "read_u8_d16", false, 1, kLow, move_load<1, false, kLow>},
      Form{"load_d16_i8", "load_sbyte_d16", "load_i8_d16", "read_i8_d16", false, 1, kLow, move_load<1, true, kLow>},
      Form{"load_d16_b16", "load_short_d16", "load_u16_d16", "read_u16_d16", false, 2, kLow, move_load<2, false, kLow>},
      Form{"load_d16_hi_u8", "load_ubyte_d16_hi", "load_u8_d16_hi", "read_u8_d16_hi", false, 1, kHigh,
           move_load<1, false, kHigh>},
      Form{"load_d16_hi_i8", "load_sbyte_d16_hi", "load_i8_d16_hi", "read_i8_d16_hi", false, 1, kHigh,
           move_load<1, true, kHigh>},
      Form{"load_d16_hi_b16", "load_short_d16_hi", "load_u16_d16_hi", "read_u16_d16_hi", false, 2, kHigh,
           move_load<2, false, kHigh>},
      Form{"store_b8", "store_byte", "store_b8", "write_b8", true, 1, kWhole, move_store<1, kWhole>},
      Form{"store_b16", "store_short", "store_b16", "write_b16", true, 2, kWhole, move_store<2, kWhole>},
      Form{"store_b32", "store_dword", "store_b32", "write_b32", true, 4, kWhole, move_store<4, kWhole>},
      Form{"store_b64", "store_dwordx2", "store_b64", "write_b64", true, 8, kWhole, move_store<8, kWhole>},
      Form{"store_b96", "store_dwordx3", "store_b96", "write_b96", true, 12, kWhole, move_store<12, kWhole>},
      Form{"store_b128", "store_dwordx4", "store_b128", "write_b128", true, 16, kWhole, move_store<16, kWhole>},
      Form{"store_d16_hi_b8", "store_byte_d16_hi", "store_b8_d16_hi", "write_b8_d16_hi", true, 1, kHigh,
           move_store<1, kHigh>},
      Form{"store_d16_hi_b16", "store_short_d16_hi", "store_b16_d16_hi", "write_b16_d16_hi", true, 2, kHigh,
           move_store<2, kHigh>},
  };
  return kForms;
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
