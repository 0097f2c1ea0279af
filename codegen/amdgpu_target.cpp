// What the machine, its entry, its functions and its blocks are like; amdgpu_lanes.cpp moves values across lanes.
#include "codegen/amdgpu_target.h"

#include <bit>

#include <fmt/format.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsAMDGPU.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/MemoryModelRelaxationAnnotations.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>

#include "codegen/compile.h"
#include "codegen/emit.h"

namespace wavetile {

using LValue = llvm::Value;
using llvm::Intrinsic::ID;

namespace {

constexpr AmdChip chips[] = {
    {"gfx90a", 9, 64, 110, false},  // Instinct MI200: PyTorch, "Numerical accuracy", on MFMA and V_DOT2
    {"gfx942", 9, 64, 304},         // Instinct MI300
    {"gfx1100", 11, 32, 96},        // Radeon RX 7900
    {"gfx1151", 11, 32, 40},        // Strix Halo
    {"gfx1201", 12, 32, 64},        // Radeon RX 9070
};
constexpr const char* triple = "amdgcn-amd-amdhsa";

// The layouts of the matrix instructions on factors of 16 bits: {row or column, k} of A and B, {row, column} of C.
// GFX11 keeps A and B twice, and deals C's rows to the halves of the lanes in turn ('WMMA', RDNA3 ISA 7.9); here each
// half has eight consecutive ones, which it can store at a time, and give to the next product as its k: the order of
// rows is ours, as long as A has the same. GFX12 deals k to the halves (RDNA4 ISA 7.12: by fours; here by eights, so
// that a lane's are consecutive: the order of k is ours too); CDNA deals k by fours to the quarters of the wave
// ('Matrix Arithmetic', CDNA3 ISA 7.1).
struct Fragments {
  Bases factor_reg, row_lane, column_lane, result_reg, result_lane;
};
Fragments fragments(int generation) {
  if (generation == 9)
    return {{{0, 1}, {0, 2}},
            {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {0, 4}, {0, 8}},
            {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {0, 4}, {0, 8}},
            {{1, 0}, {2, 0}},
            {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {4, 0}, {8, 0}}};
  if (generation == 11)
    return {{{0, 1}, {0, 2}, {0, 4}, {0, 8}},
            {{8, 0}, {1, 0}, {2, 0}, {4, 0}, {0, 0}},
            {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {0, 0}},
            {{1, 0}, {2, 0}, {4, 0}},
            {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {8, 0}}};
  return {{{0, 1}, {0, 2}, {0, 4}},
          {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {0, 8}},
          {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {0, 8}},
          {{1, 0}, {2, 0}, {4, 0}},
          {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {8, 0}}};
}
std::vector<MatrixUnit> matrix_units(const AmdChip& chip) {
  const int generation = chip.generation;
  Fragments f = fragments(generation);
  auto layout = [](const Bases& reg, const Bases& lane) { return Layout{{0, 1}, {1, 1}, {16, 16}, reg, lane, {}}; };
  Layout a = layout(f.factor_reg, f.row_lane), b = layout(f.factor_reg, f.column_lane),
         result = layout(f.result_reg, f.result_lane);
  std::vector<MatrixUnit> units;
  for (DType t : {DType::bf16, DType::f16}) {
    // Denormal halves are numbers that count; those of bf16 are smaller than any that matters: 1.2e-38.
    if (t == DType::f16 && !chip.half_denormals) continue;
    units.push_back({fmt::format("{}_f32_16x16x16_{}", generation == 9 ? "mfma" : "wmma", name_of(t)), t, DType::f32, a,
                     b, result});
  }
  return units;
}

void initialise() {
  static const bool once = [] {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    return true;
  }();
  (void)once;
}

}  // namespace

AmdgpuTarget::AmdgpuTarget(const AmdChip& chip) : chip_(chip) {
  initialise();
  caps_.name = chip.name;
  caps_.lanes = chip.lanes;
  caps_.simd = false;
  caps_.max_warps = 16;
  caps_.compute_units = chip.compute_units;
  caps_.max_registers = 64;
  caps_.vector_bytes = 16;
  caps_.shared_bytes = 65536;
  caps_.matrix = matrix_units(chip);
  if (chip.generation >= 10) features_ = "+wavefrontsize32";
}

std::string AmdgpuTarget::identity() const { return fmt::format("{} {} {}", triple, chip_.name, features_); }

std::unique_ptr<llvm::TargetMachine> AmdgpuTarget::machine() const {
  std::string error;
  const llvm::Target* t = llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), error);
  if (!t) throw Error(fmt::format("this LLVM has no code generator for AMD GPUs: {}", error));
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;  // where the code says so (fmuladd)
  return std::unique_ptr<llvm::TargetMachine>(
      t->createTargetMachine(llvm::Triple(triple), chip_.name, features_, options, llvm::Reloc::PIC_));
}

