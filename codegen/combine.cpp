// Reductions, dots and conversions: what moves between registers, lanes and warps.
#include <algorithm>
#include <functional>
#include <limits>

#include <fmt/format.h>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

namespace {
// The axis' own bits among some bases.
std::vector<size_t> bits_along(const Bases& bases, size_t axis) {
  std::vector<size_t> bits;
  for (size_t i = 0; i < bases.size(); ++i)
    if (bases[i][axis]) bits.push_back(i);
  return bits;
}
}  // namespace

// Both orders of a and b give the same, so that lanes which exchange values agree.
Lowering::State Lowering::combine(Reduction r, const State& a, const State& b) {
  Vec x = vec(a[0]), y = vec(b[0]);
  switch (r) {
    case Reduction::sum:
      return {(x + y).v};
    case Reduction::max:
      return {maximum(x, y).v};
    case Reduction::min:
      return {minimum(x, y).v};
    case Reduction::argmax: {
      Vec i = vec(a[1]), j = vec(b[1]);
      Vec greater = y < x, same = x == y;
      if (x.real()) {
        Vec nx = x != x, ny = y != y;
        greater = greater | (nx & (ny ^ like(ny, 1)));
        same = same | (nx & ny);
      }
      Vec first = greater | (same & (i < j));
      return {select(first, x, y).v, select(first, i, j).v};
    }
  }
  throw InternalError("lowering: an unknown reduction");
}

Registers Lowering::reduce(const Op& op, const Layout& to) {
  const Layout& l = laid_.of(op.args[0]);
  const Registers& x = value(op.args[0]);
  auto axis = static_cast<size_t>(l.position(op.range));
  double identity = identity_of(op.reduction);

  std::vector<std::vector<State>> parts(static_cast<size_t>(to.registers()));
  for (int r = 0; r < l.registers(); ++r) {
    LValue* v = x[static_cast<size_t>(r)];
    LValue* mask = inside(l, r, op.range);
    double id = vec(v).real() ? identity : std::clamp(identity, -2147483648.0, 2147483647.0);
    if (mask) v = select(vec(mask), vec(v), like(vec(v), id)).v;
    State s{v};
    if (op.reduction == Reduction::argmax) {
      LValue* c = widened(coordinate(l, r, op.range), l);
      if (mask) c = select(vec(mask), vec(c), like(vec(c), 2147483647)).v;
      s.push_back(c);
    }
    parts[static_cast<size_t>(part_register(l, r, to))].push_back(s);
  }
  std::vector<State> sums;
  for (auto& p : parts) {
    while (p.size() > 1) {  // a tree: short chains, small errors
      std::vector<State> half;
      for (size_t i = 0; i + 1 < p.size(); i += 2) half.push_back(combine(op.reduction, p[i], p[i + 1]));
      if (p.size() % 2) half.push_back(p.back());
      p = std::move(half);
    }
    int lane_bits = 0;
    for (size_t bit : bits_along(l.lane, axis)) lane_bits |= 1 << bit;
    State s = target_.reduce_lanes(b_, p[0], lane_bits,
                                   [&](const State& a, const State& b) { return combine(op.reduction, a, b); });
    if (vector_registers(l) && !vector_registers(to))
      for (LValue*& v : s) v = b_.CreateExtractElement(v, uint64_t{0});
    sums.push_back(s);
  }
  if (!bits_along(l.warp, axis).empty()) sums = across_warps(op.reduction, sums, l, op.range);
  Registers out;
  for (const State& s : sums) out.push_back(s.back());
  return out;
}

LValue* Lowering::shared_slot(llvm::Type* t, LValue* element, int bytes) {
  if (bytes > caps_.shared_bytes)
    throw Error(g().loc,
                fmt::format("kernel '{}' needs {} bytes of shared memory a block, {} has {}; give its schedule smaller "
                            "tiles or fewer warps",
                            g().name, bytes, caps_.name, caps_.shared_bytes));
  LValue* base = target_.shared_memory(m_, b_, bytes);
  return b_.CreateGEP(t, base, element);
}

