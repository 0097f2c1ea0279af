// Loads and stores: from addresses (access.cpp) to the widest accesses.
#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

// Bytes that every machine adds to an address for nothing.
static constexpr int64_t most_near = 4096;

LValue* Lowering::pointer(int tensor, llvm::Type* element, LValue* offset) {
  LValue* base = b_.CreateIntToPtr(entry_.args[static_cast<size_t>(slot_[static_cast<size_t>(tensor)])],
                                   llvm::PointerType::get(b_.getContext(), target_.global_address_space()));
  return b_.CreateGEP(element, base, offset);
}
// Where a register of an access lies. What is the same in all lanes, and what is a lane's own, are added by the
// machine; what exceeds the constant of an instruction goes with the latter, which loops leave alone.
LValue* Lowering::place(const Op& op, llvm::Type* element, const Access::Register& reg) {
  if (!reg.thread) return pointer(op.tensor, element, reg.offset);
  const int64_t size = size_of(g().tensors[static_cast<size_t>(op.tensor)].dtype);
  const int64_t fixed = reg.fixed * size, near = fixed % most_near;
  LValue* bytes = b_.CreateAdd(b_.CreateMul(reg.thread, i32(size)), i32(fixed - near));
  LValue* p = target_.lane_address(b_, pointer(op.tensor, element, reg.offset), bytes);
  return near ? b_.CreateGEP(b_.getInt8Ty(), p, i64(near)) : p;
}

namespace {
// How many registers from r on lie side by side in memory, for the same lanes, as one aligned access (a power of two).
template <class Regs>
int run_length(const Regs& regs, size_t r, int64_t multiple, int most, int alignment) {
  int n = 1;
  while (n * 2 <= most && r + static_cast<size_t>(n) * 2 <= regs.size()) n *= 2;
  for (; n > 1; n /= 2) {
    bool ok = multiple % n == 0 && regs[r].fixed % n == 0 && alignment % n == 0;
    for (int i = 0; i < n && ok; ++i) {
      const auto& x = regs[r + static_cast<size_t>(i)];
      ok = x.mask == regs[r].mask && x.address == regs[r].address && !x.lanes && x.fixed == regs[r].fixed + i &&
           x.varying == regs[r].varying;
    }
    if (ok) return n;
  }
  return 1;
}
}  // namespace

Lowering::Load Lowering::plan_load(const Op& op, const Layout& l) {
  return {&op, l, access(op, l), Registers(static_cast<size_t>(l.registers()))};
}

Registers Lowering::load(const Op& op, const Layout& l) {
  Load plan = plan_load(op, l);
  for (size_t r = 0; r < plan.loaded.size(); ++r) loaded(plan, static_cast<int>(r));
  return plan.loaded;
}

// Outside its bounds a load goes to the tensor's first element, which is always there; not where another lane may be
// storing to that.
LValue* Lowering::load_where(LValue* mask, const std::function<LValue*()>& body) {
  auto* before = b_.GetInsertBlock();
  auto* then = llvm::BasicBlock::Create(b_.getContext(), "load", entry_.function);
  auto* done = llvm::BasicBlock::Create(b_.getContext(), "loaded", entry_.function);
  b_.CreateCondBr(mask, then, done);
  b_.SetInsertPoint(then);
  LValue* v = body();
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  auto* phi = b_.CreatePHI(v->getType(), 2);
  phi->addIncoming(llvm::Constant::getNullValue(v->getType()), before);
  phi->addIncoming(v, then);
  return phi;
}

// Two registers whose lanes alternate in memory (steps of k that a packing puts side by side) come in one read.
bool Lowering::load_pair(Load& plan, size_t r) {
  const auto& regs = plan.access.regs;
  for (size_t other = 0; other < regs.size(); ++other) {
    if (std::abs(regs[other].fixed - regs[r].fixed) != 1 || regs[other].varying != regs[r].varying ||
        regs[other].address != regs[r].address)
      continue;
    if (regs[r].zero_outside || (regs[r].address && width(regs[r].address))) return false;
    size_t even = regs[r].fixed < regs[other].fixed ? r : other, odd = even == r ? other : r;
    DType dtype = g().tensors[static_cast<size_t>(plan.op->tensor)].dtype;
    llvm::Type* e = llvm_type(b_.getContext(), dtype);
    int lanes = caps_.lanes;
    LValue* offset =
        regs[even].address ? b_.CreateSelect(regs[even].address, regs[even].offset, i64(0)) : regs[even].offset;
    LValue* both =
        b_.CreateAlignedLoad(llvm::FixedVectorType::get(e, static_cast<unsigned>(2 * lanes)),
                             pointer(plan.op->tensor, e, offset), llvm::Align(static_cast<uint64_t>(size_of(dtype))));
    for (size_t half : {even, odd}) {
      std::vector<int> mask;
      for (int i = 0; i < lanes; ++i) mask.push_back(2 * i + (half == odd));
      plan.loaded[half] = b_.CreateShuffleVector(both, mask);
    }
    return true;
  }
  return false;
}

