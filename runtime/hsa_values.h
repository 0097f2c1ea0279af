// What later versions of the HSA headers define and those of ROCm 5.2.3, against which this is compiled, do not. A
// runtime that refuses one of them is an older one: what it would tell is then unknown, which is never an error.
// Source: ROCm/ROCR-Runtime, runtime/hsa-runtime/inc/hsa_ext_amd.h, as of ROCm 6.2.
#pragma once

namespace wavetile::hsa {

/// hsa_amd_agent_info_t: ticks a second of the clock that stamps packets.
inline constexpr unsigned kAgentInfoTimestampFrequency = 0xA016;
/// hsa_amd_agent_info_t: 8 bytes of flags.
inline constexpr unsigned kAgentInfoMemoryProperties = 0xA114;
/// hsa_amd_memory_property_t: the number of a bit, as the macro hsa_flag_isset64 takes it, though it is written there
/// as 1 << 0.
inline constexpr unsigned kMemoryPropertyIsApu = 1;

/// The oldest interface of the runtime (HSA_SYSTEM_INFO_VERSION_*) that has all functions that are called here.
inline constexpr unsigned kOldestMajor = 1, kOldestMinor = 1;

}  // namespace wavetile::hsa
