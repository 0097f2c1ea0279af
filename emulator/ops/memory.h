// What vector memory instructions have in common, whatever the space: addresses of lanes are made first (so that a
// destination may overlap them), then checked as a whole, then the data moves.
//
// Global memory belongs to the host and to other waves too: every piece of it is moved by a relaxed atomic access of 1,
// 2 or 4 bytes, never wider than its alignment allows. LDS and scratch belong to a workgroup, whose waves take turns on
// one thread; the same code moves them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "emulator/memory.h"
#include "emulator/monitor.h"
#include "emulator/op.h"
#include "emulator/wave.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

// Op::flags of vector memory instructions. An atomic's number is above kAtomicShift.
enum : std::uint32_t {
  kGlc = 1,
  kSlc = 2,
  kDlc = 4,
  kSc0 = 8,
  kSc1 = 16,
  kNt = 32,
  kReturns = 64,
  kOffen = 128,  // of buffers, as the next two
  kIdxen = 256,
  kToLds = 512,
  kAtomicShift = 16,
};

// Op::src of vector memory instructions. Of a buffer, kSaddr is its resource.
enum { kVaddr = 0, kSaddr = 1, kData = 2, kData2 = 3, kSoffset = 4 };

/// Moves the data of one access a lane, at addresses of `space`. Kept in Op::imm2.
using Move = void (*)(Wave&, const Op&, Space, std::uint64_t mask, const std::uint64_t* address);
inline Move move_of(const Op& op) { return reinterpret_cast<Move>(static_cast<std::uintptr_t>(op.imm2)); }
inline void set_move(Op& op, Move move) { op.imm2 = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(move)); }

/// An access with the scope bits of the op.
Access access_of(const Op& op, Space space, AccessKind kind, std::uint64_t mask, const std::uint64_t* address,
                 std::uint32_t bytes);
/// Checks the lanes of `access`, tells the monitor, and gives their places in this process's memory, for which there is
/// `room`. Lanes outside LDS are taken out of the mask: they read 0 and write nothing. nullptr: the wave is stopped.
const std::uint64_t* enter(Wave& w, const Op& op, Access& access, std::uint64_t* room);
/// The scope bits that the instruction prints, as flags.
std::uint32_t scope_flags(const Instruction& in);

/// Calls f(lane) for the lanes of `mask`, upwards.
template <class F>
inline void for_lanes(std::uint64_t mask, F f) {
  if (static_cast<std::uint32_t>(mask) == 0xffffffffu) {
    for (int i = 0; i < 32; ++i) f(i);
    mask &= ~std::uint64_t{0xffffffffu};
    if (mask == ~std::uint64_t{0xffffffffu}) {
      for (int i = 32; i < 64; ++i) f(i);
      return;
    }
  }
  for (; mask != 0; mask &= mask - 1) f(std::countr_zero(mask));
}

template <class T>
inline T relaxed_load(std::uint64_t at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_RELAXED);
}
template <class T>
inline void relaxed_store(std::uint64_t at, T value) {
  __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_RELAXED);
}

/// 1, 2 or 4 bytes at any alignment.
template <int Bytes>
inline std::uint32_t load_piece(std::uint64_t at) {
  if constexpr (Bytes == 1) {
    return relaxed_load<std::uint8_t>(at);
  } else if constexpr (Bytes == 2) {
    if ((at & 1) == 0) return relaxed_load<std::uint16_t>(at);
    return load_piece<1>(at) | (load_piece<1>(at + 1) << 8);
  } else {
    if ((at & 3) == 0) return relaxed_load<std::uint32_t>(at);
    return load_piece<2>(at) | (load_piece<2>(at + 2) << 16);
  }
}
template <int Bytes>
inline void store_piece(std::uint64_t at, std::uint32_t value) {
  if constexpr (Bytes == 1) {
    relaxed_store(at, static_cast<std::uint8_t>(value));
  } else if constexpr (Bytes == 2) {
    if ((at & 1) == 0) return relaxed_store(at, static_cast<std::uint16_t>(value));
    store_piece<1>(at, value);
    store_piece<1>(at + 1, value >> 8);
  } else {
    if ((at & 3) == 0) return relaxed_store(at, value);
    store_piece<2>(at, value);
    store_piece<2>(at + 2, value >> 16);
  }
}

