// Dots: by matrix instructions where the layouts say so, else by multiply-adds of each lane.
#include <algorithm>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

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

// Results and operands come in fragments, one instruction's worth of registers side by side. Fragments of an operand
// that a coordinate names serve all instructions that want them.
Registers Lowering::matrix_dot(const Op& op, const Layout& l, const MatrixUse& use) {
  const MatrixUnit& unit = *use.unit;
  RangeId k = op.range;
  auto vector_of = [&](const Registers& regs) {
    auto* type = llvm::FixedVectorType::get(regs[0]->getType(), static_cast<unsigned>(regs.size()));
    LValue* v = llvm::PoisonValue::get(type);
    for (size_t i = 0; i < regs.size(); ++i) v = b_.CreateInsertElement(v, regs[i], uint64_t{i});
    return v;
  };
  auto size_of_fragment = [](const Layout& fragment) { return 1 << fragment.reg.size(); };
  std::map<std::pair<size_t, int>, LValue*> fragments;  // by operand and first register
  auto fragment = [&](size_t i, const Coord& c, int at) {
    const Layout& lo = laid_.of(op.args[i]);
    Coord p;
    for (RangeId a : lo.axes) p.push_back(a == k ? at : c[static_cast<size_t>(l.position(a))]);
    int first = lo.register_at(p), n = size_of_fragment(i == use.a ? unit.a : unit.b);
    if (first < 0 || first % n) throw InternalError("lowering: a dot's operand lacks a fragment: " + lo.text(g()));
    LValue*& v = fragments[{i, first}];
    if (v) return v;
    auto lazy = lazy_.find(op.args[i]);
    Registers regs;
    for (int r = first; r < first + n; ++r) {
      LValue* x = lazy != lazy_.end() ? loaded(lazy->second, r) : value(op.args[i])[static_cast<size_t>(r)];
      // Past the end of k both operands count as zero: what lies there may be anything, and 0 x NaN is NaN.
      if (LValue* mask = inside(lo, r, k))
        x = select(vec(mask), vec(x), vec(llvm::Constant::getNullValue(x->getType()))).v;
      regs.push_back(x);
    }
    return v = vector_of(regs);
  };

  std::set<int> steps;  // the first k of each instruction, in ascending order
  const Layout& la = laid_.of(op.args[use.a]);
  for (int r = 0; r < la.registers(); r += size_of_fragment(unit.a))
    steps.insert(la.at(r, 0, 0)[static_cast<size_t>(la.position(k))]);
  Registers acc = dot_start(op, l);
  const int n = size_of_fragment(unit.c);
  std::vector<LValue*> sums;
  for (size_t r = 0; r < acc.size(); r += static_cast<size_t>(n))
    sums.push_back(vector_of({acc.begin() + static_cast<long>(r), acc.begin() + static_cast<long>(r) + n}));
  for (int at : steps)
    for (size_t f = 0; f < sums.size(); ++f) {
      Coord c = l.at(static_cast<int>(f) * n, 0, 0);
      sums[f] = target_.matrix(b_, unit, fragment(use.a, c, at), fragment(1 - use.a, c, at), sums[f]);
    }
  for (size_t r = 0; r < acc.size(); ++r)
    acc[r] = b_.CreateExtractElement(sums[r / static_cast<size_t>(n)], uint64_t{r % static_cast<size_t>(n)});
  return acc;
}

}  // namespace wavetile
