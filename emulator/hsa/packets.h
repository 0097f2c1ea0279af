// AQL packets: the checks that a packet processor makes before it acts on one.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <cstdint>
#include <optional>
#include <string>

#include "emulator/emulator.h"
#include "emulator/hsa/executables.h"

namespace wavetile::emu::hsa {

class Signals;

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

/// Of all types: header, reserved fields, the completion signal and those waited for.
std::optional<PacketError> check_packet(const Packet& packet, const Signals& signals);
/// Of kernel dispatches, after check_packet. `kernel` is what launchable() gave.
std::optional<PacketError> check_dispatch(const hsa_kernel_dispatch_packet_t& packet,
                                          const Executables::Launchable& kernel, const Chip& chip,
                                          const Memory& memory);
hsa_signal_t completion_signal(const Packet& packet);

/// How the report of a kernel that was stopped is told to the queue's callback.
hsa_status_t status_of(const Report& report);

}  // namespace wavetile::emu::hsa
