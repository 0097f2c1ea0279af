// The host CPU: a warp is a SIMD register, a block runs on one thread, objects are loaded into this process by ORC.
#include <llvm/ADT/StringMap.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <fmt/format.h>

#include "codegen/compile.h"
#include "codegen/cpu_target.h"
#include "codegen/emit.h"
#include "codegen/vec.h"

namespace wavetile {

using LValue = llvm::Value;

namespace {

void initialise() {
  static const bool once = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser();
    return true;
  }();
  (void)once;
}

// A masked store of one lane, of elements that were just narrowed, is written as wide as they were before: AVX-512 of
// LLVM up to 22 (llvm-project issue 179489, fixed in 23). What stores one lane is therefore a plain store.
void store_single_lanes(llvm::Module& m) {
  std::vector<llvm::CallInst*> calls;
  for (llvm::Function& f : m)
    for (llvm::Instruction& i : llvm::instructions(f))
      if (auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&i);
          call && call->getIntrinsicID() == llvm::Intrinsic::masked_store)
        calls.push_back(call);
  for (llvm::CallInst* call : calls) {
    auto* mask = llvm::dyn_cast<llvm::Constant>(call->getArgOperand(2));
    auto* type = llvm::dyn_cast<llvm::FixedVectorType>(call->getArgOperand(0)->getType());
    if (!mask || !type) continue;
    std::vector<unsigned> lanes;
    for (unsigned i = 0; i < type->getNumElements(); ++i)
      if (llvm::Constant* bit = mask->getAggregateElement(i); !bit || !bit->isZeroValue()) lanes.push_back(i);
    if (lanes.size() != 1) continue;
    Builder b(call);
    LValue* to = b.CreateGEP(type->getElementType(), call->getArgOperand(1), b.getInt32(lanes[0]));
    b.CreateAlignedStore(b.CreateExtractElement(call->getArgOperand(0), b.getInt32(lanes[0])), to,
                         llvm::Align(type->getScalarSizeInBits() / 8));
    call->eraseFromParent();
  }
}

}  // namespace

CpuTarget::CpuTarget(const std::string& level) {
  initialise();
  triple_ = llvm::sys::getProcessTriple();
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  auto has = [&](const char* f) { return host.lookup(f); };
  bool avx512 = has("avx512f") && has("avx512vl") && has("avx512bw") && has("avx512dq"),
       avx2 = has("avx2") && has("fma") && has("f16c");
  if ((level == "avx512" && !avx512) || (level == "avx512bf16" && !(avx512 && has("avx512bf16"))) ||
      (level == "avx2" && !avx2))
    throw Error(fmt::format("this machine's CPU ({}) has no {}", llvm::sys::getHostCPUName().str(), level));
  if (!level.empty() && level != "avx512bf16" && level != "avx512" && level != "avx2" && level != "baseline")
    throw Error(fmt::format("CPU level '{}': say avx512bf16, avx512, avx2 or baseline", level));
  bool wide = (level.empty() || level.starts_with("avx512")) && avx512;
  bool middle = wide || ((level.empty() || level == "avx2") && avx2);
  bool x86 = llvm::Triple(triple_).isX86();
  if (x86 && level == "baseline") {
    cpu_ = "x86-64";
  } else if (x86 && level == "avx2") {
    cpu_ = "x86-64-v3";
  } else {
    cpu_ = llvm::sys::getHostCPUName().str();
    // The CPU's name alone may promise what a hypervisor hides: the full map says so.
    std::vector<std::string> names;
    for (const auto& f : host) names.push_back((f.second ? "+" : "-") + f.first().str());
    std::sort(names.begin(), names.end());
    for (const auto& n : names) features_ += (features_.empty() ? "" : ",") + n;
  }
  caps_.name = "cpu";
  caps_.simd = true;
  caps_.lanes = wide ? 16 : middle ? 8 : 4;
  caps_.max_registers = wide ? 64 : 32;  // past the machine's own they live on the stack, which is L1
  caps_.accumulators = wide ? 24 : 12;
  // vdpbf16ps does twice the work of an f32 multiply-add on Zen 4 and 5. On a Xeon of the Sapphire Rapids kind it was
  // measured at half the speed of the multiply-adds that it replaces (88 and 171 GFLOP/s a core).
  bool pays = cpu_ == "znver4" || cpu_ == "znver5";
  caps_.bf16_dot = wide && has("avx512bf16") && (level == "avx512bf16" || (level.empty() && pays));
}

std::string CpuTarget::identity() const { return fmt::format("{} {} {}", triple_, cpu_, features_); }

std::unique_ptr<llvm::TargetMachine> CpuTarget::machine() const {
  std::string error;
  llvm::Triple triple(triple_);
  const llvm::Target* t = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!t) throw Error(fmt::format("LLVM has no code generator for this machine ({}): {}", triple_, error));
  llvm::TargetOptions options;
  // Products are fused where the code says so (fmuladd), never on the optimiser's own account.
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(t->createTargetMachine(
      triple, cpu_, features_, options, llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Default, true));
}

void CpuTarget::prepare(llvm::Module& m) const {
  auto tm = machine();
  m.setTargetTriple(llvm::Triple(triple_));
  m.setDataLayout(tm->createDataLayout());
}

