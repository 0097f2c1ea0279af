// Shared memory has an address space of its own while code is generated; before optimisation every access to it
// becomes a call of the checker, so that what the lowering emits is what is checked.
#include "codegen/testing/virtual_target.h"

#include <fmt/format.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>

#include "codegen/cpu_target.h"
#include "codegen/testing/virtual_machine.h"

namespace wavetile {

using LValue = llvm::Value;

namespace {

constexpr unsigned shared_space = 3;
enum Member { shuffle_member = 1, barrier_member, load_member, store_member };  // of VirtualContext

// An access to shared memory as a list of elements.
struct SharedAccess {
  LValue* pointer = nullptr;    // one, or a vector of them
  LValue* stored = nullptr;     // null: a load
  LValue* mask = nullptr;       // a vector; null: all
  LValue* otherwise = nullptr;  // what a masked load gives
};

bool is_shared(LValue* v) {
  auto* p = llvm::dyn_cast<llvm::PointerType>(v->getType()->getScalarType());
  return p && p->getAddressSpace() == shared_space;
}

std::optional<SharedAccess> shared_access(llvm::Instruction& i) {
  if (auto* l = llvm::dyn_cast<llvm::LoadInst>(&i); l && is_shared(l->getPointerOperand()))
    return SharedAccess{l->getPointerOperand(), {}, {}, {}};
  if (auto* s = llvm::dyn_cast<llvm::StoreInst>(&i); s && is_shared(s->getPointerOperand()))
    return SharedAccess{s->getPointerOperand(), s->getValueOperand(), {}, {}};
  auto* c = llvm::dyn_cast<llvm::IntrinsicInst>(&i);
  if (!c) return {};
  auto arg = [&](unsigned n) { return c->getArgOperand(n); };
  switch (c->getIntrinsicID()) {
    case llvm::Intrinsic::masked_load:
    case llvm::Intrinsic::masked_gather:
      if (is_shared(arg(0))) return SharedAccess{arg(0), nullptr, arg(c->arg_size() - 2), arg(c->arg_size() - 1)};
      return {};
    case llvm::Intrinsic::masked_store:
    case llvm::Intrinsic::masked_scatter:
      if (is_shared(arg(1))) return SharedAccess{arg(1), arg(0), arg(c->arg_size() - 1), nullptr};
      return {};
    default:
      return {};
  }
}

class VirtualTarget : public CpuTarget {
 public:
  VirtualTarget(int lanes, bool simd) : CpuTarget("") {
    if (lanes < 1 || lanes > 64 || (lanes & (lanes - 1)))
      throw Error(fmt::format("a virtual target of {} lanes: say a power of two up to 64", lanes));
    caps_ = {};
    caps_.name = fmt::format("virtual {} {}", lanes, simd ? "explicit" : "implicit");
    caps_.lanes = lanes;
    caps_.simd = simd;
    caps_.max_warps = 4;
    caps_.max_registers = 32;
    caps_.vector_bytes = 16;
    caps_.shared_bytes = 65536;
  }

  std::string identity() const override { return caps_.name + " on " + CpuTarget::identity(); }
  LValue* lane_id(Builder& b) const override { return b.CreateTrunc(argument(b, 5), b.getInt32Ty(), "lane"); }
  LValue* warp_id(Builder& b) const override { return b.CreateTrunc(argument(b, 4), b.getInt32Ty(), "warp"); }

  LValue* shuffle(Builder& b, LValue* v, const LaneMap& map) const override {
    if (caps_.simd) return CpuTarget::shuffle(b, v, map);
    LValue *lane = lane_id(b), *from = b.getInt32(static_cast<uint32_t>(map.offset));
    for (size_t i = 0; i < map.bases.size(); ++i) {
      LValue* bit = b.CreateAnd(b.CreateLShr(lane, b.getInt32(static_cast<uint32_t>(i))), b.getInt32(1));
      from = b.CreateXor(from, b.CreateMul(bit, b.getInt32(static_cast<uint32_t>(map.bases[i]))));
    }
    LValue* moved = call(b, shuffle_member, b.getInt64Ty(), {to_bits(b, v), from, site(b)});
    return from_bits(b, moved, v->getType());
  }
  // The next block uses the same memory.
  void run_blocks(Builder& b, const Entry& e, const std::function<void(LValue*)>& body) const override {
    CpuTarget::run_blocks(b, e, [&](LValue* block) {
      body(block);
      if (e.function->getParent()->getGlobalVariable("shared", true)) barrier(b, Memory::shared);
    });
  }
  void warp_barrier(Builder& b) const override { barrier(b, Memory::all); }  // fibers are not in step
  void barrier(Builder& b, Memory) const override { call(b, barrier_member, b.getVoidTy(), {site(b)}); }

  LValue* shared_memory(llvm::Module& m, Builder& b, int bytes) const override {
    if (bytes > caps_.shared_bytes)
      throw InternalError(fmt::format("{} bytes of shared memory of {}", bytes, caps_.shared_bytes));
    auto* old = m.getGlobalVariable("shared", true);
    uint64_t size = old ? old->getValueType()->getArrayNumElements() : 0;
    if (old && size >= static_cast<uint64_t>(bytes)) return old;
    auto* type = llvm::ArrayType::get(b.getInt8Ty(), static_cast<uint64_t>(bytes));
    auto* g = new llvm::GlobalVariable(m, type, false, llvm::GlobalValue::InternalLinkage, llvm::PoisonValue::get(type),
                                       "shared", nullptr, llvm::GlobalValue::NotThreadLocal, shared_space);
    if (old) {
      old->replaceAllUsesWith(g);
      g->takeName(old);
      old->eraseFromParent();
    }
    return g;
  }