// Every warp leaves its part in shared memory and reads those of the warps that it differs from along the axis, all
// in the same order.
std::vector<Lowering::State> Lowering::across_warps(Reduction r, std::vector<State> v, const Layout& l, RangeId axis) {
  auto bits = bits_along(l.warp, static_cast<size_t>(l.position(axis)));
  int warps = 1 << l.warp.size(), per_warp = l.without(axis).lane_uniform() ? 1 : caps_.lanes;
  int slots = static_cast<int>(v.size() * v[0].size());
  int bytes = 4 * slots * warps * per_warp;
  auto place = [&](int slot, LValue* w) {
    LValue* e = b_.CreateMul(b_.CreateAdd(b_.CreateMul(i32(slot), i32(warps)), w), i32(per_warp));
    return per_warp > 1 && !caps_.simd ? b_.CreateAdd(e, lane_) : e;
  };
  int slot = 0;
  begin_exchange();
  for (const State& s : v)
    for (LValue* x : s)
      b_.CreateAlignedStore(x, shared_slot(x->getType()->getScalarType(), place(slot++, warp_), bytes), llvm::Align(4));
  end_exchange();
  int own = 0;
  for (size_t bit : bits) own |= 1 << bit;
  LValue* others = b_.CreateAnd(warp_, i32(~own));
  slot = 0;
  std::vector<State> out;
  for (const State& s : v) {
    State total;
    for (int combination = 0; combination < 1 << bits.size(); ++combination) {
      int w = 0;
      for (size_t i = 0; i < bits.size(); ++i)
        if (combination >> i & 1) w |= 1 << bits[i];
      State part;
      for (size_t c = 0; c < s.size(); ++c)
        part.push_back(
            b_.CreateAlignedLoad(s[c]->getType(),
                                 shared_slot(s[c]->getType()->getScalarType(),
                                             place(slot + static_cast<int>(c), b_.CreateOr(others, i32(w))), bytes),
                                 llvm::Align(4)));
      total = total.empty() ? part : combine(r, total, part);
    }
    slot += static_cast<int>(s.size());
    out.push_back(total);
  }
  return out;
}

// Whether a load's registers may be read one by one where dots multiply them: nothing else uses it, it is in the dots'
// region, and no store changes what it reads.
bool Lowering::only_for_dots(int id) const {
  if (may_change_[static_cast<size_t>(g().ops[static_cast<size_t>(id)].tensor)]) return false;
  int dots = 0, others = 0;
  std::function<void(const Region&, bool)> count = [&](const Region& r, bool home) {
    for (int o : r.ops) {
      const Op& op = g().ops[static_cast<size_t>(o)];
      for (size_t i = 0; i < op.args.size(); ++i)
        if (op.args[i].op == id) ++(home && op.kind == OpKind::dot && i < 2 ? dots : others);
      for (const Index& i : op.index) others += i.offset.op == id;
      if (op.kind == OpKind::fold) {
        const auto& inner = op.body.ops;
        count(op.body, std::find(inner.begin(), inner.end(), id) != inner.end());
      }
    }
  };
  const auto& top = g().body.ops;
  count(g().body, std::find(top.begin(), top.end(), id) != top.end());
  return dots > 0 && others == 0;
}

std::vector<std::vector<int>> Lowering::dot_groups(const Op& op, const Layout& l) {
  int n = l.registers();
  std::vector<int> all;
  for (int r = 0; r < n; ++r) all.push_back(r);
  if (n <= caps_.accumulators) return {all};
  // As many rows of one operand as there are, up to half the registers, by as much of the other as fits.
  std::map<int, int> rank[2];
  std::vector<std::pair<int, int>> place(static_cast<size_t>(n));
  for (size_t i = 0; i < 2; ++i) {
    Layout part = l.restricted(without(g().type(op.args[i]).axes, op.range));
    for (int r : all) {
      int p = part_register(l, r, part);
      rank[i].emplace(p, 0);
      (i ? place[static_cast<size_t>(r)].second : place[static_cast<size_t>(r)].first) = p;
    }
    int next = 0;
    for (auto& [p, at] : rank[i]) at = next++;
  }
  int rows = std::min<int>(static_cast<int>(rank[0].size()), std::max(1, caps_.accumulators / 2));
  int columns = std::max(1, caps_.accumulators / rows);
  std::map<std::pair<int, int>, std::vector<int>> groups;
  for (int r : all) {
    auto [a, b] = place[static_cast<size_t>(r)];
    groups[{rank[1][b] / columns, rank[0][a] / rows}].push_back(r);
  }
  std::vector<std::vector<int>> out;
  for (auto& [where, regs] : groups) out.push_back(regs);
  return out;
}