LValue* Lowering::loaded(Load& plan, int reg_number) {
  auto r = static_cast<size_t>(reg_number);
  if (plan.loaded[r]) return plan.loaded[r];
  const Op& op = *plan.op;
  const Layout& l = plan.layout;
  const Access& a = plan.access;
  DType dtype = g().tensors[static_cast<size_t>(op.tensor)].dtype;
  llvm::Type* e = llvm_type(b_.getContext(), dtype == DType::b1 ? DType::u8 : dtype);  // a bool is a byte in memory
  int size = size_of(dtype);
  auto lanes = static_cast<unsigned>(caps_.lanes);
  int alignment = std::max(sig_[static_cast<size_t>(op.tensor)].alignment / size, 1);
  auto& reg = a.regs[r];
  at_line(op.loc);
  auto guarded = [&](const std::function<LValue*()>& body) {
    return a.exact && reg.address ? load_where(reg.address, body) : body();
  };
  const bool all_or_none = reg.address && !width(reg.address);
  auto offset = [&] { return all_or_none && !a.exact ? b_.CreateSelect(reg.address, reg.offset, i64(0)) : reg.offset; };
  LValue* v = nullptr;
  if (!vector_registers(l)) {
    if (!caps_.simd && (a.exact || (!reg.address && !reg.mask))) {  // one wide access where registers lie side by side
      for (int most = caps_.vector_bytes / size; most > 1; most /= 2) {
        size_t first = r / static_cast<size_t>(most) * static_cast<size_t>(most);
        if (run_length(a.regs, first, a.multiple, most, alignment) != most) continue;
        auto* t = llvm::FixedVectorType::get(e, static_cast<unsigned>(most));
        LValue* wide = guarded([&] {
          return b_.CreateAlignedLoad(t, place(op, e, a.regs[first]), llvm::Align(static_cast<uint64_t>(most * size)));
        });
        for (int i = 0; i < most; ++i) {
          LValue* x = b_.CreateExtractElement(wide, static_cast<uint64_t>(i));
          plan.loaded[first + static_cast<size_t>(i)] = dtype == DType::b1 ? (vec(x) != like(vec(x), 0)).v : x;
        }
        return plan.loaded[r];
      }
    }
    v = guarded([&] {
      LValue* at = reg.thread ? place(op, e, reg) : pointer(op.tensor, e, offset());
      return b_.CreateAlignedLoad(e, at, llvm::Align(static_cast<uint64_t>(size)));
    });
  } else if (a.contiguous) {
    auto* t = llvm::FixedVectorType::get(e, lanes);
    llvm::Align align(static_cast<uint64_t>(size));
    if (reg.address && !all_or_none)
      v = b_.CreateMaskedLoad(t, pointer(op.tensor, e, reg.offset), align, reg.address,
                              llvm::Constant::getNullValue(t));
    else
      v = guarded([&] { return b_.CreateAlignedLoad(t, pointer(op.tensor, e, offset()), align); });
  } else if (a.pairs && !a.exact && dtype != DType::b1 && load_pair(plan, r)) {
    return plan.loaded[r];
  } else {
    auto* t = llvm::FixedVectorType::get(e, lanes);
    LValue* offsets = (vec(reg.lanes) + vec(reg.offset)).v;
    LValue* mask = reg.address ? splat(b_, reg.address, lanes) : nullptr;
    v = b_.CreateMaskedGather(t, pointer(op.tensor, e, offsets), llvm::Align(static_cast<uint64_t>(size)), mask,
                              llvm::Constant::getNullValue(t));
  }
  if (reg.mask && reg.zero_outside && !a.exact)
    v = select(vec(reg.mask), vec(v), vec(llvm::Constant::getNullValue(v->getType()))).v;
  if (dtype == DType::b1) v = (vec(v) != like(vec(v), 0)).v;
  return plan.loaded[r] = v;
}

