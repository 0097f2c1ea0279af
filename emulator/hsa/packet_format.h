// AQL packets as both HSA shells read them: what can be said of a packet without knowing the kernel.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "emulator/emulator.h"

namespace wavetile::emu::hsa {

/// Work-items of a workgroup, at most, on every chip.
inline constexpr std::uint32_t kMostWorkgroup = 1024;

union Packet {
  std::uint16_t header;
  hsa_kernel_dispatch_packet_t dispatch;
  hsa_barrier_and_packet_t barrier;  // -or has the same fields
  hsa_amd_barrier_value_packet_t barrier_value;
};
static_assert(sizeof(Packet) == 64);

struct PacketError {
  hsa_status_t status;
  std::string text;
};

inline unsigned packet_type(std::uint16_t header) { return header & 0xff; }
Scope acquire_of(std::uint16_t header);
Scope release_of(std::uint16_t header);
hsa_signal_t completion_signal(const Packet& packet);

/// Whether a handle that is not 0 is that of a signal.
using IsSignal = std::function<bool(hsa_signal_t)>;

/// Of all types: header, reserved fields, the completion signal and those waited for.
std::optional<PacketError> check_format(const Packet& packet, const IsSignal& is_signal);
/// Of a kernel dispatch, after check_format: its grid and workgroup.
std::optional<PacketError> check_sizes(const hsa_kernel_dispatch_packet_t& packet);

/// value <condition> reference
bool satisfied(hsa_signal_condition_t condition, hsa_signal_value_t value, hsa_signal_value_t reference);

/// Whether a barrier packet waits no longer. `value` gives that of a signal.
template <typename Value>
bool barrier_passes(const Packet& packet, Value value) {
  switch (packet_type(packet.header)) {
    case HSA_PACKET_TYPE_BARRIER_AND:
      return std::ranges::all_of(packet.barrier.dep_signal,
                                 [&](hsa_signal_t s) { return s.handle == 0 || value(s) == 0; });
    case HSA_PACKET_TYPE_BARRIER_OR:
      return std::ranges::any_of(packet.barrier.dep_signal,
                                 [&](hsa_signal_t s) { return s.handle != 0 && value(s) == 0; });
    default: {
      const hsa_amd_barrier_value_packet_t& p = packet.barrier_value;
      return p.signal.handle == 0 ||
             satisfied(static_cast<hsa_signal_condition_t>(p.cond), value(p.signal) & p.mask, p.value);
    }
  }
}

/// The dispatch that a packet asks for: the one at `position`, counted from the queue's first, which lies at `packet`.
Dispatch dispatch_of(const hsa_kernel_dispatch_packet_t& p, const void* packet, const void* queue,
                     std::uint64_t position);

/// How the report of a kernel that was stopped is told to the queue's callback.
hsa_status_t status_of(const Report& report);

}  // namespace wavetile::emu::hsa