void AmdgpuTarget::prepare(llvm::Module& m) const {
  m.setTargetTriple(llvm::Triple(triple));
  m.setDataLayout(machine()->createDataLayout());
  // Version 5 is what all runtimes since ROCm 5.7 load; 6 adds only generic chips.
  m.addModuleFlag(llvm::Module::Error, "amdhsa_code_object_version", 500);
}

Entry AmdgpuTarget::begin_kernel(llvm::Module& m, Builder& b, const std::string& symbol, int slots, int warps) const {
  auto& c = m.getContext();
  std::vector<llvm::Type*> parameters(static_cast<size_t>(slots), llvm::Type::getInt64Ty(c));
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(c), parameters, false);
  auto* f = llvm::Function::Create(type, llvm::Function::ExternalLinkage, symbol, m);
  f->setCallingConv(llvm::CallingConv::AMDGPU_KERNEL);
  f->setVisibility(llvm::GlobalValue::ProtectedVisibility);
  f->addFnAttr(llvm::Attribute::NoUnwind);
  f->addFnAttr("target-cpu", chip_.name);
  f->addFnAttr("target-features", features_);
  f->addFnAttr("denormal-fp-math", "ieee,ieee");
  f->addFnAttr("denormal-fp-math-f32", "ieee,ieee");
  // Without it registers are budgeted for 1024 work-items.
  f->addFnAttr("amdgpu-flat-work-group-size", fmt::format("{0},{0}", warps * caps_.lanes));
  f->addFnAttr("uniform-work-group-size", "true");
  f->addFnAttr("amdgpu-implicitarg-num-bytes", "0");
  for (const char* unused : {"implicitarg-ptr", "dispatch-ptr", "queue-ptr", "dispatch-id", "heap-ptr", "hostcall-ptr",
                             "lds-kernel-id", "default-queue", "completion-action", "multigrid-sync-arg",
                             "flat-scratch-init", "workgroup-id-y", "workgroup-id-z", "workitem-id-y", "workitem-id-z"})
    f->addFnAttr(fmt::format("amdgpu-no-{}", unused));
  b.SetInsertPoint(llvm::BasicBlock::Create(c, "entry", f));
  Entry e{f, {}};
  for (auto& a : f->args()) e.args.push_back(&a);
  return e;
}

void AmdgpuTarget::run_blocks(Builder& b, const Entry&, const std::function<void(LValue*)>& body) const {
  body(b.CreateIntrinsic(b.getInt32Ty(), llvm::Intrinsic::amdgcn_workgroup_id_x, {}));
  b.CreateRetVoid();
}