// The registers that a dot starts from.
Registers Lowering::dot_start(const Op& op, const Layout& l) {
  if (op.args.size() < 3)
    return Registers(static_cast<size_t>(l.registers()),
                     llvm::Constant::getNullValue(register_type(l, op.types[0].dtype)));
  const Layout& from = laid_.of(op.args[2]);
  Registers acc;
  for (int r = 0; r < l.registers(); ++r)
    acc.push_back(widened(value(op.args[2])[static_cast<size_t>(part_register(l, r, from))], l));
  return acc;
}

LValue* Lowering::multiply_add(LValue* a, LValue* b, LValue* c) {
  if (!vec(c).real()) return (vec(c) + vec(a) * vec(b)).v;
  match(b_, {&a, &b, &c});
  return b_.CreateIntrinsic(llvm::Intrinsic::fmuladd, {c->getType()}, {a, b, c});
}

// Instruction selection would gather loads of neighbouring addresses in one place, and the registers that they fill
// long before they are read are missing among the accumulators. A fence within the thread is no instruction.
void Lowering::keep_order() { b_.CreateFence(llvm::AtomicOrdering::AcquireRelease, llvm::SyncScope::SingleThread); }

Registers Lowering::dot(const Op& op, const Layout& l) {
  RangeId k = op.range;
  int extent = g().range(k).tile;
  DType result = op.types[0].dtype;
  DType types[2] = {g().type(op.args[0]).dtype, g().type(op.args[1]).dtype};
  constexpr int most_unrolled = 96;  // multiply-adds
  if (caps_.simd && extent * l.registers() > most_unrolled) return dot_loop(op, l);

  // An operand's element, as it is stored; past k's end it counts as zero.
  auto element = [&](size_t i, int reg, int at) {
    const Layout& lo = laid_.of(op.args[i]);
    Coord c = l.at(reg, 0, 0), p;
    for (RangeId a : lo.axes) p.push_back(a == k ? at : c[static_cast<size_t>(l.position(a))]);
    int r = lo.register_at(p);
    if (r < 0) throw InternalError("lowering: a dot's operand lacks an element: " + lo.text(g()));
    auto lazy = lazy_.find(op.args[i]);
    LValue* v = lazy != lazy_.end() ? loaded(lazy->second, r) : value(op.args[i])[static_cast<size_t>(r)];
    if (LValue* mask = inside(lo, r, k))
      v = select(vec(mask), vec(v), vec(llvm::Constant::getNullValue(v->getType()))).v;
    return v;
  };
  Registers acc = dot_start(op, l);
  for (const std::vector<int>& group : dot_groups(op, l)) {
    // Reading an operand again for each group costs less than keeping it: it is in the nearest cache.
    for (Value a : {op.args[0], op.args[1]})
      if (auto lazy = lazy_.find(a); lazy != lazy_.end())
        std::fill(lazy->second.loaded.begin(), lazy->second.loaded.end(), nullptr);
    std::map<std::pair<LValue*, size_t>, LValue*> computable;
    auto ready = [&](size_t i, int reg, int at) {
      LValue* v = element(i, reg, at);
      LValue*& c = computable[{v, i}];
      if (!c) c = cast(vec(v), types[i], result).v;
      return c;
    };
    for (int at = 0; at < extent;) {
      int step = 1;
      for (int r : group) {
        LValue*& c = acc[static_cast<size_t>(r)];
        if (at + 1 < extent && types[0] == types[1] && types[0] != DType::f32) {
          if (LValue* pair = target_.dot2(b_, types[0], c, element(0, r, at), element(0, r, at + 1), element(1, r, at),
                                          element(1, r, at + 1))) {
            c = pair;
            step = 2;
            continue;
          }
        }
        c = multiply_add(ready(0, r, at), ready(1, r, at), c);
      }
      at += step;
      if (caps_.simd && at < extent) keep_order();
    }
  }
  return acc;
}

