// Comparisons with a fold's index, such as a causal mask, that come out alike for all elements of a block. Which blocks
// these are is known before the loop, from scalars; they run in a loop of their own, without the comparison.
//
//   where(t <= m + start, x, least)        rows of the block from m0 on: true of all where t <= m0 + start
//
//      lo            from          to            hi
//      |  compared    |  all alike  |  compared   |        a block is in the span in which it lies wholly
//
// The other side of a comparison, and what is subtracted from the index, lie in intervals: of a range's coordinates
// from the first to the last of its block. i32 wraps: an interval of which only a part has wrapped is none.
#include <algorithm>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

// Code is doubled where what falls away is at least one in so many of a block's instructions.
static constexpr int64_t worthwhile = 16;

// Where a value lies that does not depend on t; null: that is not known before the loop.
std::optional<Lowering::Interval> Lowering::interval(Value v, RangeId t) {
  const Op& op = g().at(v);
  if (op.types.size() != 1 || op.types[0].dtype != DType::i32) return {};
  if (op.kind == OpKind::convert) return interval(op.args[0], t);
  if (op.kind == OpKind::constant) {
    LValue* c = i32(static_cast<int64_t>(op.constant));
    return Interval{c, c, b_.getTrue()};
  }
  if (op.types[0].axes.empty() && values_.contains(v)) return Interval{value(v)[0], value(v)[0], b_.getTrue()};
  if (op.kind == OpKind::iota) {
    auto p = positions_.find(op.range);
    if (op.iota != IotaKind::coordinate || op.range == t || p == positions_.end()) return {};
    LValue* first = p->second.base;
    return Interval{first, b_.CreateAdd(first, i32(g().range(op.range).tile - 1)), b_.getTrue()};
  }
  if (op.kind != OpKind::map || op.args.size() != 2) return {};
  auto a = interval(op.args[0], t), b = a ? interval(op.args[1], t) : a;
  if (!b) return {};
  LValue* valid = b_.CreateAnd(a->valid, b->valid);
  auto checked = [&](LValue* least, LValue* greatest) {
    return Interval{least, greatest, b_.CreateAnd(valid, b_.CreateICmpSLE(least, greatest))};
  };
  switch (op.fn) {
    case Fn::add:
      return checked(b_.CreateAdd(a->least, b->least), b_.CreateAdd(a->greatest, b->greatest));
    case Fn::sub:
      return checked(b_.CreateSub(a->least, b->greatest), b_.CreateSub(a->greatest, b->least));
    case Fn::min:
      return Interval{minimum(vec(a->least), vec(b->least)).v, minimum(vec(a->greatest), vec(b->greatest)).v, valid};
    case Fn::max:
      return Interval{maximum(vec(a->least), vec(b->least)).v, maximum(vec(a->greatest), vec(b->greatest)).v, valid};
    default:
      return {};
  }
}

// t, or t less a coordinate or a constant: what is subtracted. Neither is negative, so that nothing wraps.
std::optional<Lowering::Interval> Lowering::behind(Value v, RangeId t) {
  const Op& op = g().at(v);
  auto is_index = [&](Value x) {
    const Op& o = g().at(x);
    return o.kind == OpKind::iota && o.iota == IotaKind::coordinate && o.range == t;
  };
  if (op.kind == OpKind::convert) return behind(op.args[0], t);
  if (is_index(v)) return Interval{i32(0), i32(0), b_.getTrue()};
  if (op.kind != OpKind::map || op.fn != Fn::sub || !is_index(op.args[0])) return {};
  const Op& less = g().at(op.args[1]);
  if (less.kind != OpKind::iota && (less.kind != OpKind::constant || less.constant < 0)) return {};
  return interval(op.args[1], t);
}

