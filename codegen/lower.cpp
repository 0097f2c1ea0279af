#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "codegen/lowering.h"
#include "dsl/check.h"

namespace wavetile {

using LValue = llvm::Value;

Lowering::Lowering(const Graph& recorded, const LaidOut& laid, const Signature& sig, const Schedule& schedule,
                   const Target& target, llvm::Module& m)
    : recorded_(recorded),
      laid_(laid),
      sig_(sig),
      schedule_(schedule),
      target_(target),
      caps_(target.caps()),
      m_(m),
      b_(m.getContext()) {
  int slots = 0;
  for (const TensorParam& t : g().tensors) {
    slot_.push_back(slots);
    slots += 1 + 2 * t.rank;
  }
  for (size_t i = 0; i < g().scalars.size(); ++i) scalar_slot_.push_back(slots++);
  // Workspaces, which follow, are never both stored and loaded by one stage.
  for (size_t i = 0; i < g().tensors.size(); ++i)
    may_change_.push_back(i < recorded.tensors.size() && may_change(recorded, static_cast<int>(i)));
}

void Lowering::run(const std::string& symbol) {
  int slots = 0;
  for (const TensorParam& t : g().tensors) slots += 1 + 2 * t.rank;
  slots += static_cast<int>(g().scalars.size());
  entry_ = target_.begin_kernel(m_, b_, symbol, slots, schedule_.warps);
  begin_lines();
  if (!caps_.simd) lane_ = target_.lane_id(b_);
  warp_ = schedule_.warps > 1 ? target_.warp_id(b_) : i32(0);
  setup_ = b_.GetInsertBlock();

  // Scalars that the grid's extents are made of come first and hold for all blocks.
  std::function<void(Value)> early = [&](Value v) {
    if (!v || values_.contains(v)) return;
    for (Value a : g().at(v).args) early(a);
    op(v.op);
  };
  std::vector<RangeId> parallel;
  for (size_t r = 0; r < g().ranges.size(); ++r)
    if (g().ranges[r].kind == RangeKind::parallel) {
      early(g().ranges[r].hi);
      parallel.push_back(static_cast<RangeId>(r));
    }
  for (size_t r = 0; r < g().ranges.size(); ++r)
    if (g().ranges[r].kind == RangeKind::whole && g().ranges[r].hi) {
      Position& p = positions_[static_cast<RangeId>(r)];
      p.base = i32(0);
      p.fixed_base = 0;
      p.fixed_hi = g().extent(static_cast<RangeId>(r));
      p.hi = i32(*p.fixed_hi);
    }

  target_.run_blocks(b_, entry_, [&](LValue* block) {
    std::vector<LValue*> coordinates = walk_grid(block);
    LValue* all_full = b_.getTrue();
    for (size_t i = 0; i < parallel.size(); ++i) {
      RangeId r = parallel[i];
      Position& p = positions_[r];
      p.base = b_.CreateMul(coordinates[i], i32(g().range(r).tile));
      p.hi = scalar(g().range(r).hi);
      if (auto e = g().extent(r)) p.fixed_hi = e;
      bool exact = g().range(r).tile == 1 || (p.fixed_hi && *p.fixed_hi % g().range(r).tile == 0);
      p.full = exact;
      if (!exact)
        all_full = b_.CreateAnd(all_full, b_.CreateICmpSLE(b_.CreateAdd(p.base, i32(g().range(r).tile)), p.hi));
    }
    auto kept = values_;
    if (auto* c = llvm::dyn_cast<llvm::ConstantInt>(all_full); c && c->isOne()) {
      block_body();
      values_ = kept;
      return;
    }
    // Full blocks and the blocks at the edge are separate code: masks only in the latter.
    llvm::Function* f = entry_.function;
    auto* full = llvm::BasicBlock::Create(b_.getContext(), "full", f);
    auto* edge = llvm::BasicBlock::Create(b_.getContext(), "edge", f);
    auto* done = llvm::BasicBlock::Create(b_.getContext(), "done", f);
    b_.CreateCondBr(all_full, full, edge);
    std::map<RangeId, bool> exact;
    for (RangeId r : parallel) exact[r] = positions_[r].full;
    for (bool is_full : {true, false}) {
      b_.SetInsertPoint(is_full ? full : edge);
      for (RangeId r : parallel) positions_[r].full = is_full || exact[r];
      block_body();
      values_ = kept;
      b_.CreateBr(done);
    }
    b_.SetInsertPoint(done);
  });
  end_lines();
}

LValue* Lowering::blocks_of(RangeId r) {
  int tile = g().range(r).tile;
  return b_.CreateUDiv(b_.CreateAdd(scalar(g().range(r).hi), i32(tile - 1)), i32(tile));
}

// The block numbers of each parallel range. Every step of the walk takes the largest multiple of the volume that the
// steps inside it cover; a run at the end may be shorter than the others.
std::vector<LValue*> Lowering::walk_grid(LValue* block) {
  std::vector<RangeId> ranges;
  std::vector<LValue*> left, at;  // blocks that remain inside the steps taken, and the first of them
  for (size_t r = 0; r < g().ranges.size(); ++r)
    if (g().ranges[r].kind == RangeKind::parallel) {
      ranges.push_back(static_cast<RangeId>(r));
      left.push_back(blocks_of(static_cast<RangeId>(r)));
      at.push_back(i32(0));
    }
  std::vector<Walk> steps = schedule_.order;
  for (RangeId r : ranges)
    if (std::none_of(steps.begin(), steps.end(),
                     [&](const Walk& w) { return w.axis == g().range(r).name && w.run == 0; }))
      steps.push_back({g().range(r).name, 0});
  for (const Walk& w : steps) {
    for (size_t i = 0; i < ranges.size(); ++i) {
      if (g().range(ranges[i]).name != w.axis) continue;
      LValue* volume = w.run ? i32(w.run) : i32(1);
      for (size_t o = 0; o < ranges.size(); ++o)
        if (o != i) volume = b_.CreateMul(volume, left[o]);
      LValue* step = b_.CreateUDiv(block, volume);
      block = b_.CreateSub(block, b_.CreateMul(step, volume));
      LValue* skipped = w.run ? b_.CreateMul(step, i32(w.run)) : step;
      at[i] = b_.CreateAdd(at[i], skipped);
      left[i] = w.run ? (minimum(vec(i32(w.run)), vec(b_.CreateSub(left[i], skipped)))).v : i32(1);
    }
  }
  return at;
}

// A number that a scalar is known to be a multiple of.
int64_t Lowering::multiple_of(Value v) const {
  if (auto c = g().constant(v)) return static_cast<int64_t>(*c);
  const Op& op = g().at(v);
  if (op.kind == OpKind::iota && op.iota == IotaKind::first && g().range(op.range).kind == RangeKind::parallel)
    return g().range(op.range).tile;
  if (op.kind != OpKind::map || op.args.size() != 2) return 1;
  int64_t a = multiple_of(op.args[0]), b = multiple_of(op.args[1]);
  switch (op.fn) {
    case Fn::add:
    case Fn::sub:
    case Fn::min:
    case Fn::max:
      return std::gcd(a, b);
    case Fn::mul:
      return a * b;
    default:
      return 1;
  }
}

LValue* Lowering::scalar(Value v) {
  if (auto c = g().constant(v)) return i32(static_cast<int64_t>(*c));
  return value(v)[0];
}

llvm::Type* Lowering::register_type(const Layout& l, DType t) {
  llvm::Type* e = llvm_type(b_.getContext(), t);
  return vector_registers(l) ? llvm::FixedVectorType::get(e, static_cast<unsigned>(caps_.lanes)) : e;
}

LValue* Lowering::widened(LValue* v, const Layout& l) {
  return vector_registers(l) ? splat(b_, v, static_cast<unsigned>(caps_.lanes)) : v;
}

int Lowering::part_register(const Layout& l, int reg, const Layout& part) const {
  Coord c = l.at(reg, 0, 0), p;
  for (RangeId a : part.axes) {
    int i = l.position(a);
    p.push_back(i < 0 ? 0 : c[static_cast<size_t>(i)]);
  }
  int r = part.register_at(p);
  if (r < 0)
    throw InternalError("lowering: a tile lacks an element of its broadcast: " + l.text(g()) + " from " +
                        part.text(g()));
  return r;
}

// The coordinate that a run-time lane or warp number adds along an axis; bits that step evenly share one shift.
LValue* Lowering::from_bits(LValue* id, const Bases& bases, size_t axis) {
  LValue* sum = nullptr;
  for (size_t i = 0; i < bases.size();) {
    int c = bases[i][axis];
    if (c == 0) {
      ++i;
      continue;
    }
    size_t n = 1;
    while (i + n < bases.size() && bases[i + n][axis] == c << n) ++n;
    LValue* part = b_.CreateAnd(b_.CreateLShr(id, i32(static_cast<int>(i))), i32((1 << n) - 1));
    part = b_.CreateMul(part, i32(c));
    sum = sum ? b_.CreateOr(sum, part) : part;
    i += n;
  }
  return sum;
}

LValue* Lowering::local(const Layout& l, size_t axis) {
  LValue* w = from_bits(warp_, l.warp, axis);
  if (!caps_.simd) {
    LValue* t = from_bits(lane_, l.lane, axis);
    return !t ? w : !w ? t : b_.CreateOr(t, w);
  }
  bool moves = std::any_of(l.lane.begin(), l.lane.end(), [&](const Coord& c) { return c[axis] != 0; });
  if (!moves) return w;
  std::vector<llvm::Constant*> lanes;
  for (int i = 0; i < caps_.lanes; ++i) {
    int c = 0;
    for (size_t bit = 0; bit < l.lane.size(); ++bit)
      if (i >> bit & 1) c ^= l.lane[bit][axis];
    lanes.push_back(b_.getInt32(static_cast<uint32_t>(c)));
  }
  LValue* v = llvm::ConstantVector::get(lanes);
  return w ? (vec(v) + vec(w)).v : v;
}

LValue* Lowering::coordinate(const Layout& l, int reg, RangeId r) {
  auto axis = static_cast<size_t>(l.position(r));
  LValue *c = at(r).base, *in_block = local(l, axis);
  if (in_block) c = (vec(in_block) + vec(c)).v;
  return (vec(c) + l.at(reg, 0, 0)[axis]).v;
}

// Against what is left of the range: then registers differ by constants alone. A mask is a comparison, and where lanes
// are threads a pair of scalars, of which there are few dozens: none is kept for a loop to come.
LValue* Lowering::inside(const Layout& l, int reg, RangeId r) {
  const Position& p = at(r);
  auto axis = static_cast<size_t>(l.position(r));
  if (p.full) return nullptr;
  const int c = l.at(reg, 0, 0)[axis];
  if (p.fixed_base && p.fixed_hi) {
    int reach = c;
    for (const Bases* bs : {&l.lane, &l.warp})
      for (const Coord& b : *bs) reach += b[axis];
    if (*p.fixed_base + reach < *p.fixed_hi) return nullptr;
  }
  LValue *in_block = local(l, axis), *left = target_.fresh(b_, b_.CreateSub(p.hi, p.base));
  Vec own = in_block ? vec(in_block) + c : vec(i32(c));
  return (own < vec(left)).v;
}

void Lowering::block_body() {
  begin_region();
  region(g().body);
  if (!together_) return;
  b_.CreateBr(together_);
  b_.SetInsertPoint(together_);
  together_ = nullptr;
}

void Lowering::region(const Region& r) {
  const Region* outer = std::exchange(region_, &r);
  bool asked = false;  // for tiles that are to be on their way before what follows
  for (int id : r.ops) {
    if (values_.contains({id, 0})) continue;
    const Op& next = g().ops[static_cast<size_t>(id)];
    if (!waits_for_nothing(next)) receive();
    if (asked && next.kind != OpKind::load && !next.types.empty() && !next.types[0].axes.empty()) {
      target_.keep_loads_early(b_);
      asked = false;
    }
    op(id);
    asked |= !caps_.simd && next.kind == OpKind::load && !next.types[0].axes.empty() && !lazy_.contains({id, 0});
  }
  region_ = outer;
}

void Lowering::op(int id) {
  const Op& op = g().ops[static_cast<size_t>(id)];
  at_line(op.loc);
  const auto& layouts = laid_.layouts[static_cast<size_t>(id)];
  Value self{id, 0};
  switch (op.kind) {
    case OpKind::param: {
      if (op.param == ParamKind::carried) return;  // bound by the fold
      if (op.param == ParamKind::dim) {
        values_[self] = {extent(op.tensor, static_cast<size_t>(op.dim))};
      } else {
        LValue* bits = b_.CreateTrunc(entry_.args[static_cast<size_t>(scalar_slot_[static_cast<size_t>(op.tensor)])],
                                      b_.getInt32Ty());
        values_[self] = {op.types[0].dtype == DType::f32 ? b_.CreateBitCast(bits, b_.getFloatTy()) : bits};
      }
      return;
    }
    case OpKind::constant: {
      llvm::Type* e = llvm_type(b_.getContext(), op.types[0].dtype);
      double x = op.constant;
      LValue* c = nullptr;
      switch (op.types[0].dtype) {
        case DType::f32:
          c = llvm::ConstantFP::get(e, x);
          break;
        case DType::bf16:
          c = llvm::ConstantInt::get(e, to_bf16(static_cast<float>(x)));
          break;
        case DType::f16:
          c = llvm::ConstantInt::get(e, to_f16(static_cast<float>(x)));
          break;
        default:
          c = llvm::ConstantInt::get(e, static_cast<uint64_t>(static_cast<int64_t>(x)), false, true);
      }
      values_[self] = Registers(static_cast<size_t>(layouts[0].registers()), widened(c, layouts[0]));
      return;
    }
    case OpKind::iota: {
      if (op.iota == IotaKind::coordinate) {
        Registers r;
        for (int i = 0; i < layouts[0].registers(); ++i)
          r.push_back(widened(coordinate(layouts[0], i, op.range), layouts[0]));
        values_[self] = r;
      } else {
        Position& p = at(op.range);
        LValue* end = b_.CreateAdd(p.base, i32(g().range(op.range).tile));
        if (!p.full) end = minimum(vec(end), vec(p.hi)).v;
        values_[self] = {op.iota == IotaKind::first ? p.base : b_.CreateSub(end, i32(1))};
      }
      return;
    }
    case OpKind::map:
      return map_op(op, id);
    case OpKind::reduce:
      values_[self] = reduce(id, layouts[0]);
      return;
    case OpKind::dot:
      if (auto use = laid_.matrix.find(id); use != laid_.matrix.end())
        values_[self] = matrix_dot(op, layouts[0], use->second);
      else
        values_[self] = dot(op, layouts[0]);
      return;
    case OpKind::load:
      order_access(op, layouts[0]);
      if (only_for_dots(id)) {
        lazy_.insert_or_assign(self, plan_load(op, layouts[0]));
        values_[self] = {};
      } else {
        values_[self] = load(op, layouts[0]);
      }
      return;
    case OpKind::store:
      order_access(op, layouts[0]);
      return store(op, layouts[0]);
    case OpKind::convert:
      return convert(op, self);
    case OpKind::fold:
      return fold(op, id);
    case OpKind::yield:
      return;
  }
}

void Lowering::map_op(const Op& op, int id) {
  const Layout& l = laid_.of({id, 0});
  Registers out;
  if (auto known = known_.find(id); known != known_.end()) {
    values_[{id, 0}] = Registers(static_cast<size_t>(l.registers()), widened(b_.getInt1(known->second), l));
    return;
  }
  for (int r = 0; r < l.registers(); ++r) {
    std::vector<Vec> args;
    for (Value a : op.args) {
      const Layout& la = laid_.of(a);
      LValue* v = value(a)[static_cast<size_t>(la == l ? r : part_register(l, r, la))];
      args.push_back(vec(v));
    }
    DType from = g().type(op.args[0]).dtype, to = op.types[0].dtype;
    LValue* v = nullptr;
    if (op.fn == Fn::cast) {
      v = cast(args[0], from, to).v;
    } else if (op.fn == Fn::bitcast) {
      llvm::Type* e = llvm_type(b_.getContext(), to);
      v = b_.CreateBitCast(args[0].v, width(args[0].v) ? llvm::FixedVectorType::get(e, width(args[0].v)) : e);
    } else {
      v = function(op.fn, args);
    }
    out.push_back(widened(v, l));
  }
  values_[{id, 0}] = out;
}

LValue* Lowering::function(Fn fn, const std::vector<Vec>& args) {
  std::vector<LValue*> values;
  for (const Vec& a : args) values.push_back(a.v);
  LValue* v = args[0].real() ? target_.function(b_, fn, values) : nullptr;
  return v ? v : wavetile::apply(fn, args).v;
}

void Lowering::fold(const Op& op, int id) {
  const RangeInfo& info = g().range(op.range);
  Bounds bounds{info.lo ? scalar(info.lo) : i32(0), scalar(info.hi), g().extent(op.range), {}, true};
  auto lo = info.lo ? g().constant(info.lo) : std::optional<double>(0);
  if (lo) bounds.fixed_lo = static_cast<int64_t>(*lo);
  bounds.aligned = !info.lo || multiple_of(info.lo) % info.tile == 0;

  std::vector<Registers> state;
  for (Value v : op.args) state.push_back(value(v));
  state = shared(op) ? share(op, bounds, state) : walk(op, bounds, std::move(state));
  for (size_t i = 0; i < state.size(); ++i) values_[{id, static_cast<int>(i)}] = state[i];
  if (state.empty()) values_[{id, 0}] = {};
}

// What a region of a fold yields, in the layout of the state.
Registers Lowering::yielded(const Op& fold, const Region& r, size_t i) {
  Value v = g().ops[static_cast<size_t>(r.ops.back())].args[i];
  const Layout &to = laid_.of(fold.body.params[i]), &from = laid_.of(v);
  Registers regs;
  for (int k = 0; k < to.registers(); ++k)
    regs.push_back(widened(value(v)[static_cast<size_t>(part_register(to, k, from))], to));
  return regs;
}

// The body for one block of the range.
std::vector<Registers> Lowering::block(const Op& fold, const Position& p, const std::vector<Registers>& state) {
  auto kept = values_;
  auto outer = positions_;
  positions_[fold.range] = p;
  for (size_t i = 0; i < state.size(); ++i) values_[fold.body.params[i]] = state[i];
  region(fold.body);
  std::vector<Registers> out;
  for (size_t i = 0; i < state.size(); ++i) out.push_back(yielded(fold, fold.body, i));
  values_ = kept;
  positions_ = outer;
  return out;
}

// A loop over full blocks, then the rest as one masked block; either is left out where it is known not to run.
std::vector<Registers> Lowering::walk(const Op& op, const Bounds& bounds, std::vector<Registers> state) {
  RangeId r = op.range;
  const RangeInfo& info = g().range(r);
  auto [lo, hi, extent, fixed_lo, aligned] = bounds;
  if (extent && *extent == info.tile) {  // one block
    Position p{lo, hi, {}, {}, aligned, true};
    p.fixed_base = fixed_lo;
    return block(op, p, state);
  }
  LValue* base = lo;
  if (!extent || *extent >= info.tile) {
    Walked w = full_blocks(op, bounds, state);
    base = w.base;
    state = std::move(w.state);
  }
  if (info.tile > 1 && (!extent || *extent % info.tile != 0)) {
    auto* before = b_.GetInsertBlock();
    auto* rest = llvm::BasicBlock::Create(b_.getContext(), info.name + ".rest", entry_.function);
    auto* done = llvm::BasicBlock::Create(b_.getContext(), info.name + ".end", entry_.function);
    b_.CreateCondBr(b_.CreateICmpSLT(base, hi), rest, done);
    b_.SetInsertPoint(rest);
    const Order before_rest = begin_body(op, false);
    auto out = block(op, {base, hi, {}, {}, aligned, false}, state);
    end_body(before_rest);
    auto* from = b_.GetInsertBlock();
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    for (size_t s = 0; s < out.size(); ++s)
      for (size_t k = 0; k < out[s].size(); ++k) {
        auto* phi = b_.CreatePHI(out[s][k]->getType(), 2);
        phi->addIncoming(state[s][k], before);
        phi->addIncoming(out[s][k], from);
        state[s][k] = phi;
      }
  }
  return state;
}

void lower(const Graph& recorded, const LaidOut& laid, const Signature& sig, const Schedule& schedule,
           const Target& target, llvm::Module& m, const std::string& symbol) {
  Lowering(recorded, laid, sig, schedule, target, m).run(symbol);
}

}  // namespace wavetile
