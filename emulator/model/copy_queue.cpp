#include "emulator/model/copy_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace wavetile::emu::model {
namespace {

enum Opcode : std::uint32_t {
  kNop = 0,
  kCopy = 1,
  kFence = 5,
  kTrap = 6,
  kPoll = 8,
  kAtomic = 10,
  kFill = 11,
  kTimestamp = 13,
  kCacheRequest = 17,
};
constexpr std::uint32_t kLinear = 0, kWindow = 4;  // sub-opcodes of copies
constexpr std::uint32_t kAdd64 = 47;               // operation of atomics

std::uint32_t bits(std::uint32_t word, int first, int count) { return (word >> first) & ((1u << count) - 1); }

std::uint64_t wide(std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; }

// One side of a copy of a window: sizes in elements.
struct Window {
  std::uint64_t base, x, y, z, pitch, slice;
  explicit Window(const std::uint32_t* p)
      : base(wide(p[0], p[1])),
        x(bits(p[2], 0, 14)),
        y(bits(p[2], 16, 14)),
        z(bits(p[3], 0, 11)),
        pitch(std::uint64_t{bits(p[3], 13, 19)} + 1),
        slice(std::uint64_t{bits(p[4], 0, 28)} + 1) {}
  std::uint64_t row(std::uint64_t line, std::uint64_t plane, std::uint32_t log2_element) const {
    return base + ((x + (y + line) * pitch + (z + plane) * slice) << log2_element);
  }
};

}  // namespace

CopyQueue::CopyQueue(Device& device, const QueueInfo& info) : Queue(device, info) {}

bool CopyQueue::step() {
  const std::uint64_t position = read(), end = written();
  if (position >= end) return false;
  Dwords packet{};
  const auto* ring = reinterpret_cast<const std::uint32_t*>(info_.ring);
  const std::uint64_t available = std::min<std::uint64_t>((end - position) / 4, kLongest);
  for (std::uint64_t i = 0; i < available; ++i) packet[i] = ring[(position / 4 + i) % (info_.ring_bytes / 4)];
  const std::uint32_t length = process(packet);
  if (length == 0) return false;
  set_read(position + std::uint64_t{length} * 4);
  return true;
}

std::uint32_t CopyQueue::process(const Dwords& p) {
  const std::uint32_t opcode = bits(p[0], 0, 8), sub = bits(p[0], 8, 8);
  const std::uint64_t address = wide(p[1], p[2]);
  switch (opcode) {
    case kNop:
      return 1 + bits(p[0], 16, 14);
    case kCopy:
      if (sub == kLinear) return copy(p), 7;
      if (sub == kWindow) return copy_window(p), 13;
      break;
    case kFence: {
      auto* to = at<std::uint32_t>(address, 4, true, "fence");
      write_and_wake(address, [&] { std::atomic_ref(*to).store(p[3]); });
      return 4;
    }
    case kTrap:
      device_.wake(bits(p[1], 0, 28));
      return 2;
    case kPoll:
      return poll(p) ? 6 : 0;
    case kAtomic:
      return atomic(p), 8;
    case kFill:
      return fill(p), 5;
    case kTimestamp:
      *at<std::uint64_t>(address, 8, true, "timestamp") = timestamp();
      return 3;
    case kCacheRequest:  // nothing is cached
      return 5;
    default:
      break;
  }
  fail(fmt::format("unknown packet {:#010x}", p[0]));
}

void CopyQueue::copy(const Dwords& p) {
  const std::size_t bytes = std::size_t{bits(p[1], 0, 30)} + 1;
  const auto* from = at<std::byte>(wide(p[3], p[4]), bytes, false, "copy");
  std::memmove(at<std::byte>(wide(p[5], p[6]), bytes, true, "copy"), from, bytes);
}

void CopyQueue::copy_window(const Dwords& p) {
  const std::uint32_t element = bits(p[0], 29, 3);
  const Window source(&p[1]), target(&p[6]);
  const std::size_t bytes = (std::size_t{bits(p[11], 0, 14)} + 1) << element;
  for (std::uint64_t plane = 0; plane <= bits(p[12], 0, 11); ++plane) {
    for (std::uint64_t line = 0; line <= bits(p[11], 16, 14); ++line) {
      const auto* from = at<std::byte>(source.row(line, plane, element), bytes, false, "copy of a window");
      std::memmove(at<std::byte>(target.row(line, plane, element), bytes, true, "copy of a window"), from, bytes);
    }
  }
}

void CopyQueue::fill(const Dwords& p) {
  if (bits(p[0], 30, 2) != 2) fail("a fill that is not of dwords");
  // The count is that of bytes less one dword.
  const std::size_t dwords = bits(p[4], 0, 22) / 4 + std::size_t{1};
  std::fill_n(at<std::uint32_t>(wide(p[1], p[2]), dwords * 4, true, "fill"), dwords, p[3]);
}

void CopyQueue::atomic(const Dwords& p) {
  if (bits(p[0], 25, 7) != kAdd64) fail(fmt::format("atomic operation {}", bits(p[0], 25, 7)));
  const std::uint64_t address = wide(p[1], p[2]);
  auto* to = at<std::uint64_t>(address, 8, true, "atomic");
  write_and_wake(address, [&] { std::atomic_ref(*to).fetch_add(wide(p[3], p[4])); });
}

bool CopyQueue::poll(const Dwords& p) {
  constexpr std::uint32_t kEqual = 3;
  if (bits(p[0], 31, 1) == 0) return true;  // of a register: a flush of what the host wrote
  if (bits(p[0], 28, 3) != kEqual) fail(fmt::format("poll by function {}", bits(p[0], 28, 3)));
  auto* word = at<std::uint32_t>(wide(p[1], p[2]), 4, false, "poll");
  return wait_until([&] { return (std::atomic_ref(*word).load(std::memory_order_acquire) & p[4]) == p[3]; });
}

template <typename T>
T* CopyQueue::at(std::uint64_t address, std::size_t bytes, bool written, const char* what) {
  const Memory& memory = device_.emulator.memory();
  const Allocation* a = memory.find(address, bytes);
  if (!a) fail(fmt::format("{}: {}", what, memory.explain(address, bytes)));
  if (written && !a->writable) fail(fmt::format("{} to {:#x}, which is read-only: {}", what, address, a->what));
  if (address % std::min(alignof(T), alignof(std::uint64_t)) != 0)
    fail(fmt::format("{} at {:#x}, which is not aligned", what, address));
  return reinterpret_cast<T*>(address);
}

template <typename Write>
void CopyQueue::write_and_wake(std::uint64_t address, Write write) {
  // Read first: the signal may be destroyed as soon as its value is there.
  const amd_signal_t* signal = device_.find_signal(address - offsetof(amd_signal_t, value));
  const std::uint32_t event = signal ? signal->event_id : 0;
  write();
  device_.wake(event);
}

void CopyQueue::fail(const std::string& why) const {
  fmt::print(stderr, "wavetile-rocm-model: SDMA queue at {:#x}: {}\n", info_.ring, why);
  std::abort();
}

}  // namespace wavetile::emu::model