// The work-item's number is in a register on entry and its range is known, so that with one warp this costs nothing.
LValue* AmdgpuTarget::lane_id(Builder& b) const {
  LValue* item = b.CreateIntrinsic(b.getInt32Ty(), llvm::Intrinsic::amdgcn_workitem_id_x, {});
  return b.CreateAnd(item, b.getInt32(static_cast<uint32_t>(caps_.lanes - 1)));
}
LValue* AmdgpuTarget::warp_id(Builder& b) const {
  LValue* item = b.CreateIntrinsic(b.getInt32Ty(), llvm::Intrinsic::amdgcn_workitem_id_x, {});
  LValue* warp =
      b.CreateLShr(item, b.getInt32(static_cast<uint32_t>(std::countr_zero(static_cast<unsigned>(caps_.lanes)))));
  return b.CreateIntrinsic(llvm::Intrinsic::amdgcn_readfirstlane, {b.getInt32Ty()}, {warp});
}

// ---- functions

namespace {

// v_exp_f32 is within 1 ulp, and 0 where the result is denormal: for exp2 that is what there is. For exp, 2^n is put in
// last, and log2 e has two parts: 1.5 ulp, denormals too. A NaN gives any n in its bounds, and stays in the rest.
LValue* exponential(Builder& b, LValue* x) {
  constexpr double log2_e = 1.44269502162933349609, log2_e_rest = 1.92596299e-8, least = -160, most = 160;
  auto number = [&](double v) { return llvm::ConstantFP::get(x->getType(), v); };
  auto fma = [&](LValue* p, LValue* q, LValue* r) {
    return b.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {p, q, r});
  };
  LValue* n = b.CreateUnaryIntrinsic(llvm::Intrinsic::rint, b.CreateFMul(x, number(log2_e)));
  n = b.CreateIntrinsic(llvm::Intrinsic::amdgcn_fmed3, {x->getType()}, {n, number(least), number(most)});
  LValue* rest = fma(x, number(log2_e_rest), fma(x, number(log2_e), b.CreateFNeg(n)));
  LValue* e = b.CreateIntrinsic(llvm::Intrinsic::amdgcn_exp2, {x->getType()}, {rest});
  LValue* whole = b.CreateFPToSI(n, b.getInt32Ty());
  return b.CreateIntrinsic(llvm::Intrinsic::ldexp, {x->getType(), b.getInt32Ty()}, {e, whole});
}

// v_rsq_f32 is within 1 ulp, and takes denormals for 0.
LValue* reciprocal_root(Builder& b, LValue* x) {
  auto number = [&](double v) { return llvm::ConstantFP::get(x->getType(), v); };
  LValue* small = b.CreateFCmpOLT(x, number(0x1p-126));
  LValue* scaled = b.CreateFMul(x, b.CreateSelect(small, number(0x1p24), number(1)));
  LValue* root = b.CreateIntrinsic(llvm::Intrinsic::amdgcn_rsq, {x->getType()}, {scaled});
  return b.CreateFMul(root, b.CreateSelect(small, number(0x1p12), number(1)));
}

// v_rcp_f32 is within 1 ulp and has no denormals, so that it is given the divisor's mantissa, and the dividend the
// exponent: 1.5 ulp.
LValue* quotient(Builder& b, LValue* x, LValue* y) {
  llvm::Type* t = x->getType();
  LValue* exponent = b.CreateIntrinsic(llvm::Intrinsic::amdgcn_frexp_exp, {b.getInt32Ty(), t}, {y});
  LValue* mantissa = b.CreateIntrinsic(llvm::Intrinsic::amdgcn_frexp_mant, {t}, {y});
  LValue* scaled = b.CreateIntrinsic(llvm::Intrinsic::ldexp, {t, b.getInt32Ty()}, {x, b.CreateNeg(exponent)});
  return b.CreateFMul(scaled, b.CreateIntrinsic(llvm::Intrinsic::amdgcn_rcp, {t}, {mantissa}));
}

}  // namespace

