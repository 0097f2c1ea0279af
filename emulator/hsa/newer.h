// What later versions of the HSA headers define and those of ROCm 5.2.3, against which this is compiled, do not.
// Source: ROCm/ROCR-Runtime, runtime/hsa-runtime/inc/hsa_ext_amd.h, as of ROCm 6.2.
#pragma once

#include <cstdint>

namespace wavetile::emu::hsa {

// hsa_amd_agent_info_t
inline constexpr unsigned kAgentInfoMemoryAvailable = 0xA015, kAgentInfoTimestampFrequency = 0xA016,
                          kAgentInfoAsicFamilyId = 0xA107, kAgentInfoUcodeVersion = 0xA108,
                          kAgentInfoSdmaUcodeVersion = 0xA109, kAgentInfoSdmaEngines = 0xA10A,
                          kAgentInfoSdmaXgmiEngines = 0xA10B, kAgentInfoIommuSupport = 0xA110, kAgentInfoXccs = 0xA111,
                          kAgentInfoDriverUid = 0xA112, kAgentInfoNearestCpu = 0xA113,
                          kAgentInfoMemoryProperties = 0xA114, kAgentInfoAqlExtensions = 0xA115;

// hsa_amd_memory_property_t: the number of a bit, as its macros hsa_flag_isset64 and hsa_flag_set64 take it, though it
// is written there as 1 << 0.
inline constexpr unsigned kMemoryPropertyIsApu = 1;

// hsa_amd_memory_pool_info_t, and the values of the first
inline constexpr unsigned kPoolInfoLocation = 17, kPoolInfoRecommendedGranule = 18;
inline constexpr std::uint32_t kPoolLocationCpu = 0, kPoolLocationGpu = 1;

}  // namespace wavetile::emu::hsa
