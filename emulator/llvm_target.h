// LLVM's tables of one AMD chip, as the decoder and the assembler need them. Includes LLVM: for their sources alone.
#pragma once

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/TargetParser/Triple.h>

#include "emulator/chip.h"

extern "C" {
void LLVMInitializeAMDGPUTargetInfo();
void LLVMInitializeAMDGPUTargetMC();
void LLVMInitializeAMDGPUDisassembler();
void LLVMInitializeAMDGPUAsmParser();
}

namespace wavetile::emu {

struct LlvmTarget {
  llvm::Triple triple{"amdgcn-amd-amdhsa"};
  llvm::MCTargetOptions options;
  const llvm::Target* target = nullptr;
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembly;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;

  LlvmTarget(const Chip& chip, int lanes) {
    static std::once_flag once;
    std::call_once(once, [] {
      LLVMInitializeAMDGPUTargetInfo();
      LLVMInitializeAMDGPUTargetMC();
      LLVMInitializeAMDGPUDisassembler();
      LLVMInitializeAMDGPUAsmParser();
    });
    std::string error;
    target = llvm::TargetRegistry::lookupTarget(triple, error);
    if (!target) throw std::runtime_error("LLVM has no AMDGPU target: " + error);
    registers.reset(target->createMCRegInfo(triple));
    assembly.reset(target->createMCAsmInfo(*registers, triple, options));
    instructions.reset(target->createMCInstrInfo());
    // A chip that knows one size only takes no word on it.
    const std::string features = !chip.wave32 ? "" : lanes == 64 ? "+wavefrontsize64" : "+wavefrontsize32";
    subtarget.reset(target->createMCSubtargetInfo(triple, chip.name, features));
  }
};

}  // namespace wavetile::emu