LValue* AmdgpuTarget::function(Builder& b, Fn fn, const std::vector<LValue*>& args) const {
  switch (fn) {
    case Fn::exp:
      return exponential(b, args[0]);
    case Fn::exp2:
      return b.CreateIntrinsic(llvm::Intrinsic::amdgcn_exp2, {args[0]->getType()}, {args[0]});
    case Fn::rsqrt:
      return reciprocal_root(b, args[0]);
    case Fn::div:
      return quotient(b, args[0], args[1]);
    case Fn::min:
    case Fn::max:  // that give NaN for NaN
      if (chip_.generation < 12) return nullptr;
      return b.CreateBinaryIntrinsic(fn == Fn::min ? llvm::Intrinsic::minimum : llvm::Intrinsic::maximum, args[0],
                                     args[1]);
    default:
      return nullptr;
  }
}

// ---- matrix instructions

LValue* AmdgpuTarget::matrix(Builder& b, const MatrixUnit& unit, LValue* first, LValue* second, LValue* c) const {
  const bool bf16 = unit.factor == DType::bf16;
  auto factor = [&](LValue* v) {
    if (bf16) return v;
    auto n = llvm::cast<llvm::FixedVectorType>(v->getType())->getNumElements();
    return b.CreateBitCast(v, llvm::FixedVectorType::get(b.getHalfTy(), n));
  };
  LValue *x = factor(first), *y = factor(second);
  if (chip_.generation == 9) {
    ID id = bf16 ? llvm::Intrinsic::amdgcn_mfma_f32_16x16x16bf16_1k : llvm::Intrinsic::amdgcn_mfma_f32_16x16x16f16;
    LValue* none = b.getInt32(0);  // no broadcast, no exchange of lanes
    return b.CreateIntrinsic(c->getType(), id, {x, y, c, none, none, none});
  }
  ID id = bf16 ? llvm::Intrinsic::amdgcn_wmma_f32_16x16x16_bf16 : llvm::Intrinsic::amdgcn_wmma_f32_16x16x16_f16;
  LValue* d = b.CreateIntrinsic(id, {c->getType(), x->getType()}, {x, y, c});
  // LLVM 22 does not know that these instructions are convergent (llvm-project #165602) and would sink them into the
  // branch of the lanes that store; a use here, which is no instruction, keeps them.
  b.CreateIntrinsic(llvm::Intrinsic::fake_use, {}, {d});
  return d;
}

// Sums in f32: what it makes of an accumulator that is denormal (0) is far below the rounding of any other.
LValue* AmdgpuTarget::dot2(Builder& b, DType type, LValue* acc, LValue* a0, LValue* a1, LValue* b0, LValue* b1) const {
  const bool bf16 = type == DType::bf16;
  if (bf16 ? chip_.generation < 11 : !chip_.half_denormals) return nullptr;
  llvm::Type* factor = bf16 ? llvm::Type::getBFloatTy(b.getContext()) : b.getHalfTy();
  auto pair = [&](LValue* x, LValue* y) {
    LValue* both = llvm::PoisonValue::get(llvm::FixedVectorType::get(x->getType(), 2));
    both = b.CreateInsertElement(b.CreateInsertElement(both, x, uint64_t{0}), y, uint64_t{1});
    return b.CreateBitCast(both, llvm::FixedVectorType::get(factor, 2));
  };
  return b.CreateIntrinsic(b.getFloatTy(),
                           bf16 ? llvm::Intrinsic::amdgcn_fdot2_f32_bf16 : llvm::Intrinsic::amdgcn_fdot2,
                           {pair(a0, a1), pair(b0, b1), acc, b.getFalse()});
}

// ---- the block

// LLVM's machine-sink takes neither a fence nor a barrier for a store, and would move a load from before them into a
// branch after them: the empty asm, which no instruction comes of, is a store to it.
static void keep_in_block(Builder& b) {
  b.CreateCall(llvm::InlineAsm::get(llvm::FunctionType::get(b.getVoidTy(), false), "", "~{memory}", true));
}

