// The instructions that LLVM's tables hold for a chip, by encoding: found by disassembling one dummy word for every
// opcode number, since the tables themselves are private to LLVM.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/decode.h"

namespace wavetile::emu {

/// Mnemonics of one encoding, each with the bytes of one instruction that disassembles as it.
struct OpcodeClass {
  std::string name;  // as in AMD's ISA documents: "SOP2", "VOP3", "VOP2 DPP16", "VOPD X", "GLOBAL", ...
  std::map<std::string, std::vector<std::byte>> mnemonics;
};

/// The classes that compute kernels use. Left out: image, export, interpolation, typed buffers, and what
/// opcode_space.cpp lists with its reasons.
std::vector<OpcodeClass> opcode_space(const Chip& chip, int lanes);
/// The class in which opcode_space() lists an instruction; of a dual instruction give the half and which it is.
std::string opcode_class(const Chip& chip, const Instruction& instruction, bool second_half = false);

}  // namespace wavetile::emu
