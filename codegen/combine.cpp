// Reductions and conversions: what moves between registers, lanes and warps.
#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

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
      return {function(Fn::max, {x, y})};
    case Reduction::min:
      return {function(Fn::min, {x, y})};
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

// What a thread holds itself, in ascending order of coordinates. Numbers are compared without regard to NaN, which one
// look at each pair finds, unless the target has a comparison that gives it; argmax wants the earlier of equals, and of
// two that are NaN.
Lowering::State Lowering::in_thread(Reduction r, std::vector<State> parts) {
  bool extreme = (r == Reduction::max || r == Reduction::min) && vec(parts[0][0]).real() && parts.size() > 1;
  if (extreme)
    if (LValue* v = target_.function(b_, r == Reduction::max ? Fn::max : Fn::min, {parts[0][0], parts[1][0]})) {
      parts[1] = {v};
      parts.erase(parts.begin());
      extreme = false;
    }
  LValue* nan = nullptr;
  if (extreme)
    for (size_t i = 0; i < parts.size(); i += 2) {
      Vec found = either_nan(vec(parts[i][0]), vec(parts[std::min(i + 1, parts.size() - 1)][0]));
      nan = nan ? (vec(nan) | found).v : found.v;
    }
  auto join = [&](const State& earlier, const State& later) -> State {
    Vec a = vec(earlier[0]), b = vec(later[0]);
    if (extreme) return {(r == Reduction::max ? greatest_number(a, b) : least_number(a, b)).v};
    if (r != Reduction::argmax) return combine(r, earlier, later);
    Vec first = b <= a;
    if (a.real()) first = first | (a != a);
    return {select(first, a, b).v, select(first, vec(earlier[1]), vec(later[1])).v};
  };
  while (parts.size() > 1) {  // a tree: short chains, small errors
    std::vector<State> half;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) half.push_back(join(parts[i], parts[i + 1]));
    if (parts.size() % 2) half.push_back(parts.back());
    parts = std::move(half);
  }
  return extreme ? State{nan_if(vec(nan), vec(parts[0][0])).v} : parts[0];
}

// The argmax of the region that finds a maximum's value too; -1: there is none.
int Lowering::argmax_beside(const Op& max, const Layout& to) const {
  for (int id : region_->ops) {
    const Op& op = g().ops[static_cast<size_t>(id)];
    if (op.kind == OpKind::reduce && op.reduction == Reduction::argmax && op.args == max.args &&
        op.range == max.range && laid_.of({id, 0}) == to)
      return id;
  }
  return -1;
}

