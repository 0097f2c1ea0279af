// Every field that selects an instruction is walked; fields that only name operands take the few values that make some
// operand of each register file legal, because the disassembler refuses, say, a vector register as a lane select.
#include "emulator/opcode_space.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <set>

namespace wavetile::emu {
namespace {

using Words = std::array<std::uint32_t, 4>;

constexpr std::uint32_t kVgpr0 = 256, kDpp16 = 0xfa, kDpp8 = 0xe9, kSdwa = 0xf9, kExecLow = 126, kLiteral = 0x1234;

// In the tables, but nothing that LLVM puts into a compute kernel: graphics and ray tracing (interpolation, parameter
// loads, typed buffers, ordered counts, BVH stacks, GS registers), global wave sync, scalar stores and atomics and the
// scalar scratch of other GFX9 chips, probes of address translation, and v_illegal, which is no instruction.
bool excluded(std::string_view mnemonic) {
  static constexpr std::string_view kPrefixes[] = {
      "ds_gws_",         "ds_ordered_count", "ds_bvh_stack", "ds_add_gs_reg",    "ds_sub_gs_reg",
      "lds_param_",      "tbuffer",          "s_atomic_",    "s_buffer_atomic_", "s_store_",
      "s_buffer_store_", "s_scratch_",       "s_atc_probe",  "s_dcache_discard", "v_illegal"};
  return mnemonic.find("interp") != std::string_view::npos || mnemonic.find("_format_") != std::string_view::npos ||
         std::ranges::any_of(kPrefixes, [&](std::string_view p) { return mnemonic.starts_with(p); });
}

class Walker {
 public:
  Walker(const Chip& chip, int lanes) : chip_(chip), decoder_(chip, lanes) {}

  void operator()(const Words& words) {
    std::array<std::byte, sizeof(Words)> bytes;
    std::memcpy(bytes.data(), words.data(), sizeof(Words));
    const auto in = decoder_.decode(bytes, 0);
    if (!in) return;
    add(*in, false, bytes);
    if (in->second) add(*in->second, true, bytes, in->bytes);
  }
  std::vector<OpcodeClass> take() {
    std::vector<OpcodeClass> out;
    for (auto& [name, mnemonics] : classes_) out.push_back({name, std::move(mnemonics)});
    return out;
  }

 private:
  void add(const Instruction& in, bool second, const std::array<std::byte, sizeof(Words)>& bytes,
           std::size_t size = 0) {
    if (excluded(in.mnemonic)) return;
    const std::string name = opcode_class(chip_, in, second);
    if (name.empty()) return;
    classes_[name].try_emplace(in.mnemonic, bytes.begin(), bytes.begin() + (size ? size : in.bytes));
  }

