#include "codegen/emit.h"

#include <llvm/CodeGen/CodeGenTargetMachineImpl.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/raw_ostream.h>

#include "dsl/error.h"

namespace wavetile {
namespace {

// Without a handler an error diagnostic ends the process.
struct Diagnostics : llvm::DiagnosticHandler {
  explicit Diagnostics(std::string* errors) : errors_(errors) {}
  bool handleDiagnostics(const llvm::DiagnosticInfo& d) override {
    if (d.getSeverity() != llvm::DS_Error) return true;
    llvm::raw_string_ostream out(*errors_);
    llvm::DiagnosticPrinterRawOStream printer(out);
    d.print(printer);
    out << '\n';
    return true;
  }

 private:
  std::string* errors_;
};

}  // namespace

void optimise(llvm::Module& m, llvm::TargetMachine& tm) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopUnrolling = false;
  tuning.LoopInterleaving = false;
  llvm::PassBuilder pb(&tm, tuning);
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  pb.registerModuleAnalyses(mam);
  pb.registerCGSCCAnalyses(cgam);
  pb.registerFunctionAnalyses(fam);
  pb.registerLoopAnalyses(lam);
  pb.crossRegisterProxies(lam, fam, cgam, mam);
  pb.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(m, mam);
}

// TargetMachine::addPassesToEmitFile, without the machine scheduler.
static bool add_passes_in_order(llvm::legacy::PassManager& pm, llvm::TargetMachine& tm, llvm::raw_pwrite_stream& out,
                                llvm::CodeGenFileType type) {
  auto& impl = static_cast<llvm::CodeGenTargetMachineImpl&>(tm);
  auto* info = new llvm::MachineModuleInfoWrapperPass(&tm);  // the pass manager owns it
  llvm::TargetPassConfig* config = impl.createPassConfig(pm);
  config->setDisableVerify(true);
  config->disablePass(&llvm::MachineSchedulerID);
  pm.add(config);
  pm.add(info);
  if (config->addISelPasses()) return true;
  config->addMachinePasses();
  config->setInitialized();
  if (impl.addAsmPrinter(pm, out, nullptr, type, info->getMMI().getContext())) return true;
  pm.add(llvm::createFreeMachineFunctionPass());
  return false;
}

std::vector<char> emit(llvm::Module& m, llvm::TargetMachine& tm, llvm::CodeGenFileType type, bool in_order) {
  std::string errors;
  auto before = m.getContext().getDiagnosticHandler();
  m.getContext().setDiagnosticHandler(std::make_unique<Diagnostics>(&errors));
  llvm::SmallVector<char, 0> bytes;
  {
    llvm::raw_svector_ostream out(bytes);
    llvm::legacy::PassManager pm;
    if (in_order ? add_passes_in_order(pm, tm, out, type) : tm.addPassesToEmitFile(pm, out, nullptr, type))
      throw InternalError("LLVM cannot write this kind of file");
    pm.run(m);
  }
  m.getContext().setDiagnosticHandler(std::move(before));
  if (!errors.empty()) throw InternalError("LLVM: " + errors);
  return {bytes.begin(), bytes.end()};
}

}  // namespace wavetile