Registers Lowering::reduce(int id, const Layout& to) {
  const Op& op = g().ops[static_cast<size_t>(id)];
  if (op.reduction == Reduction::max)
    if (int beside = argmax_beside(op, to); beside >= 0) {
      if (!values_.contains({beside, maxima})) this->op(beside);
      return values_.at({beside, maxima});
    }
  const Layout& l = laid_.of(op.args[0]);
  const Registers& x = value(op.args[0]);
  auto axis = static_cast<size_t>(l.position(op.range));
  double identity = identity_of(op.reduction);

  std::vector<int> order(static_cast<size_t>(l.registers()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return l.at(i, 0, 0)[axis] < l.at(j, 0, 0)[axis]; });
  std::vector<std::vector<State>> parts(static_cast<size_t>(to.registers()));
  for (int r : order) {
    LValue* v = x[static_cast<size_t>(r)];
    LValue* mask = inside(l, r, op.range);
    double id = vec(v).real() ? identity : std::clamp(identity, -2147483648.0, 2147483647.0);
    if (mask) v = select(vec(mask), vec(v), like(vec(v), id)).v;
    State s{v};
    // What is outside comes after all that is inside, so that no coordinate of it is ever the first.
    if (op.reduction == Reduction::argmax) s.push_back(widened(coordinate(l, r, op.range), l));
    parts[static_cast<size_t>(part_register(l, r, to))].push_back(s);
  }
  std::vector<State> sums;
  for (const auto& p : parts) {
    int lane_bits = 0;
    for (size_t bit : bits_along(l.lane, axis)) lane_bits |= 1 << bit;
    State s = target_.reduce_lanes(b_, in_thread(op.reduction, p), lane_bits,
                                   [&](const State& a, const State& b) { return combine(op.reduction, a, b); });
    if (vector_registers(l) && !vector_registers(to))
      for (LValue*& v : s) v = b_.CreateExtractElement(v, uint64_t{0});
    sums.push_back(s);
  }
  if (!bits_along(l.warp, axis).empty()) sums = across_warps(op.reduction, sums, l, op.range);
  Registers out;
  for (const State& s : sums) out.push_back(s.back());
  if (op.reduction == Reduction::argmax) {
    Registers& tops = values_[{id, maxima}];
    tops.clear();
    for (const State& s : sums) tops.push_back(s.front());
  }
  return out;
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
  receive();
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

// Registers of 16 bits that move alike go by twos.
class Lowering::Mover {
 public:
  Mover(Lowering& l, const Registers& v, const Conversion& plan) : l_(l), v_(v) {
    for (const auto& sources : plan.sources)
      for (const Source& s : sources) moves_.insert(key(s.reg, s.from));
  }
  LValue* operator()(int reg, const LaneMap& from) {
    LValue*& v = moved_[key(reg, from)];
    if (v) return v;
    const int even = reg & ~1;
    auto& b = l_.b_;
    LValue* x = v_[static_cast<size_t>(reg)];
    llvm::Type* t = x->getType();
    if (l_.caps_.simd || t->getScalarSizeInBits() != 16 || !moves_.contains(key(reg ^ 1, from)))
      return v = l_.target_.shuffle(b, x, from);
    LValue* pair = llvm::PoisonValue::get(llvm::FixedVectorType::get(t, 2));
    for (int i : {0, 1})
      pair = b.CreateInsertElement(pair, v_[static_cast<size_t>(even + i)], static_cast<uint64_t>(i));
    pair = b.CreateBitCast(l_.target_.shuffle(b, b.CreateBitCast(pair, b.getInt32Ty()), from), pair->getType());
    for (int i : {0, 1}) moved_[key(even + i, from)] = b.CreateExtractElement(pair, static_cast<uint64_t>(i));
    return v;
  }

 private:
  using Key = std::tuple<int, std::vector<int>, int>;
  static Key key(int reg, const LaneMap& m) { return {reg, m.bases, m.offset}; }
  Lowering& l_;
  const Registers& v_;
  std::set<Key> moves_;
  std::map<Key, LValue*> moved_;
};

void Lowering::convert(const Op& op, Value self) {
  const Registers& v = value(op.args[0]);
  const Layout &from = laid_.of(op.args[0]), &to = laid_.of(self);
  Conversion plan = plan_conversion(from, to);
  if (plan.kind == Conversion::shared) return send(self, v, from, to, op.types[0].dtype);
  Registers out;
  if (plan.kind == Conversion::identity) {
    out = v;
  } else {
    Mover moved(*this, v, plan);
    for (const auto& sources : plan.sources) {
      LValue* result = nullptr;
      if (vector_registers(from) && !vector_registers(to)) {
        result =
            b_.CreateExtractElement(v[static_cast<size_t>(sources[0].reg)], static_cast<uint64_t>(sources[0].from(0)));
      } else {
        for (const Source& s : sources) {
          LValue* x = v[static_cast<size_t>(s.reg)];
          bool lanes_differ = caps_.simd ? vector_registers(from) : !from.lane_uniform();
          if (lanes_differ && !s.from.identity()) x = moved(s.reg, s.from);
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
  }
  values_[self] = std::move(out);
}

}  // namespace wavetile
