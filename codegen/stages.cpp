// Loops over a fold's full blocks, and software pipelining: with s stages, a block's tiles are loaded s - 1 blocks
// before they are computed with.
//
//   held = tiles of blocks 0 .. s-2
//   for each full block i:
//     issue the tiles of block i + s-1;   body(i) with the oldest tiles that are held
//
// Past the last full block the current one is loaded again: no address is out of range, and there is no branch around
// the loads, after which a wait for the oldest would be a wait for all.
//
// The loop holds s bodies, so that each set of tiles has registers, and shared memory, of its own. What body j writes
// to shared memory, others read until they come to the barrier of the body after it; body j writes there again s bodies
// later. So no barrier is needed before it does.
#include <algorithm>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

// What is loaded at places that ranges alone make up, of the fold's range too, and never stored. Bools and what a shift
// may take outside a tensor are changed after they have been loaded: where that happens they are waited for.
std::vector<int> Lowering::loads_ahead(const Op& fold) const {
  std::vector<int> loads;
  for (int id : fold.body.ops) {
    const Op& op = g().ops[static_cast<size_t>(id)];
    if (op.kind == OpKind::fold) return {};
    if (op.kind != OpKind::load || may_change_[static_cast<size_t>(op.tensor)] || op.types[0].dtype == DType::b1)
      continue;
    bool moves = std::any_of(op.index.begin(), op.index.end(), [&](const Index& i) { return i.range == fold.range; });
    bool plain = std::none_of(op.index.begin(), op.index.end(), [](const Index& i) { return i.offset; });
    if (moves && plain) loads.push_back(id);
  }
  return loads;
}

// The tiles of a block as they come from memory: to take a vector apart would be to wait for it.
struct Lowering::Held {
  struct Part {
    size_t value;
    LValue* element;  // null: all of it
  };
  Registers values;
  std::vector<std::vector<Part>> tiles;  // of each load, of each register
};

Lowering::Held Lowering::issue(const std::vector<int>& loads, RangeId r, const Position& p) {
  const auto outer = positions_;
  positions_[r] = p;
  Held held;
  std::map<LValue*, size_t> place;
  for (int id : loads) {
    held.tiles.emplace_back();
    for (LValue* v : load(g().ops[static_cast<size_t>(id)], laid_.layouts[static_cast<size_t>(id)][0])) {
      auto* e = llvm::dyn_cast<llvm::ExtractElementInst>(v);
      LValue* whole = e ? e->getVectorOperand() : v;
      auto [at, fresh] = place.try_emplace(whole, held.values.size());
      if (fresh) held.values.push_back(whole);
      held.tiles.back().push_back({at->second, e ? e->getIndexOperand() : nullptr});
    }
  }
  positions_ = outer;
  target_.keep_loads_early(b_);
  return held;
}

namespace {
// Values become phis of the block that the builder stands in.
class Carried {
 public:
  Carried(Builder& b, Registers& values, llvm::BasicBlock* from) {
    for (LValue*& v : values) {
      phis_.push_back(b.CreatePHI(v->getType(), 2));
      phis_.back()->addIncoming(v, from);
      v = phis_.back();
    }
  }
  void add(const Registers& values, llvm::BasicBlock* from) {
    for (size_t n = 0; n < values.size(); ++n) phis_[n]->addIncoming(values[n], from);
  }

 private:
  std::vector<llvm::PHINode*> phis_;
};
}  // namespace

// The tiles of the first blocks; of any values, where not even the first block is full.
std::vector<Lowering::Held> Lowering::issue_first(const std::vector<int>& loads, RangeId r, const Bounds& bounds,
                                                  int blocks) {
  const int tile = g().range(r).tile;
  auto* before = b_.GetInsertBlock();
  auto* first = llvm::BasicBlock::Create(b_.getContext(), g().range(r).name + ".first", entry_.function);
  auto* issued = llvm::BasicBlock::Create(b_.getContext(), g().range(r).name + ".issued", entry_.function);
  LValue* last = b_.CreateSub(bounds.hi, i32(tile));  // the last place where a full block may begin
  b_.CreateCondBr(b_.CreateICmpSLE(bounds.lo, last), first, issued);
  b_.SetInsertPoint(first);
  std::vector<Held> held;
  for (int n = 0; n < blocks; ++n) {
    LValue* at = b_.CreateAdd(bounds.lo, i32(int64_t{n} * tile));
    at = b_.CreateSelect(b_.CreateICmpSLE(at, last), at, bounds.lo);
    held.push_back(issue(loads, r, {at, bounds.hi, {}, {}, bounds.aligned, true}));
  }
  auto* from = b_.GetInsertBlock();
  b_.CreateBr(issued);
  b_.SetInsertPoint(issued);
  for (Held& h : held) {
    Carried phis(b_, h.values, from);
    Registers none;
    for (LValue* v : h.values) none.push_back(llvm::PoisonValue::get(v->getType()));
    phis.add(none, before);
  }
  return held;
}

