// What vector memory instructions have in common, whatever the space: addresses of lanes are made first (so that a
// destination may overlap them), then checked as a whole, then the data moves.
//
// Global memory belongs to the host and to other waves too: every piece of it is moved by a relaxed atomic access of 1,
// 2, 4, 8 or 16 bytes, never wider than its alignment allows. LDS and scratch belong to a workgroup, whose waves take
// turns on one thread.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

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
/// Where lanes access this process's memory; false: the wave is stopped.
struct Places {
  std::uint64_t base = 0;
  const std::uint64_t* offset = nullptr;  // [64]
  explicit operator bool() const { return offset != nullptr; }
  template <class I>
  std::uint64_t operator[](I lane) const {
    return base + offset[lane];
  }
};

/// Checks the lanes of `access`, tells the monitor, and gives their places, for which there is `room`. Lanes outside
/// LDS are taken out of the mask: they read 0 and write nothing.
Places enter(Wave& w, const Op& op, Access& access, std::uint64_t* room);
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

#if defined(__AVX2__)
// Written as instructions for global memory: C++ has no atomic type of 16 bytes that is one.
inline __m128i load_16(Space space, std::uint64_t at) {
  __m128i v;
  if (space != Space::global) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  __asm__("vmovdqa %1, %0" : "=x"(v) : "m"(*reinterpret_cast<const __m128i*>(at)));
  return v;
}
inline void store_16(Space space, std::uint64_t at, __m128i v) {
  if (space != Space::global) return _mm_storeu_si128(reinterpret_cast<__m128i*>(at), v);
  __asm__("vmovdqa %1, %0" : "=m"(*reinterpret_cast<__m128i*>(at)) : "x"(v));
}
inline __m256i halves(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
struct Block {
  __m256i row[4];
};
/// Of four rows and columns, in each half: rows become columns.
inline Block transposed(const Block& b) {
  const __m256i low01 = _mm256_unpacklo_epi32(b.row[0], b.row[1]), low23 = _mm256_unpacklo_epi32(b.row[2], b.row[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(b.row[0], b.row[1]), high23 = _mm256_unpackhi_epi32(b.row[2], b.row[3]);
  return {{_mm256_unpacklo_epi64(low01, low23), _mm256_unpackhi_epi64(low01, low23),
           _mm256_unpacklo_epi64(high01, high23), _mm256_unpackhi_epi64(high01, high23)}};
}
/// Four dwords of eight lanes from `lane` on; rows are `lanes` dwords apart.
inline void load_8x16(Space space, const Places& host, int lane, int lanes, std::uint32_t* out) {
  Block b;
  for (int k = 0; k < 4; ++k) b.row[k] = halves(load_16(space, host[lane + k]), load_16(space, host[lane + k + 4]));
  b = transposed(b);
  for (int k = 0; k < 4; ++k) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k * lanes), b.row[k]);
}
inline void store_8x16(Space space, const Places& host, int lane, int lanes, const std::uint32_t* in) {
  Block b;
  for (int k = 0; k < 4; ++k) b.row[k] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + k * lanes));
  b = transposed(b);
  // Upwards: where lanes meet, the last one stays.
  for (int k = 0; k < 4; ++k) store_16(space, host[lane + k], _mm256_castsi256_si128(b.row[k]));
  for (int k = 0; k < 4; ++k) store_16(space, host[lane + k + 4], _mm256_extracti128_si256(b.row[k], 1));
}
/// How eight lanes from `lane` on lie: all in one place, or `bytes` bytes one after the other.
enum class Layout { any, same, consecutive };
inline Layout layout(const Places& host, int lane, int bytes) {
  const __m256i* const offset = reinterpret_cast<const __m256i*>(host.offset + lane);
  const __m256i first = _mm256_set1_epi64x(static_cast<std::int64_t>(host.offset[lane]));
  const __m256i low = _mm256_sub_epi64(_mm256_loadu_si256(offset), first);
  const __m256i high = _mm256_sub_epi64(_mm256_loadu_si256(offset + 1), first);
  const __m256i all = _mm256_or_si256(low, high);
  if (_mm256_testz_si256(all, all) != 0) return Layout::same;
  const __m256i steps_low = _mm256_setr_epi64x(0, bytes, 2 * bytes, 3 * bytes);
  const __m256i steps_high = _mm256_add_epi64(steps_low, _mm256_set1_epi64x(4 * bytes));
  const __m256i other = _mm256_or_si256(_mm256_xor_si256(low, steps_low), _mm256_xor_si256(high, steps_high));
  return _mm256_testz_si256(other, other) != 0 ? Layout::consecutive : Layout::any;
}
/// One dword of eight lanes from `lane` on.
inline void load_8x4(Space space, const Places& host, int lane, std::uint32_t* out) {
  const std::uint64_t at = host[lane];
  const Layout l = layout(host, lane, 4);
  if (l == Layout::consecutive && (space != Space::global || (at & 15) == 0)) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), load_16(space, at));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4), load_16(space, at + 16));
  } else if (l == Layout::same) {
    const auto word = static_cast<int>(load_piece<4>(at));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_set1_epi32(word));
  } else {
    for (int i = 0; i < 8; ++i) out[i] = load_piece<4>(host[lane + i]);
  }
}
inline void store_8x4(Space space, const Places& host, int lane, const std::uint32_t* in) {
  const std::uint64_t at = host[lane];
  if (layout(host, lane, 4) == Layout::consecutive && (space != Space::global || (at & 15) == 0)) {
    store_16(space, at, _mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
    store_16(space, at + 16, _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 4)));
  } else {
    for (int i = 0; i < 8; ++i) store_piece<4>(host[lane + i], in[i]);
  }
}
/// Two dwords of four lanes from `lane` on.
inline void load_4x8(Space space, const Places& host, int lane, std::uint32_t* first, std::uint32_t* second) {
  std::uint64_t pair[4];
  for (int k = 0; k < 4; ++k) {
    if (space == Space::global) {
      pair[k] = relaxed_load<std::uint64_t>(host[lane + k]);
    } else {
      std::memcpy(&pair[k], reinterpret_cast<const void*>(host[lane + k]), sizeof pair[k]);
    }
  }
  const __m256i v = _mm256_set_epi64x(static_cast<std::int64_t>(pair[3]), static_cast<std::int64_t>(pair[2]),
                                      static_cast<std::int64_t>(pair[1]), static_cast<std::int64_t>(pair[0]));
  const __m256i split = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(first), _mm256_castsi256_si128(split));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(second), _mm256_extracti128_si256(split, 1));
}
#endif