// A computed operand of a dot that loops, laid down on the stack: [other axes][k].
struct Lowering::Staged {
  LValue* buffer = nullptr;
  llvm::Type* element = nullptr;
  std::vector<int> strides;  // of the operand's axes
};

Lowering::Staged Lowering::stage(Value operand, RangeId k) {
  // What a conversion would spread over registers is better taken from where it was, unless it came from other warps.
  const Op& def = g().at(operand);
  bool stayed = def.kind == OpKind::convert && laid_.of(def.args[0]).warp == laid_.of(operand).warp;
  Value source = stayed ? def.args[0] : operand;
  const Layout& l = laid_.of(source);
  Staged s;
  s.element = llvm_type(b_.getContext(), g().type(operand).dtype);
  s.strides.assign(l.axes.size(), 0);
  auto axis = static_cast<size_t>(l.position(k));
  s.strides[axis] = 1;
  int elements = l.extent(k);
  for (size_t a = l.axes.size(); a-- > 0;)
    if (a != axis) {
      s.strides[a] = elements;
      elements *= l.extent(l.axes[a]);
    }
  Builder entry(&entry_.function->getEntryBlock(), entry_.function->getEntryBlock().begin());
  auto* slot = entry.CreateAlloca(llvm::ArrayType::get(s.element, static_cast<uint64_t>(elements)));
  slot->setAlignment(llvm::Align(64));
  s.buffer = slot;
  bool vectors = vector_registers(l);
  auto lanes = static_cast<unsigned>(caps_.lanes);
  llvm::Align align(static_cast<uint64_t>(size_of(g().type(operand).dtype)));
  for (int r = 0; r < l.registers(); ++r) {
    Coord c = l.at(r, 0, 0);
    int at = 0;
    for (size_t a = 0; a < c.size(); ++a) at += c[a] * s.strides[a];
    LValue* v = value(source)[static_cast<size_t>(r)];
    LValue* p = b_.CreateGEP(s.element, s.buffer, i64(at));
    if (!vectors) {
      b_.CreateAlignedStore(v, p, align);
      continue;
    }
    std::vector<llvm::Constant*> offsets;
    bool contiguous = true;
    for (int lane = 0; lane < caps_.lanes; ++lane) {
      Coord d = l.at(r, lane, 0);
      int64_t o = -at;
      for (size_t a = 0; a < d.size(); ++a) o += d[a] * s.strides[a];
      offsets.push_back(b_.getInt64(static_cast<uint64_t>(o)));
      contiguous &= o == lane;
    }
    if (contiguous)
      b_.CreateAlignedStore(v, p, align);
    else
      b_.CreateMaskedScatter(v, b_.CreateGEP(s.element, p, llvm::ConstantVector::get(offsets)), align,
                             splat(b_, b_.getTrue(), lanes));
  }
  return s;
}

