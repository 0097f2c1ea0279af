// From a dispatch to waves whose registers are as the hardware sets them up.
#pragma once

#include <array>
#include <memory>

#include "emulator/wave.h"

namespace wavetile::emu {

/// The AQL packet of a dispatch that came without one, in memory that kernels may read while it lives.
class DispatchPacket {
 public:
  DispatchPacket(Memory& memory, const Dispatch& dispatch);
  ~DispatchPacket();
  DispatchPacket(const DispatchPacket&) = delete;
  DispatchPacket& operator=(const DispatchPacket&) = delete;
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(words_.data()); }

 private:
  Memory& memory_;
  alignas(64) std::array<std::uint32_t, 16> words_{};
};

/// Fills a launch from the kernel's descriptor, and refuses what the hardware would: the text of the refusal, empty
/// when the dispatch is good. Does not touch program, monitor, sink and line.
std::string prepare_launch(Launch& launch, const Dispatch& dispatch, const Chip& chip, Memory& memory);

/// Whether the kernel asks for its packet.
bool reads_packet(const Launch& launch);

/// The address of the first instruction executed.
std::uint64_t entry_address(const Launch& launch);

/// A workgroup with its LDS, scratch and waves, ready to run. What the hardware leaves undefined holds noise made from
/// `seed`, the same in every run.
std::unique_ptr<Workgroup> make_workgroup(const Launch& launch, std::array<std::uint32_t, 3> id, std::uint64_t seed);

/// The registers that make_workgroup() gave values that mean something.
std::vector<RegisterRange> initial_registers(const Launch& launch);

/// Workgroups of this launch that a compute unit holds at a time, by its registers, LDS and wave slots; at least 1.
int workgroups_per_compute_unit(const Launch& launch);
/// Waves of this launch that a SIMD holds at a time: what tools call occupancy.
int waves_per_simd(const Launch& launch);

}  // namespace wavetile::emu