  const Chip& chip_;
  Decoder decoder_;
  std::map<std::string, std::map<std::string, std::vector<std::byte>>> classes_;
};

void walk_scalar(Walker& visit) {
  for (std::uint32_t op = 0; op < 128; ++op) visit({0x80000000u | op << 23, kLiteral});
  for (std::uint32_t op = 0; op < 32; ++op) visit({0xb0000000u | op << 23, kLiteral});
  for (std::uint32_t op = 0; op < 256; ++op) visit({0xbe800000u | op << 8});
  for (std::uint32_t op = 0; op < 128; ++op) {
    visit({0xbf000000u | op << 16});
    visit({0xbf800000u | op << 16});
  }
}

// The second dword of a DPP or SDWA instruction: row_shl:1 with full masks; dword selects.
void walk_short_vector(Walker& visit, Family family) {
  constexpr std::uint32_t dpp = 0xff010100u, sdwa = 0x06060600u | 0x600u;
  const auto forms = [&](std::uint32_t word) {
    visit({word | kVgpr0, kLiteral});
    visit({word, kLiteral});  // readfirstlane and its like
    visit({word | kDpp16, dpp});
    if (family == Family::cdna3) {
      visit({word | kSdwa, sdwa});
      visit({word | kSdwa, sdwa & 0xffffffu});  // without a second source
    } else {
      visit({word | kDpp8, 0u});
    }
  };
  for (std::uint32_t op = 0; op < 256; ++op) {
    forms(0x7e000000u | op << 9);
    forms(0x7c000000u | op << 17);
  }
  for (std::uint32_t op = 0; op < 64; ++op) forms(op << 25);
  for (std::uint32_t op = 0; op < 256; ++op) {  // comparisons of SDWA: another layout of the second dword
    if (family == Family::cdna3) visit({0x7c000000u | op << 17 | kSdwa, 0x06060000u});
  }
}

constexpr std::uint32_t sources(std::uint32_t a, std::uint32_t b, std::uint32_t c) { return a | b << 9 | c << 18; }

void walk_long_vector(Walker& visit, Family family) {
  const std::uint32_t vop3 = family == Family::cdna3 ? 0xd0000000u : 0xd4000000u;
  for (std::uint32_t op = 0; op < 1024; ++op) {
    for (std::uint32_t mix = 0; mix < 8; ++mix) {
      const std::uint32_t a = mix & 1 ? kVgpr0 : 0, b = mix & 2 ? kVgpr0 : 0, c = mix & 4 ? kVgpr0 : 0;
      for (const std::uint32_t to : {0u, kExecLow}) {  // comparisons that write EXEC name it
        const std::uint32_t head = vop3 | op << 16 | to;
        visit({head, sources(a, b, c)});
        if (family == Family::cdna3) continue;
        visit({head, sources(kDpp16, b, c), 0xff010100u});
        visit({head, sources(kDpp8, b, c), 0u});
      }
    }
  }
  const std::uint32_t vop3p = family == Family::cdna3 ? 0xd3800000u : 0xcc000000u;
  for (std::uint32_t op = 0; op < 128; ++op) {
    for (const std::uint32_t op_sel_hi : {0u, 0x18000000u}) {
      for (std::uint32_t mix = 0; mix < 8; ++mix) {
        const std::uint32_t a = mix & 1 ? kVgpr0 : 0, b = mix & 2 ? kVgpr0 : 0, c = mix & 4 ? kVgpr0 : 0;
        const std::uint32_t head = vop3p | op << 16 | (op_sel_hi ? 1u << 14 : 0u);
        visit({head, sources(a, b, c) | op_sel_hi});
        if (family == Family::cdna3) continue;
        visit({head, sources(kDpp16, b, c) | op_sel_hi, 0xff010100u});
        visit({head, sources(kDpp8, b, c) | op_sel_hi, 0u});
      }
    }
  }
}

// Both halves read their own registers, and write an even and an odd one.
void walk_dual(Walker& visit) {
  for (std::uint32_t x = 0; x < 16; ++x) {
    for (std::uint32_t y = 0; y < 32; ++y) {
      visit({0xc8000000u | x << 22 | y << 17 | 2u << 9 | (kVgpr0 + 1), 1u << 17 | 1u << 9 | kVgpr0, kLiteral});
    }
  }
}

void walk_memory(Walker& visit, Family family) {
  const bool cdna = family == Family::cdna3;
  const int ds_shift = cdna ? 17 : 18;
  constexpr std::uint32_t kNoScalar = 124;
  for (std::uint32_t op = 0; op < 256; ++op) {
    if (cdna) {
      visit({0xc0000000u | op << 18 | 1u << 17, 0u});  // an immediate offset
    } else {
      visit({0xf4000000u | op << 18, kNoScalar << 25});
    }
    visit({0xd8000000u | op << ds_shift, 0u});
    visit({0xd8000000u | op << ds_shift | 1u << (cdna ? 16 : 17), 0u});  // GDS
  }
  for (std::uint32_t op = 0; op < 128; ++op) {
    for (std::uint32_t segment = 0; segment < 3; ++segment) {
      for (const std::uint32_t bits : {0u, cdna ? 1u << 16 : 1u << 14, 1u << 13}) {  // a returning atomic; to LDS
        const std::uint32_t head = 0xdc000000u | op << 18 | segment << (cdna ? 14 : 16) | bits;
        visit({head, (!cdna ? kNoScalar : segment == 0 ? 0u : 0x7fu) << 16});
      }
    }
  }
  for (std::uint32_t op = 0; op < 256; ++op) {
    for (const std::uint32_t bits : {0u, 1u << 14, 1u << 16}) {
      if (!cdna) visit({0xe0000000u | op << 18 | bits, 0u});
      if (cdna && op < 128) visit({0xe0000000u | op << 18 | bits, 0u});
    }
  }
}

std::uint32_t dword(const Instruction& in, std::size_t i) {
  std::uint32_t word = 0;
  if (in.raw.size() >= 4 * i + 4) std::memcpy(&word, in.raw.data() + 4 * i, 4);
  return word;
}

std::string form(const std::string& name, std::uint32_t source0, Family family) {
  if (source0 == kDpp16) return name + " DPP16";
  if (family == Family::cdna3) return source0 == kSdwa ? name + " SDWA" : name;
  return source0 == kDpp8 || source0 == kDpp8 + 1 ? name + " DPP8" : name;
}

std::string scalar_class(std::uint32_t word) {
  if (word >> 23 == 0b101111101) return "SOP1";
  if (word >> 23 == 0b101111110) return "SOPC";
  if (word >> 23 == 0b101111111) return "SOPP";
  return word >> 28 == 0b1011 ? "SOPK" : "SOP2";
}

}  // namespace

std::string opcode_class(const Chip& chip, const Instruction& in, bool second_half) {
  const Family family = chip.family;
  const bool cdna = family == Family::cdna3;
  if (in.mnemonic.substr(0, 7) == "v_dual_") return second_half ? "VOPD Y" : "VOPD X";
  const std::uint32_t word = dword(in, 0);
  if (word >> 31 == 0) {
    const std::string name = word >> 25 == 0b0111111 ? "VOP1" : word >> 25 == 0b0111110 ? "VOPC" : "VOP2";
    return form(name, word & 0x1ff, family);
  }
  if (word >> 30 == 0b10) return scalar_class(word);
  const std::uint32_t source0 = dword(in, 1) & 0x1ff;
  switch (word >> 26) {
    case 0b110000:
      return cdna ? "SMEM" : "";
    case 0b110011:
      return cdna || word >> 24 != 0xcc ? "" : form("VOP3P", source0, family);
    case 0b110100:
      return !cdna                       ? ""
             : word >> 23 != 0b110100111 ? "VOP3"
             : in.mnemonic.find("mfma") != std::string::npos || in.mnemonic.find("smfmac") != std::string::npos ||
                     in.mnemonic.find("accvgpr") != std::string::npos
                 ? "VOP3P-MAI"
                 : "VOP3P";
    case 0b110101:
      return cdna ? "" : form("VOP3", source0, family);
    case 0b110110:
      return "DS";
    case 0b110111: {
      static constexpr std::array<const char*, 4> kSegments{"FLAT", "SCRATCH", "GLOBAL", ""};
      return kSegments[word >> (cdna ? 14 : 16) & 3];
    }
    case 0b111000:
      return "MUBUF";
    case 0b111101:
      return cdna ? "" : "SMEM";
    default:
      return "";
  }
}

std::vector<OpcodeClass> opcode_space(const Chip& chip, int lanes) {
  Walker visit(chip, lanes);
  walk_scalar(visit);
  walk_short_vector(visit, chip.family);
  walk_long_vector(visit, chip.family);
  if (chip.family == Family::rdna3) walk_dual(visit);
  walk_memory(visit, chip.family);
  return visit.take();
}

}  // namespace wavetile::emu
