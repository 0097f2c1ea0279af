#include "codegen/testing/compile_ir.h"

#include <fmt/format.h>
#include <llvm/AsmParser/Parser.h>
#include <llvm/ExecutionEngine/Orc/AbsoluteSymbols.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SourceMgr.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include "codegen/amdgpu_target.h"
#include "codegen/compile.h"
#include "codegen/emit.h"
#include "dsl/error.h"

namespace wavetile {
namespace {

std::unique_ptr<llvm::Module> parse(const std::string& ir, llvm::LLVMContext& context, const llvm::TargetMachine& tm) {
  llvm::SMDiagnostic problem;
  // The layout decides what pointers are, so it comes before the text.
  auto module = llvm::parseAssemblyString("target datalayout = \"" + tm.createDataLayout().getStringRepresentation() +
                                              "\"\ntarget triple = \"" + tm.getTargetTriple().str() + "\"\n" + ir,
                                          problem, context);
  if (!module) {
    std::string words;
    llvm::raw_string_ostream out(words);
    problem.print("ir", out, false);
    throw InternalError("LLVM cannot read the text: " + words);
  }
  std::string words;
  llvm::raw_string_ostream out(words);
  if (llvm::verifyModule(*module, &out)) throw InternalError("LLVM finds the text broken: " + words);
  return module;
}

llvm::CodeGenOptLevel level(int generate) { return *llvm::CodeGenOpt::getLevel(generate); }

void optimise_all(llvm::Module& m, llvm::TargetMachine& tm, int effort) {
  if (effort == 0) return;
  llvm::PassBuilder pb(&tm);
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  pb.registerModuleAnalyses(mam);
  pb.registerCGSCCAnalyses(cgam);
  pb.registerFunctionAnalyses(fam);
  pb.registerLoopAnalyses(lam);
  pb.crossRegisterProxies(lam, fam, cgam, mam);
  const llvm::OptimizationLevel levels[] = {llvm::OptimizationLevel::O1, llvm::OptimizationLevel::O2,
                                            llvm::OptimizationLevel::O3};
  pb.buildPerModuleDefaultPipeline(levels[effort - 1]).run(m, mam);
}

std::unique_ptr<llvm::TargetMachine> machine(const std::string& triple_name, const std::string& cpu,
                                             const std::string& features, int generate) {
  std::string error;
  const llvm::Triple triple(triple_name);
  const llvm::Target* t = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!t) throw InternalError(error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(
      t->createTargetMachine(triple, cpu, features, options, llvm::Reloc::PIC_, std::nullopt, level(generate)));
}

std::vector<char> compile_amd(const std::string& ir, const std::string& chip, int lanes, IrEffort effort,
                              llvm::CodeGenFileType type) {
  static const TargetPtr initialised = amdgpu_target("gfx942");  // its constructor registers the back end
  auto tm = machine("amdgcn-amd-amdhsa", chip, fmt::format("+wavefrontsize{}", lanes), effort.generate);
  llvm::LLVMContext context;
  auto module = parse(ir, context, *tm);
  optimise_all(*module, *tm, effort.optimise);
  return emit(*module, *tm, type);
}

class Jit : public HostCode {
 public:
  Jit(std::span<const char> object, std::span<const HostSymbol> symbols) {
    jit_ = checked(llvm::orc::LLJITBuilder().create());
    auto& library = jit_->getMainJITDylib();
    llvm::orc::SymbolMap map;
    for (const HostSymbol& s : symbols)
      map[jit_->mangleAndIntern(s.name)] = {llvm::orc::ExecutorAddr::fromPtr(s.address),
                                            llvm::JITSymbolFlags::Exported};
    check(library.define(llvm::orc::absoluteSymbols(std::move(map))));
    library.addGenerator(checked(
        llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(jit_->getDataLayout().getGlobalPrefix())));
    check(jit_->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy({object.data(), object.size()}, "host")));
  }
  void* symbol(const std::string& name) const override { return checked(jit_->lookup(name)).toPtr<void*>(); }

 private:
  static void check(llvm::Error e) {
    if (e) throw InternalError("loading code: " + llvm::toString(std::move(e)));
  }
  template <class T>
  static T checked(llvm::Expected<T> value) {
    if (!value) check(value.takeError());
    return std::move(*value);
  }
  std::unique_ptr<llvm::orc::LLJIT> jit_;
};

// The same instructions on every machine, and none of those that do not do what the IR says: AVX-512's conversions to
// bf16 flush denormals.
std::string reference_cpu() {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86()) return llvm::sys::getHostCPUName().str();
  const auto features = llvm::sys::getHostCPUFeatures();
  return features.lookup("avx2") && features.lookup("fma") ? "x86-64-v3" : "x86-64";
}

}  // namespace

std::vector<char> compile_code_object(const std::string& ir, const std::string& chip, int lanes, IrEffort effort) {
  return link_code_object(compile_amd(ir, chip, lanes, effort, llvm::CodeGenFileType::ObjectFile));
}

std::string compile_assembly(const std::string& ir, const std::string& chip, int lanes, IrEffort effort) {
  auto text = compile_amd(ir, chip, lanes, effort, llvm::CodeGenFileType::AssemblyFile);
  return {text.begin(), text.end()};
}

std::unique_ptr<HostCode> compile_host(const std::string& ir, std::span<const HostSymbol> symbols, IrEffort effort) {
  static const bool once = !llvm::InitializeNativeTarget() && !llvm::InitializeNativeTargetAsmPrinter();
  if (!once) throw InternalError("LLVM has no code generator for this machine");
  auto tm = machine(llvm::sys::getProcessTriple(), reference_cpu(), "", effort.generate);
  llvm::LLVMContext context;
  auto module = parse(ir, context, *tm);
  optimise_all(*module, *tm, effort.optimise);
  return std::make_unique<Jit>(emit(*module, *tm, llvm::CodeGenFileType::ObjectFile), symbols);
}

}  // namespace wavetile