/// A loaded value as its register holds it; `old` is what the register had.
template <int Bytes, bool Signed, Half H>
inline std::uint32_t extended(std::uint32_t value, std::uint32_t old) {
  if constexpr (Signed && Bytes == 1) value = static_cast<std::uint32_t>(static_cast<std::int8_t>(value));
  if constexpr (Signed && Bytes == 2) value = static_cast<std::uint32_t>(static_cast<std::int16_t>(value));
  if constexpr (H == Half::low) return (old & 0xffff0000u) | (value & 0xffff);
  if constexpr (H == Half::high) return (old & 0xffff) | (value << 16);
  return value;
}

/// A row of the emulator's own: on the way from memory to LDS. No register for the monitor.
inline int named_row(const Wave& w, int row) { return row < first_spare_row(*w.launch->chip) ? row : -1; }

/// Loads Bytes (1, 2, 4, 8, 12 or 16) a lane into the rows from `row`.
template <int Bytes, bool Signed, Half H>
void load_rows(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address, int row) {
  constexpr int kPiece = Bytes < 4 ? Bytes : 4;
  constexpr int kRows = Bytes < 4 ? 1 : Bytes / 4;
  Access access = access_of(op, space, AccessKind::load, mask, address, Bytes);
  access.row = named_row(w, row);
  access.half = H;
  std::uint64_t room[64];
  const std::uint64_t* const host = enter(w, op, access, room);
  if (!host) return;
  std::uint32_t* const out = w.row(row);
  const auto lanes = static_cast<std::size_t>(w.lanes);
  Monitor* const monitor = w.launch->monitor;
  if (monitor && space == Space::global && monitor->stale()) {
    for_lanes(access.mask, [&](int i) {
      std::uint32_t words[kRows] = {};
      monitor->read(w, op, access, address[i], words, Bytes);
      for (int k = 0; k < kRows; ++k) out[k * lanes + i] = extended<Bytes, Signed, H>(words[k], out[k * lanes + i]);
    });
  } else {
    for_lanes(access.mask, [&](int i) {
      for (int k = 0; k < kRows; ++k) {
        std::uint32_t& to = out[k * lanes + i];
        to = extended<Bytes, Signed, H>(load_piece<kPiece>(host[i] + 4 * k), to);
      }
    });
  }
  for_lanes(mask & ~access.mask, [&](int i) {
    for (int k = 0; k < kRows; ++k) out[k * lanes + i] = extended<Bytes, Signed, H>(0, out[k * lanes + i]);
  });
}

template <int Bytes, Half H>
void store_rows(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address, int row) {
  constexpr int kPiece = Bytes < 4 ? Bytes : 4;
  constexpr int kRows = Bytes < 4 ? 1 : Bytes / 4;
  Access access = access_of(op, space, AccessKind::store, mask, address, Bytes);
  access.row = named_row(w, row);
  access.half = Bytes < 4 && H == Half::whole ? Half::low : H;
  std::uint64_t room[64];
  const std::uint64_t* const host = enter(w, op, access, room);
  if (!host) return;
  const std::uint32_t* const in = w.row(row);
  const auto lanes = static_cast<std::size_t>(w.lanes);
  for_lanes(access.mask, [&](int i) {
    for (int k = 0; k < kRows; ++k) {
      store_piece<kPiece>(host[i] + 4 * k, H == Half::high ? in[i] >> 16 : in[k * lanes + i]);
    }
  });
}

template <int Bytes, bool Signed, Half H>
void move_load(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address) {
  load_rows<Bytes, Signed, H>(w, op, space, mask, address, op.dst[0].reg);
}
template <int Bytes, Half H>
void move_store(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address) {
  store_rows<Bytes, H>(w, op, space, mask, address, op.src[kData].reg);
}

/// Every load and store that global, flat, scratch, buffer and LDS instructions share: the end of the name.
struct Form {
  std::string_view rdna3, cdna3;  // after "global_"; LDS: after "ds_"
  std::string_view rdna3_lds, cdna3_lds;
  bool store;
  int bytes;
  Half half;  // of the register that a load writes
  Move move;
};
std::span<const Form> forms();

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