Entry CpuTarget::begin_kernel(llvm::Module& m, Builder& b, const std::string& symbol, int slots, int) const {
  auto& c = m.getContext();
  llvm::Type *p = llvm::PointerType::get(c, 0), *i64 = llvm::Type::getInt64Ty(c);
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(c), parameters(p, i64), false);
  auto* f = llvm::Function::Create(type, llvm::Function::ExternalLinkage, symbol, m);
  f->addFnAttr("target-cpu", cpu_);
  f->addFnAttr("target-features", features_);
  f->addFnAttr("prefer-vector-width", "512");
  f->addFnAttr(llvm::Attribute::NoUnwind);
  f->addParamAttr(0, llvm::Attribute::ReadOnly);
  f->addParamAttr(0, llvm::Attribute::NoAlias);
  b.SetInsertPoint(llvm::BasicBlock::Create(c, "entry", f));
  Entry e{f, {}};
  for (int i = 0; i < slots; ++i)
    e.args.push_back(
        b.CreateAlignedLoad(i64, b.CreateConstGEP1_64(i64, f->getArg(0), static_cast<uint64_t>(i)), llvm::Align(8)));
  return e;
}

void CpuTarget::run_blocks(Builder& b, const Entry& e, const std::function<void(LValue*)>& body) const {
  auto& c = b.getContext();
  LValue *begin = e.function->getArg(1), *end = e.function->getArg(2);
  auto* before = b.GetInsertBlock();
  auto* loop = llvm::BasicBlock::Create(c, "block", e.function);
  auto* done = llvm::BasicBlock::Create(c, "exit", e.function);
  b.CreateCondBr(b.CreateICmpSLT(begin, end), loop, done);
  b.SetInsertPoint(loop);
  auto* i = b.CreatePHI(b.getInt64Ty(), 2);
  i->addIncoming(begin, before);
  body(b.CreateTrunc(i, b.getInt32Ty()));
  LValue* next = b.CreateAdd(i, b.getInt64(1));
  i->addIncoming(next, b.GetInsertBlock());
  b.CreateCondBr(b.CreateICmpSLT(next, end), loop, done);
  b.SetInsertPoint(done);
  b.CreateRetVoid();
}

LValue* CpuTarget::lane_id(Builder&) const { throw InternalError("cpu: lanes are explicit"); }
LValue* CpuTarget::warp_id(Builder& b) const { return b.getInt32(0); }
LValue* CpuTarget::shuffle(Builder& b, LValue* v, const LaneMap& map) const {
  std::vector<int> mask;
  for (int i = 0; i < caps_.lanes; ++i) mask.push_back(map(i));
  return b.CreateShuffleVector(v, mask);
}
LValue* CpuTarget::dot2(Builder& b, DType type, LValue* acc, LValue* a0, LValue* a1, LValue* b0, LValue* b1) const {
  if (!caps_.bf16_dot || type != DType::bf16 || width(acc) != 16) return nullptr;
  auto pairs = [&](LValue* x, LValue* y) -> LValue* {
    auto* t = llvm::FixedVectorType::get(llvm::Type::getBFloatTy(b.getContext()), 32);
    if (!width(x)) {  // the same pair in all lanes
      LValue* both = b.CreateOr(b.CreateZExt(x, b.getInt32Ty()), b.CreateShl(b.CreateZExt(y, b.getInt32Ty()), 16));
      return b.CreateBitCast(b.CreateVectorSplat(16, both), t);
    }
    std::vector<int> mask;
    for (int i = 0; i < 16; ++i) mask.insert(mask.end(), {i, i + 16});
    return b.CreateBitCast(b.CreateShuffleVector(x, y, mask), t);
  };
  return b.CreateIntrinsic(llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512, {acc, pairs(a0, a1), pairs(b0, b1)});
}
void CpuTarget::barrier(Builder&, Memory) const {}
LValue* CpuTarget::shared_memory(llvm::Module&, Builder&, int) const {
  throw InternalError("cpu: a block is one warp and needs no shared memory");
}

void CpuTarget::optimise(llvm::Module& m) const {
  wavetile::optimise(m, *machine());
  store_single_lanes(m);
}
std::string CpuTarget::assembly(llvm::Module& m) const {
  auto s = emit(m, *machine(), llvm::CodeGenFileType::AssemblyFile, true);
  return {s.begin(), s.end()};
}
std::vector<char> CpuTarget::object(llvm::Module& m) const {
  return emit(m, *machine(), llvm::CodeGenFileType::ObjectFile, true);
}

TargetPtr cpu_target(const std::string& level) { return std::make_shared<CpuTarget>(level); }

namespace {

class JitCode : public Code {
 public:
  explicit JitCode(std::span<const char> object) {
    initialise();
    auto jit = llvm::orc::LLJITBuilder().create();
    if (!jit) fail(jit.takeError());
    jit_ = std::move(*jit);
    auto process =
        llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(jit_->getDataLayout().getGlobalPrefix());
    if (!process) fail(process.takeError());
    jit_->getMainJITDylib().addGenerator(std::move(*process));
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy({object.data(), object.size()}, "kernel");
    if (auto e = jit_->addObjectFile(std::move(buffer))) fail(std::move(e));
  }
  void* symbol(const std::string& name) const override {
    auto a = jit_->lookup(name);
    if (!a) fail(a.takeError());
    return a->toPtr<void*>();
  }

 private:
  [[noreturn]] static void fail(llvm::Error e) { throw InternalError("loading code: " + llvm::toString(std::move(e))); }
  std::unique_ptr<llvm::orc::LLJIT> jit_;
};

}  // namespace

std::unique_ptr<Code> load_code(std::span<const char> object) { return std::make_unique<JitCode>(object); }

}  // namespace wavetile