// A dot too long to unroll: k runs in a loop, exactly as far as it reaches, so that nothing is masked. Operands are
// read from memory, or from the stack where they were computed.
Registers Lowering::dot_loop(const Op& op, const Layout& l) {
  RangeId k = op.range;
  DType result = op.types[0].dtype;
  std::map<size_t, Staged> staged;
  for (size_t i = 0; i < 2; ++i)
    if (!lazy_.contains(op.args[i])) staged[i] = stage(op.args[i], k);
  Position whole = at(k);
  LValue* count = i32(g().range(k).tile);
  if (!whole.full) count = minimum(vec(count), vec(b_.CreateSub(whole.hi, whole.base))).v;

  Registers acc = dot_start(op, l);
  for (const std::vector<int>& group : dot_groups(op, l)) {
    auto* before = b_.GetInsertBlock();
    auto* loop = llvm::BasicBlock::Create(b_.getContext(), "dot", entry_.function);
    auto* done = llvm::BasicBlock::Create(b_.getContext(), "dotted", entry_.function);
    b_.CreateCondBr(b_.CreateICmpSGT(count, i32(0)), loop, done);
    b_.SetInsertPoint(loop);
    auto* i = b_.CreatePHI(b_.getInt32Ty(), 2);
    i->addIncoming(i32(0), before);
    std::vector<llvm::PHINode*> phis;
    for (int r : group) {
      phis.push_back(b_.CreatePHI(acc[static_cast<size_t>(r)]->getType(), 2));
      phis.back()->addIncoming(acc[static_cast<size_t>(r)], before);
    }
    Position& here = at(k);
    here.base = b_.CreateAdd(whole.base, i);
    here.fixed_base = here.fixed_hi = {};
    here.aligned = false;
    here.full = true;
    std::map<size_t, Load> loads;
    std::map<std::pair<size_t, int>, LValue*> ready;
    auto element = [&](size_t o, int reg) {
      Layout one = l.restricted(without(g().type(op.args[o]).axes, k)).with_registers(k, 1);
      Coord c = l.at(reg, 0, 0), p;
      for (RangeId a : one.axes) p.push_back(a == k ? 0 : c[static_cast<size_t>(l.position(a))]);
      int r = one.register_at(p);
      LValue*& v = ready[{o, r}];
      if (v) return v;
      if (auto s = staged.find(o); s != staged.end()) {
        int fixed = 0;
        LValue* offset = b_.CreateZExt(i, b_.getInt64Ty());
        for (size_t a = 0; a < p.size(); ++a) fixed += p[a] * s->second.strides[a];
        LValue* at = b_.CreateGEP(s->second.element, s->second.buffer, b_.CreateAdd(offset, i64(fixed)));
        auto size = static_cast<uint64_t>(size_of(g().type(op.args[o]).dtype));
        if (!vector_registers(one)) {
          v = b_.CreateAlignedLoad(s->second.element, at, llvm::Align(size));
        } else {
          std::vector<llvm::Constant*> offsets;
          for (int lane = 0; lane < caps_.lanes; ++lane) {
            Coord d = one.at(r, lane, 0);
            int64_t x = -fixed;
            for (size_t a = 0; a < d.size(); ++a) x += d[a] * s->second.strides[a];
            offsets.push_back(b_.getInt64(static_cast<uint64_t>(x)));
          }
          auto* t = llvm::FixedVectorType::get(s->second.element, static_cast<unsigned>(caps_.lanes));
          v = b_.CreateMaskedGather(t, b_.CreateGEP(s->second.element, at, llvm::ConstantVector::get(offsets)),
                                    llvm::Align(size));
        }
      } else {
        auto load = loads.find(o);
        if (load == loads.end()) load = loads.emplace(o, plan_load(*lazy_.at(op.args[o]).op, one)).first;
        v = loaded(load->second, r);
      }
      return v = cast(vec(v), g().type(op.args[o]).dtype, result).v;
    };
    Registers sums;
    for (size_t n = 0; n < group.size(); ++n)
      sums.push_back(multiply_add(element(0, group[n]), element(1, group[n]), phis[n]));
    here = whole;
    LValue* next = b_.CreateAdd(i, i32(1));
    auto* latch = b_.GetInsertBlock();
    i->addIncoming(next, latch);
    for (size_t n = 0; n < group.size(); ++n) phis[n]->addIncoming(sums[n], latch);
    b_.CreateCondBr(b_.CreateICmpSLT(next, count), loop, done);
    b_.SetInsertPoint(done);
    for (size_t n = 0; n < group.size(); ++n) {
      auto* phi = b_.CreatePHI(sums[n]->getType(), 2);
      phi->addIncoming(acc[static_cast<size_t>(group[n])], before);
      phi->addIncoming(sums[n], latch);
      acc[static_cast<size_t>(group[n])] = phi;
    }
  }
  return acc;
}

