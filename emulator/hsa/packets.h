// AQL packets: the checks that a packet processor makes before it acts on one.
#pragma once

#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <cstdint>
#include <optional>
#include <string>

#include "emulator/emulator.h"
#include "emulator/hsa/executables.h"
#include "emulator/hsa/packet_format.h"

namespace wavetile::emu::hsa {

class Signals;

/// Of all types: header, reserved fields, the completion signal and those waited for.
std::optional<PacketError> check_packet(const Packet& packet, const Signals& signals);
/// Of kernel dispatches, after check_packet. `kernel` is what launchable() gave.
std::optional<PacketError> check_dispatch(const hsa_kernel_dispatch_packet_t& packet,
                                          const Executables::Launchable& kernel, const Chip& chip,
                                          const Memory& memory);

}  // namespace wavetile::emu::hsa