  LValue* dot2(Builder&, DType, LValue*, LValue*, LValue*, LValue*, LValue*) const override { return nullptr; }

  void optimise(llvm::Module& m) const override {
    check_shared(m);
    CpuTarget::optimise(m);
  }

 protected:
  std::vector<llvm::Type*> parameters(llvm::Type* pointer, llvm::Type* i64) const override {
    return {pointer, i64, i64, pointer, i64, i64};
  }

 private:
  static LValue* argument(Builder& b, unsigned n) { return b.GetInsertBlock()->getParent()->getArg(n); }
  // Tells one rendezvous from another.
  static LValue* site(Builder& b) {
    auto* f = b.GetInsertBlock()->getParent();
    uint32_t calls = 0;
    for (llvm::Instruction& i : llvm::instructions(*f)) calls += llvm::isa<llvm::CallBase>(i);
    return b.getInt32(calls);
  }
  static LValue* call(Builder& b, Member member, llvm::Type* result, std::vector<LValue*> args) {
    llvm::Type* p = b.getPtrTy();
    LValue* context = argument(b, 3);
    std::vector<llvm::Type*> types{p};
    for (LValue* a : args) types.push_back(a->getType());
    args.insert(args.begin(), context);
    LValue* f = b.CreateAlignedLoad(p, b.CreateConstGEP1_64(p, context, member), llvm::Align(8));
    return b.CreateCall(llvm::FunctionType::get(result, types, false), f, args);
  }
  static LValue* to_bits(Builder& b, LValue* v) {
    llvm::Type* t = v->getType();
    if (!t->isIntegerTy()) v = b.CreateBitCast(v, b.getIntNTy(static_cast<unsigned>(t->getPrimitiveSizeInBits())));
    return b.CreateZExt(v, b.getInt64Ty());
  }
  static LValue* from_bits(Builder& b, LValue* v, llvm::Type* t) {
    v = b.CreateTrunc(v, b.getIntNTy(static_cast<unsigned>(t->getPrimitiveSizeInBits())));
    return t->isIntegerTy() ? v : b.CreateBitCast(v, t);
  }

  static void check_shared(llvm::Module& m) {
    auto* g = m.getGlobalVariable("shared", true);
    if (!g) return;
    auto bound = static_cast<uint32_t>(g->getValueType()->getArrayNumElements());
    g->replaceAllUsesWith(llvm::ConstantPointerNull::get(llvm::PointerType::get(m.getContext(), shared_space)));
    g->eraseFromParent();
    for (llvm::Function& f : m)
      for (llvm::Instruction& i : llvm::make_early_inc_range(llvm::instructions(f)))
        if (auto a = shared_access(i)) {
          Builder b(&i);
          LValue* result = checked(b, *a, i.getType(), bound);
          if (!a->stored) i.replaceAllUsesWith(result);
          i.eraseFromParent();
        }
  }

  static LValue* checked(Builder& b, const SharedAccess& a, llvm::Type* loaded, uint32_t bound) {
    llvm::Type* t = a.stored ? a.stored->getType() : loaded;
    auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(t);
    llvm::Type* e = t->getScalarType();
    auto size = static_cast<uint32_t>(e->getPrimitiveSizeInBits() / 8);
    bool spread = a.pointer->getType()->isVectorTy();
    LValue* result = llvm::PoisonValue::get(t);
    for (uint64_t i = 0; i < (vector ? vector->getNumElements() : 1); ++i) {
      LValue* p = b.CreatePtrToInt(spread ? b.CreateExtractElement(a.pointer, i) : a.pointer, b.getInt64Ty());
      if (!spread) p = b.CreateAdd(p, b.getInt64(i * size));
      LValue* on = a.mask ? b.CreateExtractElement(a.mask, i) : b.getTrue();
      LValue* active = b.CreateZExt(on, b.getInt32Ty());
      if (a.stored) {
        LValue* x = to_bits(b, vector ? b.CreateExtractElement(a.stored, i) : a.stored);
        call(b, store_member, b.getVoidTy(), {p, x, b.getInt32(size), active, b.getInt32(bound)});
        continue;
      }
      LValue* x =
          from_bits(b, call(b, load_member, b.getInt64Ty(), {p, b.getInt32(size), active, b.getInt32(bound)}), e);
      if (!vector) return x;
      if (a.otherwise) x = b.CreateSelect(on, x, b.CreateExtractElement(a.otherwise, i));
      result = b.CreateInsertElement(result, x, i);
    }
    return result;
  }
};

}  // namespace

TargetPtr virtual_target(int lanes, bool simd) { return std::make_shared<VirtualTarget>(lanes, simd); }

void run_virtual(const Target& t, const Code& code, const Stage& stage, const int64_t* slots, int64_t grid) {
  auto entry = reinterpret_cast<VirtualEntry>(code.symbol(stage.symbol));
  VirtualMachine machine(stage.symbol, entry, stage.warps, t.caps().simd ? 1 : t.caps().lanes, slots);
  for (int64_t block = 0; block < grid; ++block) machine.run_block(block);
}

}  // namespace wavetile
