#include "emulator/chip.h"

#include <algorithm>
#include <array>

namespace wavetile::emu {
namespace {

// Register files, granules and ELF numbers: LLVM's AMDGPU usage document and its GCNProcessors table.
constexpr std::array kChips{
    Chip{.name = "gfx1151",
         .product = "AMD Radeon 8060S (emulated)",
         .family = Family::rdna3,
         .native_lanes = 32,
         .wave32 = true,
         .compute_units = 40,
         .simds = 2,
         .waves_per_simd = 16,
         .vgprs_per_simd = 1536,
         .vgpr_granule = 24,
         .max_vgprs = 256,
         .accumulation_vgprs = false,
         .sgprs = 106,
         .lds_bytes = 65536,
         .cache_line = 128,
         .elf_mach = 0x4a,
         .apu = true},
    Chip{.name = "gfx1100",
         .product = "AMD Radeon RX 7900 XTX (emulated)",
         .family = Family::rdna3,
         .native_lanes = 32,
         .wave32 = true,
         .compute_units = 96,
         .simds = 2,
         .waves_per_simd = 16,
         .vgprs_per_simd = 1536,
         .vgpr_granule = 24,
         .max_vgprs = 256,
         .accumulation_vgprs = false,
         .sgprs = 106,
         .lds_bytes = 65536,
         .cache_line = 128,
         .elf_mach = 0x41,
         .apu = false},
    Chip{.name = "gfx942",
         .product = "AMD Instinct MI300X (emulated)",
         .family = Family::cdna3,
         .native_lanes = 64,
         .wave32 = false,
         .compute_units = 304,
         .simds = 4,
         .waves_per_simd = 8,
         .vgprs_per_simd = 512,
         .vgpr_granule = 8,
         .max_vgprs = 256,
         .accumulation_vgprs = true,
         .sgprs = 102,
         .lds_bytes = 65536,
         .cache_line = 128,
         .elf_mach = 0x4c,
         .apu = false},
};

}  // namespace

std::span<const Chip> chips() { return kChips; }

const Chip* find_chip(std::string_view name) {
  const auto* chip = std::ranges::find(kChips, name, &Chip::name);
  return chip == kChips.end() ? nullptr : chip;
}

}  // namespace wavetile::emu