// Matrix instructions do not touch memory: only this keeps them behind the loads.
void AmdgpuTarget::keep_loads_early(Builder& b) const {
  keep_in_block(b);
  b.CreateIntrinsic(b.getVoidTy(), llvm::Intrinsic::amdgcn_sched_barrier, {b.getInt32(0)});
}

// Fences that order shared memory alone leave global loads in flight.
void AmdgpuTarget::barrier(Builder& b, Memory what) const {
  auto& c = b.getContext();
  llvm::MMRAMetadata::TagT tag{"amdgpu-synchronize-as", "local"};
  auto scope = c.getOrInsertSyncScopeID("workgroup");
  auto* local = llvm::MMRAMetadata::getTagMD(c, tag);
  auto fence = [&](llvm::AtomicOrdering order) {
    auto* f = b.CreateFence(order, scope);
    if (what == Memory::shared) f->setMetadata(llvm::LLVMContext::MD_mmra, local);
  };
  fence(llvm::AtomicOrdering::Release);
  keep_in_block(b);
  b.CreateIntrinsic(b.getVoidTy(), llvm::Intrinsic::amdgcn_s_barrier, {});
  fence(llvm::AtomicOrdering::Acquire);
}

// One array a kernel, as large as its largest use.
LValue* AmdgpuTarget::shared_memory(llvm::Module& m, Builder& b, int bytes) const {
  std::string name = b.GetInsertBlock()->getParent()->getName().str() + ".shared";
  llvm::GlobalVariable* old = m.getNamedGlobal(name);
  if (old && m.getDataLayout().getTypeAllocSize(old->getValueType()) >= static_cast<uint64_t>(bytes)) return old;
  auto* type = llvm::ArrayType::get(b.getInt8Ty(), static_cast<uint64_t>(bytes));
  auto* memory =
      new llvm::GlobalVariable(m, type, false, llvm::GlobalValue::InternalLinkage, llvm::PoisonValue::get(type), "",
                               nullptr, llvm::GlobalValue::NotThreadLocal, 3);
  memory->setAlignment(llvm::Align(16));
  if (old) {
    old->replaceAllUsesWith(memory);
    old->eraseFromParent();
  }
  memory->setName(name);
  return memory;
}

LValue* AmdgpuTarget::fresh(Builder& b, LValue* v) const {
  auto* local = llvm::PointerType::get(b.getContext(), 3);  // of 32 bits
  return b.CreatePtrToInt(b.CreateLaunderInvariantGroup(b.CreateIntToPtr(v, local)), b.getInt32Ty());
}

// Memory instructions add a lane's 32 bits to 64 bits of scalars. Instruction selection sees that where the extension
// stands beside the access: moved out of a loop, or into an induction variable, it would cost the lanes two additions
// with carry for each access.
LValue* AmdgpuTarget::lane_address(Builder& b, LValue* base, LValue* bytes) const {
  return Target::lane_address(b, base, fresh(b, bytes));
}

// ---- code

void AmdgpuTarget::optimise(llvm::Module& m) const { wavetile::optimise(m, *machine()); }

std::string AmdgpuTarget::assembly(llvm::Module& m) const {
  auto text = emit(m, *machine(), llvm::CodeGenFileType::AssemblyFile);
  return {text.begin(), text.end()};
}

std::vector<char> AmdgpuTarget::object(llvm::Module& m) const {
  auto relocatable = emit(m, *machine(), llvm::CodeGenFileType::ObjectFile);
  check_resources(relocatable, caps_);
  return link_code_object(relocatable);
}

TargetPtr amdgpu_target(const std::string& chip) {
  std::string known;
  for (const AmdChip& c : chips) {
    if (chip == c.name) return std::make_shared<AmdgpuTarget>(c);
    known += (known.empty() ? "" : ", ") + std::string(c.name);
  }
  throw Error(fmt::format("AMD GPU '{}' is not known; say one of {}", chip, known));
}

}  // namespace wavetile