Registers Lowering::convert(const Registers& v, const Layout& from, const Layout& to, DType dtype) {
  Conversion plan = plan_conversion(from, to);
  if (plan.kind == Conversion::identity) return v;
  Registers out;
  if (plan.kind != Conversion::shared) {
    for (const auto& sources : plan.sources) {
      LValue* result = nullptr;
      if (vector_registers(from) && !vector_registers(to)) {
        result =
            b_.CreateExtractElement(v[static_cast<size_t>(sources[0].reg)], static_cast<uint64_t>(sources[0].from(0)));
      } else {
        for (const Source& s : sources) {
          LValue* x = v[static_cast<size_t>(s.reg)];
          bool lanes_differ = caps_.simd ? vector_registers(from) : !from.lane_uniform();
          if (lanes_differ && !s.from.identity()) x = target_.shuffle(b_, x, s.from);
          x = widened(x, to);
          if (!result) {
            result = x;
            continue;
          }
          LValue* mine = nullptr;
          if (caps_.simd) {
            std::vector<llvm::Constant*> bits;
            for (bool b : s.lanes) bits.push_back(b_.getInt1(b));
            mine = llvm::ConstantVector::get(bits);
          } else {
            uint64_t bits = 0;
            for (size_t i = 0; i < s.lanes.size(); ++i) bits |= uint64_t{s.lanes[i]} << i;
            mine =
                b_.CreateTrunc(b_.CreateLShr(b_.getInt64(bits), b_.CreateZExt(lane_, b_.getInt64Ty())), b_.getInt1Ty());
          }
          result = b_.CreateSelect(mine, x, result);
        }
      }
      out.push_back(result);
    }
    return out;
  }
  // Through shared memory, at the element's place in a dense tile. What only the new layout covers lies beyond the tile
  // and is nowhere: any element does for it.
  llvm::Type* e = llvm_type(b_.getContext(), dtype == DType::b1 ? DType::u8 : dtype);
  int size = size_of(dtype), elements = 1;
  std::vector<int> strides(from.axes.size());
  for (size_t a = from.axes.size(); a-- > 0;) {
    strides[a] = elements;
    elements *= from.extent(from.axes[a]);
  }
  auto place = [&](const Layout& l, int r) {
    Coord c = l.at(r, 0, 0);
    int fixed = 0;
    for (size_t a = 0; a < c.size(); ++a) fixed += std::min(c[a], from.extent(from.axes[a]) - 1) * strides[a];
    Vec sum = vec(i32(fixed));
    for (size_t a = 0; a < c.size(); ++a)
      if (LValue* in_block = local(l, a)) {
        int room = std::max(0, from.extent(from.axes[a]) - 1 - c[a]);
        Vec moved =
            l.extent(l.axes[a]) > from.extent(l.axes[a]) ? minimum(vec(in_block), vec(i32(room))) : vec(in_block);
        sum = moved * vec(i32(strides[a])) + sum;
      }
    return sum.v;
  };
  llvm::Align align(static_cast<uint64_t>(size));
  auto lanes = static_cast<unsigned>(caps_.lanes);
  begin_exchange();
  store_where(owner(from), [&] {
    for (int r = 0; r < from.registers(); ++r) {
      LValue* x = v[static_cast<size_t>(r)];
      if (dtype == DType::b1)
        x = b_.CreateZExt(x, width(x) ? static_cast<llvm::Type*>(llvm::FixedVectorType::get(e, width(x))) : e);
      LValue* p = shared_slot(e, place(from, r), elements * size);
      if (width(x))
        b_.CreateMaskedScatter(x, splat(b_, p, lanes), align);
      else
        b_.CreateAlignedStore(x, p, align);
    }
  });
  end_exchange();
  for (int r = 0; r < to.registers(); ++r) {
    LValue* p = shared_slot(e, place(to, r), elements * size);
    LValue* x = vector_registers(to) ? static_cast<LValue*>(b_.CreateMaskedGather(llvm::FixedVectorType::get(e, lanes),
                                                                                  splat(b_, p, lanes), align))
                                     : b_.CreateAlignedLoad(e, p, align);
    if (dtype == DType::b1) x = (vec(x) != like(vec(x), 0)).v;
    out.push_back(x);
  }
  return out;
}

}  // namespace wavetile