// The body for a full block whose tiles are held; gives the state after it.
std::vector<Registers> Lowering::with_held(const Op& fold, const Position& p, const std::vector<int>& loads,
                                           const Held& held, const std::vector<Registers>& state) {
  auto kept = values_;
  for (size_t n = 0; n < loads.size(); ++n) {
    Registers& tile = values_[{loads[n], 0}];
    tile.clear();
    for (const Held::Part& part : held.tiles[n]) {
      LValue* v = held.values[part.value];
      tile.push_back(part.element ? b_.CreateExtractElement(v, part.element) : v);
    }
    lazy_.erase({loads[n], 0});
  }
  auto out = block(fold, p, state);
  values_ = kept;
  return out;
}

namespace {
// Where a block begins and the state before it, one after the other.
Registers joined(LValue* base, const std::vector<Registers>& state) {
  Registers all{base};
  for (const Registers& regs : state) all.insert(all.end(), regs.begin(), regs.end());
  return all;
}
std::vector<Registers> state_of(const Registers& all, std::vector<Registers> like) {
  size_t n = 1;
  for (Registers& regs : like)
    for (LValue*& v : regs) v = all[n++];
  return like;
}
// What a condition decides: its body runs, or does not.
bool at_most_once(const Graph& g, const RangeInfo& r) {
  const Op& steps = g.at(r.hi);
  return r.tile == 1 && !r.lo && steps.kind == OpKind::map && steps.fn == Fn::cast &&
         g.type(steps.args[0]).dtype == DType::b1;
}
}  // namespace

Lowering::Walked Lowering::loop(const Op& fold, const Bounds& bounds, const std::vector<Registers>& start) {
  const RangeId r = fold.range;
  const RangeInfo& info = g().range(r);
  std::vector<int> loads;
  if (schedule_.stages > 1 && !caps_.simd) loads = loads_ahead(fold);
  int stages = loads.empty() ? 1 : schedule_.stages;
  if (bounds.extent) stages = static_cast<int>(std::min<int64_t>(stages, *bounds.extent / info.tile));
  const int ahead = stages - 1;
  if (!ahead) loads.clear();
  // Warps that go on alone, or each over a part of the range, meet at no barrier.
  const bool in_turn = ahead && schedule_.warps > 1 && !together_ && !shared(fold);
  std::vector<Held> held;
  if (ahead) held = issue_first(loads, r, bounds, ahead);

  auto new_block = [&](const char* name) {
    return llvm::BasicBlock::Create(b_.getContext(), info.name + name, entry_.function);
  };
  auto* before = b_.GetInsertBlock();
  auto* head = new_block(".head");
  std::vector<llvm::BasicBlock*> bodies;
  for (int j = 0; j < stages; ++j) bodies.push_back(new_block(".body"));
  auto* done = new_block(".done");
  auto* enter = b_.CreateBr(head);
  b_.SetInsertPoint(head);
  Registers now = joined(bounds.lo, start);
  std::vector<Carried> carried;
  carried.emplace_back(b_, now, before);
  for (Held& h : held) carried.emplace_back(b_, h.values, before);
  now[0]->setName(info.name);

  std::vector<std::pair<Registers, llvm::BasicBlock*>> left;  // what there is where the loop is left
  const Order entry = order_;
  const int from = shared_from_;
  LValue* last = ahead ? b_.CreateSub(bounds.hi, i32(int64_t{stages} * info.tile)) : nullptr;
  for (int j = 0; j < stages; ++j) {
    LValue *base = now[0], *next = b_.CreateAdd(base, i32(info.tile), "", false, true);
    left.emplace_back(now, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLE(next, bounds.hi), bodies[static_cast<size_t>(j)], done);
    b_.SetInsertPoint(bodies[static_cast<size_t>(j)]);
    Position p{base, bounds.hi, {}, {}, bounds.aligned, true};
    if (ahead) {
      Position later = p;
      later.base =
          b_.CreateSelect(b_.CreateICmpSLE(base, last), b_.CreateAdd(base, i32(int64_t{ahead} * info.tile)), base);
      held.push_back(issue(loads, r, later));
    }
    order_ = entry;
    const Order before_body = begin_body(fold, !at_most_once(g(), info));
    if (in_turn) order_.being_read = false;
    if (j == 0) shared_used_ = 0;
    auto state = with_held(fold, p, loads, ahead ? held.front() : Held{}, state_of(now, start));
    end_body(before_body);
    if (ahead) held.erase(held.begin());
    if (in_turn && shared_used_) {
      const int turn = (shared_used_ + 15) / 16 * 16;
      shared_memory(from + stages * turn);  // there is enough of it for all
      shared_from_ = from + (j + 1) * turn;
    }
    now = joined(next, state);
  }
  shared_from_ = from;
  at_line(fold.loc);
  carried[0].add(now, b_.GetInsertBlock());
  for (size_t n = 0; n < held.size(); ++n) carried[n + 1].add(held[n].values, b_.GetInsertBlock());
  b_.CreateBr(head);
  if (in_turn && entry.being_read && order_.exchanges > entry.exchanges) {
    b_.SetInsertPoint(enter);
    part(Target::Memory::shared);
  }
  b_.SetInsertPoint(done);
  now = left[0].first;
  if (ahead) {
    Carried after(b_, now, left[0].second);
    for (size_t j = 1; j < left.size(); ++j) after.add(left[j].first, left[j].second);
  }
  return {now[0], state_of(now, start)};
}

}  // namespace wavetile
