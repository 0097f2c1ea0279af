// A fold that the warps of a block share out: each walks a part of the range from a state of its own, and warp 0 merges
// the states in order and goes on alone.
//
//   warp w   state = fold over [lo + w·len, min(hi, lo + (w+1)·len));   shared[slot][w][lane] = state
//   barrier
//   warp 0   state = merge(... merge(state of warp 0, of warp 1), ...);   and what follows
//
// Layouts of such a kernel have no warp bits (assign.cpp): nothing else in it crosses warps, and a lane finds the
// others' registers at its own number, free of bank conflicts.
#include <algorithm>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

std::vector<Registers> Lowering::merge(const Op& op, const std::vector<Registers>& a, const std::vector<Registers>& b) {
  auto kept = values_;
  for (size_t i = 0; i < a.size(); ++i) {
    values_[op.merge.params[i]] = a[i];
    values_[op.merge.params[a.size() + i]] = b[i];
  }
  region(op.merge);
  std::vector<Registers> out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(yielded(op, op.merge, i));
  values_ = kept;
  return out;
}

std::vector<Registers> Lowering::share(const Op& op, const Bounds& bounds, const std::vector<Registers>& start) {
  const int tile = g().range(op.range).tile, warps = schedule_.warps;
  const int64_t unit = int64_t{tile} * warps;
  Bounds own = bounds;
  own.fixed_lo.reset();
  LValue* len = nullptr;
  if (bounds.extent && *bounds.extent % unit == 0) {  // equal parts
    own.extent = *bounds.extent / warps;
    len = i32(*own.extent);
  } else {
    own.extent.reset();
    LValue* count = maximum(vec(b_.CreateSub(bounds.hi, bounds.lo)), vec(i32(0))).v;
    len = b_.CreateMul(b_.CreateUDiv(b_.CreateAdd(count, i32(unit - 1)), i32(unit)), i32(tile));
  }
  own.lo = b_.CreateAdd(bounds.lo, b_.CreateMul(warp_, len));
  own.hi = minimum(vec(bounds.hi), vec(b_.CreateAdd(own.lo, len))).v;

  const bool adds = merge_adds(g(), op);
  std::vector<Registers> state = start;
  if (adds)
    for (Registers& regs : state)
      for (LValue*& v : regs) v = llvm::Constant::getNullValue(v->getType());
  state = walk(op, own, std::move(state));

  int bytes = 0;
  auto per_warp = [&](const Layout& l) { return l.lane_uniform() ? 1 : caps_.lanes; };
  auto in_memory = [&](DType t) { return llvm_type(b_.getContext(), t == DType::b1 ? DType::u8 : t); };
  for (size_t i = 0; i < state.size(); ++i)
    bytes += static_cast<int>(state[i].size()) * warps * per_warp(laid_.of(op.body.params[i])) * 4;
  // Calls `access(register, its address, its type in memory)` for each register of a warp's state.
  auto each = [&](LValue* warp, auto&& access) {
    int first = 0;
    for (size_t i = 0; i < state.size(); ++i) {
      const Layout& l = laid_.of(op.body.params[i]);
      const DType t = op.types[i].dtype;
      const int lanes = per_warp(l);
      for (LValue*& v : state[i]) {
        LValue* place = b_.CreateMul(warp, i32(lanes));
        if (lanes > 1 && !caps_.simd) place = b_.CreateAdd(place, lane_);
        place = b_.CreateAdd(i32(first), b_.CreateMul(place, i32(size_of(t))));
        llvm::Type* type = in_memory(t);
        if (auto n = width(v)) type = llvm::FixedVectorType::get(type, n);
        access(v, shared_slot(b_.getInt8Ty(), place, bytes), type, llvm::Align(static_cast<uint64_t>(size_of(t))));
        first += 4 * warps * lanes;
      }
    }
  };
  begin_exchange();
  each(warp_, [&](LValue* v, LValue* at, llvm::Type* type, llvm::Align align) {
    b_.CreateAlignedStore(b_.CreateZExtOrBitCast(v, type), at, align);
  });
  // What other warps have loaded warp 0 may store.
  end_exchange(order_.touched.empty() ? Target::Memory::shared : Target::Memory::all);
  auto* alone = llvm::BasicBlock::Create(b_.getContext(), "alone", entry_.function);
  together_ = llvm::BasicBlock::Create(b_.getContext(), "together", entry_.function);
  b_.CreateCondBr(b_.CreateICmpEQ(warp_, i32(0)), alone, together_);
  b_.SetInsertPoint(alone);

  std::vector<Registers> total = adds ? merge(op, start, state) : state;
  for (int w = 1; w < warps; ++w) {
    each(i32(w), [&](LValue*& v, LValue* at, llvm::Type* type, llvm::Align align) {
      LValue* x = b_.CreateAlignedLoad(type, at, align);
      v = type == v->getType() ? x : (vec(x) != like(vec(x), 0)).v;
    });
    total = merge(op, total, state);
  }
  return total;
}

}  // namespace wavetile
