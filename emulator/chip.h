// The chips that the emulator knows, as numbers: what differs between them and is not in an instruction's encoding.
#pragma once

#include <span>
#include <string_view>

namespace wavetile::emu {

enum class Family { rdna3, cdna3 };

struct Chip {
  std::string_view name;     // as LLVM's -mcpu
  std::string_view product;  // as the HSA agent's product name
  Family family;
  int native_lanes;         // the wave size of a kernel that does not ask for another
  bool wave32;              // kernels may be compiled for 32 lanes
  int compute_units;        // of the whole chip; the unit of LDS and occupancy (a half of an RDNA3 WGP)
  int simds;                // of a compute unit
  int waves_per_simd;       // at most, whatever they use
  int vgprs_per_simd;       // a lane's registers in the file of one SIMD, shared by its waves (of native_lanes lanes)
  int vgpr_granule;         // allocation unit of VGPRs, at native_lanes
  int max_vgprs;            // that an instruction can name: v0..; accumulation registers come on top
  bool accumulation_vgprs;  // a0.. exist, in the same file (CDNA)
  int sgprs;                // that a wave may name, without VCC
  unsigned lds_bytes;       // of a workgroup at most
  int cache_line;           // bytes, of the L2
  unsigned elf_mach;        // EF_AMDGPU_MACH of e_flags
  bool apu;                 // shares its memory with the host
};

std::span<const Chip> chips();
/// nullptr when the name is none of them.
const Chip* find_chip(std::string_view name);

}  // namespace wavetile::emu