// Narrows the span to blocks for all of whose elements the comparison is what is wanted of it.
bool Lowering::narrow(Span& s, int id, bool wanted, RangeId t) {
  const Op& op = g().ops[static_cast<size_t>(id)];
  auto less = behind(op.args[0], t);
  const bool left = less.has_value();  // t <= bound, else bound <= t
  if (!left) less = behind(op.args[1], t);
  if (!less) return false;
  const auto bound = interval(op.args[left ? 1 : 0], t);
  if (!bound) return false;
  auto add = [&](LValue* a, LValue* b) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::sadd_sat, a, b); };
  LValue *valid = b_.CreateAnd(bound->valid, less->valid), *one = i32((op.fn == Fn::le) == left);
  if (left == wanted) {  // t is below what the bound is at least
    LValue* to = add(add(bound->least, less->least), one);
    to = b_.CreateSelect(valid, to, i32(INT32_MIN));
    s.to = s.to ? minimum(vec(s.to), vec(to)).v : to;
  } else {
    LValue* from = add(add(bound->greatest, less->greatest), one);
    from = b_.CreateSelect(valid, from, i32(INT32_MAX));
    s.from = s.from ? maximum(vec(s.from), vec(from)).v : from;
  }
  s.known.emplace(id, wanted);
  return true;
}

// Comparisons that a mask is made of, with what is wanted of them.
void Lowering::compared(Value mask, bool wanted, std::map<int, bool>& all) const {
  const Op& op = g().at(mask);
  if (op.kind == OpKind::convert) return compared(op.args[0], wanted, all);
  if (op.kind != OpKind::map) return;
  if (op.fn == Fn::lt || op.fn == Fn::le) all.emplace(mask.op, wanted);
  if (op.fn == Fn::bit_and || op.fn == Fn::bit_or)
    for (Value a : op.args) compared(a, wanted, all);
}

// Instructions of a warp for a block, roughly.
int64_t Lowering::cost(int id) const {
  const Op& op = g().ops[static_cast<size_t>(id)];
  if (op.kind == OpKind::yield || op.kind == OpKind::param || op.kind == OpKind::constant) return 0;
  const Layout& l = laid_.layouts[static_cast<size_t>(id)][0];
  if (op.kind == OpKind::reduce) return laid_.of(op.args[0]).registers();
  const bool moves = op.kind == OpKind::load || op.kind == OpKind::store || op.kind == OpKind::convert;
  if (moves && !caps_.simd) {
    const DType t = op.types.empty() ? g().type(op.args[0]).dtype : op.types[0].dtype;
    return (l.registers() * size_of(t) + caps_.vector_bytes - 1) / caps_.vector_bytes;
  }
  if (op.kind != OpKind::dot) return l.registers();
  const int64_t multiplied = int64_t{l.registers()} * g().range(op.range).tile;
  auto use = laid_.matrix.find(id);
  if (use == laid_.matrix.end()) return multiplied;
  const MatrixUnit& unit = *use->second.unit;
  return multiplied / (int64_t{unit.depth()} << unit.c.reg.size());
}

Lowering::Span Lowering::span_of(const Op& fold) {
  std::map<int, bool> masks;
  int64_t all = 0, gone = 0;
  for (int id : fold.body.ops) {
    const Op& op = g().ops[static_cast<size_t>(id)];
    if (op.kind == OpKind::fold) return {};
    all += cost(id);
    if (op.kind != OpKind::map || op.fn != Fn::select) continue;
    // Of two arms, the one that is no constant is what there is to compute.
    auto constant = [&](Value v) { return g().at(v).kind == OpKind::constant; };
    compared(op.args[0], !constant(op.args[1]) || constant(op.args[2]), masks);
  }
  Span s;
  for (auto [id, wanted] : masks)
    if (narrow(s, id, wanted, fold.range)) gone += 2 * cost(id);  // itself, and the choice
  return gone * worthwhile >= all ? s : Span{};
}

Lowering::Walked Lowering::full_blocks(const Op& fold, const Bounds& bounds, const std::vector<Registers>& start) {
  const Span span = span_of(fold);
  if (span.known.empty()) return loop(fold, bounds, start);
  Walked w{bounds.lo, start};
  auto go_on = [&](LValue* end) {
    Bounds part{w.base, end, {}, {}, bounds.aligned};
    w = loop(fold, part, w.state);
  };
  auto least = [&](LValue* a, LValue* b) { return minimum(vec(a), vec(b)).v; };
  // Blocks that begin before the span.
  if (span.from)
    go_on(least(b_.CreateAdd(least(span.from, bounds.hi), i32(g().range(fold.range).tile - 1)), bounds.hi));
  known_ = span.known;
  go_on(span.to ? least(span.to, bounds.hi) : bounds.hi);
  known_.clear();
  if (span.to) go_on(bounds.hi);
  return w;
}

}  // namespace wavetile