/// Bits that are set in the place of some lane.
inline std::uint64_t bits_of(const Places& host, int lanes) {
  std::uint64_t bits = 0;
  for (int i = 0; i < lanes; ++i) bits |= host[i];
  return bits;
}
/// The ways in which all lanes of a wave load and store at once; false where there is none for these places. Those for
/// 16 bytes need AVX, which is what makes an aligned access of 16 bytes atomic.
template <int Bytes>
inline bool load_lanes([[maybe_unused]] Space space, [[maybe_unused]] const Places& host, [[maybe_unused]] int lanes,
                       [[maybe_unused]] std::uint32_t* out) {
#if defined(__AVX2__)
  if constexpr (Bytes == 4) {
    for (int i = 0; i < lanes; i += 8) load_8x4(space, host, i, out + i);
    return true;
  }
  if constexpr (Bytes == 8) {
    if (space == Space::global && (bits_of(host, lanes) & 7) != 0) return false;
    for (int i = 0; i < lanes; i += 4) load_4x8(space, host, i, out + i, out + lanes + i);
    return true;
  }
  if constexpr (Bytes == 16) {
    if (space == Space::global && (bits_of(host, lanes) & 15) != 0) return false;
    for (int i = 0; i < lanes; i += 8) load_8x16(space, host, i, lanes, out + i);
    return true;
  }
#endif
  return false;
}
template <int Bytes>
inline bool store_lanes([[maybe_unused]] Space space, [[maybe_unused]] const Places& host, [[maybe_unused]] int lanes,
                        [[maybe_unused]] const std::uint32_t* in) {
#if defined(__AVX2__)
  if constexpr (Bytes == 4) {
    for (int i = 0; i < lanes; i += 8) store_8x4(space, host, i, in + i);
    return true;
  }
  if constexpr (Bytes == 16) {
    if (space == Space::global && (bits_of(host, lanes) & 15) != 0) return false;
    for (int i = 0; i < lanes; i += 8) store_8x16(space, host, i, lanes, in + i);
    return true;
  }
#endif
  return false;
}

/// Loads Bytes (1, 2, 4, 8, 12 or 16) a lane into the rows from `row`.
template <int Bytes, bool Signed, Half H>
void load_rows(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address, int row) {
  constexpr int kPiece = Bytes < 4 ? Bytes : 4;
  constexpr int kRows = Bytes < 4 ? 1 : Bytes / 4;
  Access access = access_of(op, space, AccessKind::load, mask, address, Bytes);
  access.row = named_row(w, row);
  access.half = H;
  std::uint64_t room[64];
  const Places host = enter(w, op, access, room);
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
  } else if (access.mask == w.all_lanes() && load_lanes<Bytes>(space, host, w.lanes, out)) {
    return;
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
  const Places host = enter(w, op, access, room);
  if (!host) return;
  const std::uint32_t* const in = w.row(row);
  const auto lanes = static_cast<std::size_t>(w.lanes);
  if (access.mask == w.all_lanes() && store_lanes<Bytes>(space, host, w.lanes, in)) return;
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
