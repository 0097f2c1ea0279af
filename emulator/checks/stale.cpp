#include "emulator/checks/stale.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace wavetile::emu::checks {
namespace {

std::uint8_t byte_at(std::uint64_t address) {
  return __atomic_load_n(reinterpret_cast<const std::uint8_t*>(address), __ATOMIC_RELAXED);
}

}  // namespace

// Brings in what the line lacks of [begin, end), from the cache behind or from memory.
void StaleCaches::fill(Line& line, std::uint64_t at, std::uint64_t begin, std::uint64_t end, const Line* from) {
  for (std::uint64_t i = std::max(at, begin); i < std::min(at + kLine, end); ++i) {
    const std::uint64_t bit = std::uint64_t{1} << (i - at);
    if ((line.held & bit) == 0) line.bytes[i - at] = from ? from->bytes[i - at] : byte_at(i);
    line.held |= bit;
  }
}

// The line at `at`, with what the allocation [begin, end) has of it.
const StaleCaches::Line& StaleCaches::line(const Wave& w, const Access& a, std::uint64_t at, std::uint64_t begin,
                                           std::uint64_t end) {
  const bool scalar_load = a.space == Space::constant;
  Line& near = (scalar_load ? scalar(w) : l0(w))[at];
  if (cdna3_ || scalar_load) {
    fill(near, at, begin, end, nullptr);
  } else {
    Line& behind = gl1(w)[at];
    fill(behind, at, begin, end, nullptr);
    fill(near, at, begin, end, &behind);
  }
  return near;
}

bool StaleCaches::read(const Wave& w, const Access& a, std::uint64_t address, void* to, std::uint32_t bytes) {
  auto* out = static_cast<std::uint8_t*>(to);
  for (std::uint32_t i = 0; i < bytes; ++i) out[i] = byte_at(address + i);
  const Allocation* allocation = w.launch->memory->find(address, bytes);
  if (!allocation) return false;
  const std::uint64_t first = address / kLine * kLine;
  if (a.space == Space::global && (cdna3_ ? a.sc1 : a.glc)) {
    for (std::uint64_t at = first; at < address + bytes; at += kLine) l0(w).erase(at);
    return false;
  }
  bool differs = false;
  for (std::uint64_t at = first; at < address + bytes; at += kLine) {
    const Line& held = line(w, a, at, allocation->begin, allocation->end);
    for (std::uint64_t i = std::max(at, address); i < std::min(at + kLine, address + bytes); ++i) {
      differs |= out[i - address] != held.bytes[i - at];
      out[i - address] = held.bytes[i - at];
    }
  }
  return differs;
}

void StaleCaches::write(const Wave& w, const Access& a) {
  for (std::uint64_t left = a.mask; left != 0; left &= left - 1) {
    const std::uint64_t address = a.address[std::countr_zero(left)];
    if (a.kind == AccessKind::store) {
      stored_.push_back({address, a.bytes});
      continue;
    }
    l0(w).erase(address / kLine * kLine);
    if (!cdna3_) gl1(w).erase(address / kLine * kLine);
  }
}

void StaleCaches::after(const Wave& w) {
  if (stored_.empty()) return;
  auto update = [](Cache& cache, std::uint64_t address) {
    const auto found = cache.find(address / kLine * kLine);
    if (found != cache.end()) found->second.bytes[address % kLine] = byte_at(address);
  };
  for (const Range& r : stored_) {
    for (std::uint32_t i = 0; i < r.bytes; ++i) {
      update(l0(w), r.address + i);
      if (!cdna3_) update(gl1(w), r.address + i);
    }
  }
  stored_.clear();
}

void StaleCaches::invalidate(const Wave& w, CacheOp op, bool sc1) {
  switch (op) {
    case CacheOp::gl0_inv:
      l0(w).clear();
      break;
    case CacheOp::gl1_inv:
      gl1(w).clear();
      break;
    case CacheOp::buffer_inv:
      if (sc1) l0(w).clear();
      break;
    case CacheOp::dcache_inv:
      scalar(w).clear();
      break;
    default:
      break;
  }
}

}  // namespace wavetile::emu::checks
