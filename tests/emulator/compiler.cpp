#include "tests/emulator/compiler.h"

#include <memory>
#include <mutex>
#include <stdexcept>

#include <llvm/AsmParser/Parser.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/SourceMgr.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include "codegen/amdgpu_target.h"

namespace wavetile::emu {

std::vector<std::byte> compile_ir(std::string_view chip, std::string_view ir, const std::string& features,
                                  int optimisation) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    LLVMInitializeAMDGPUAsmParser();
  });
  llvm::LLVMContext context;
  llvm::SMDiagnostic problem;
  const std::string text(ir);
  const std::unique_ptr<llvm::Module> module = llvm::parseAssemblyString(text, problem, context);
  if (!module) {
    std::string words;
    llvm::raw_string_ostream stream(words);
    problem.print("", stream, false);
    throw std::runtime_error(words);
  }
  const llvm::Triple triple("amdgcn-amd-amdhsa");
  std::string error;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target) throw std::runtime_error(error);
  const std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, std::string(chip), features, {}, llvm::Reloc::PIC_, std::nullopt,
                                  static_cast<llvm::CodeGenOptLevel>(optimisation)));
  module->setTargetTriple(triple);
  module->setDataLayout(machine->createDataLayout());
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile)) {
    throw std::runtime_error("the target emits no objects");
  }
  passes.run(*module);
  const std::vector<char> linked = link_code_object({object.begin(), object.end()});
  const auto* begin = reinterpret_cast<const std::byte*>(linked.data());
  return {begin, begin + linked.size()};
}

}  // namespace wavetile::emu