void Lowering::store_where(LValue* mask, const std::function<void()>& body) {
  if (!mask) return body();
  auto* then = llvm::BasicBlock::Create(b_.getContext(), "store", entry_.function);
  auto* done = llvm::BasicBlock::Create(b_.getContext(), "stored", entry_.function);
  b_.CreateCondBr(mask, then, done);
  b_.SetInsertPoint(then);
  body();
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
}

// Of the threads that hold the same elements, the one that stores them; null: each has its own.
LValue* Lowering::owner(const Layout& l) {
  LValue* mask = nullptr;
  if (int w = l.replicas(l.warp)) mask = b_.CreateICmpEQ(b_.CreateAnd(warp_, i32(w)), i32(0));
  int lanes = caps_.simd ? 0 : l.replicas(l.lane);
  return lanes ? both(mask, b_.CreateICmpEQ(b_.CreateAnd(lane_, i32(lanes)), i32(0))) : mask;
}

void Lowering::store(const Op& op, const Layout& l) {
  Access a = access(op, l);
  DType dtype = g().tensors[static_cast<size_t>(op.tensor)].dtype;
  llvm::Type* e = llvm_type(b_.getContext(), dtype == DType::b1 ? DType::u8 : dtype);
  int size = size_of(dtype);
  llvm::Align align(static_cast<uint64_t>(size));
  int alignment = std::max(sig_[static_cast<size_t>(op.tensor)].alignment / size, 1);
  auto lanes = static_cast<unsigned>(caps_.lanes);
  const Layout& from = laid_.of(op.args[0]);

  int replicas = l.replicas(l.lane);
  LValue* lane_owner = nullptr;
  if (replicas && vector_registers(l)) {
    std::vector<llvm::Constant*> bits;
    for (int i = 0; i < caps_.lanes; ++i) bits.push_back(b_.getInt1((i & replicas) == 0));
    lane_owner = llvm::ConstantVector::get(bits);
  }
  store_where(owner(l), [&] {
    auto element = [&](size_t r) {
      LValue* v = value(op.args[0])[static_cast<size_t>(part_register(l, static_cast<int>(r), from))];
      if (dtype == DType::b1)
        v = b_.CreateZExt(v, width(v) ? static_cast<llvm::Type*>(llvm::FixedVectorType::get(e, width(v))) : e);
      return widened(v, l);
    };
    for (size_t r = 0; r < a.regs.size(); ++r) {
      auto& reg = a.regs[r];
      if (!vector_registers(l)) {
        int n = caps_.simd ? 1 : run_length(a.regs, r, a.multiple, caps_.vector_bytes / size, alignment);
        if (n > 1) {
          LValue* wide = llvm::PoisonValue::get(llvm::FixedVectorType::get(e, static_cast<unsigned>(n)));
          for (int i = 0; i < n; ++i)
            wide = b_.CreateInsertElement(wide, element(r + static_cast<size_t>(i)), static_cast<uint64_t>(i));
          store_where(reg.mask, [&] {
            b_.CreateAlignedStore(wide, place(op, e, reg), llvm::Align(static_cast<uint64_t>(n * size)));
          });
          r += static_cast<size_t>(n) - 1;
          continue;
        }
        store_where(reg.mask, [&] { b_.CreateAlignedStore(element(r), place(op, e, reg), align); });
        continue;
      }
      LValue* mask = both(reg.mask, lane_owner);
      if (a.contiguous && (!mask || !width(mask))) {
        store_where(mask, [&] { b_.CreateAlignedStore(element(r), pointer(op.tensor, e, reg.offset), align); });
      } else if (a.contiguous) {
        b_.CreateMaskedStore(element(r), pointer(op.tensor, e, reg.offset), align, mask);
      } else {
        LValue* offsets = (vec(reg.lanes) + vec(reg.offset)).v;
        b_.CreateMaskedScatter(element(r), pointer(op.tensor, e, offsets), align,
                               splat(b_, mask ? mask : b_.getTrue(), lanes));
      }
    }
  });
}

}  // namespace wavetile
