#include "dsl/ir.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace wavetile {

const FnInfo& info(Fn fn) {
  static const FnInfo table[] = {
#define FN(name, arity, rule, expr) {#name, arity, Rule::rule},
#include "dsl/functions.def"
#undef FN
      {"cast", 1, Rule::convert},
      {"bitcast", 1, Rule::convert},
  };
  return table[static_cast<int>(fn)];
}

std::string_view name_of(Reduction r) {
  constexpr std::string_view names[] = {"sum", "max", "min", "argmax"};
  return names[static_cast<int>(r)];
}

double identity_of(Reduction r) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double ids[] = {0, -inf, inf, -inf};
  return ids[static_cast<int>(r)];
}

std::optional<double> Graph::constant(Value v) const {
  if (!v) return std::nullopt;
  const Op& op = at(v);
  if (op.kind == OpKind::constant) return op.constant;
  if (op.kind != OpKind::map || op.types[0].dtype != DType::i32 || op.args.size() != 2) return std::nullopt;
  auto a = constant(op.args[0]), b = constant(op.args[1]);
  if (!a || !b) return std::nullopt;
  switch (op.fn) {
    case Fn::add:
      return *a + *b;
    case Fn::sub:
      return *a - *b;
    case Fn::mul:
      return *a * *b;
    case Fn::min:
      return std::min(*a, *b);
    case Fn::max:
      return std::max(*a, *b);
    case Fn::idiv:
      return *b == 0 ? 0 : std::trunc(*a / *b);
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> Graph::extent(RangeId r) const {
  auto hi = constant(range(r).hi);
  auto lo = range(r).lo ? constant(range(r).lo) : 0.0;
  if (!hi || !lo) return std::nullopt;
  return static_cast<int64_t>(*hi - *lo);
}

std::string Graph::axes_text(const Axes& axes) const {
  std::string s = "[";
  for (size_t i = 0; i < axes.size(); ++i) s += (i ? ", " : "") + range(axes[i]).name;
  return s + "]";
}

Axes united(const Axes& a, const Axes& b) {
  Axes u;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(u));
  return u;
}
Axes without(Axes a, RangeId r) {
  std::erase(a, r);
  return a;
}
bool contains(const Axes& a, RangeId r) { return std::find(a.begin(), a.end(), r) != a.end(); }

Value& Rewriter::Map::operator[](const Value& v) {
  auto op = static_cast<size_t>(v.op), result = static_cast<size_t>(v.result);
  if (slots.size() <= op) slots.resize(op + 1);
  if (slots[op].size() <= result) slots[op].resize(result + 1);
  return slots[op][result];
}
const Value* Rewriter::Map::find(const Value& v) const {
  auto op = static_cast<size_t>(v.op), result = static_cast<size_t>(v.result);
  if (slots.size() <= op || slots[op].size() <= result || !slots[op][result]) return nullptr;
  return &slots[op][result];
}

Rewriter::Rewriter(const Graph& in, Hook hook) : in_(in), hook_(std::move(hook)) {
  out_.name = in.name;
  out_.loc = in.loc;
  out_.tensors = in.tensors;
  out_.scalars = in.scalars;
  out_.ranges = in.ranges;
  ops_ = &out_.body.ops;
}

Graph Rewriter::run() {
  for (int id : in_.body.ops) copy(id);
  for (size_t r = 0; r < in_.ranges.size(); ++r) {
    if (in_.ranges[r].lo) out_.ranges[r].lo = map(in_.ranges[r].lo);
    if (in_.ranges[r].hi) out_.ranges[r].hi = map(in_.ranges[r].hi);
  }
  return std::move(out_);
}

Value Rewriter::map(Value v) const {
  if (!v) return v;
  const Value* to = renamed_.find(v);
  if (!to) throw InternalError("a pass uses a value that it has not copied");
  return *to;
}

std::vector<Value> Rewriter::emit(Op op) {
  int id = static_cast<int>(out_.ops.size());
  std::vector<Value> results;
  for (size_t i = 0; i < op.types.size(); ++i) results.push_back({id, static_cast<int>(i)});
  out_.ops.push_back(std::move(op));
  ops_->push_back(id);
  return results;
}

std::vector<Value> Rewriter::copy(int id) {
  const Op& op = in_.ops[static_cast<size_t>(id)];
  std::vector<Value> to;
  if (auto replaced = hook_ ? hook_(*this, op, id) : std::nullopt) {
    to = *replaced;
  } else {
    Op c = op;
    for (Value& v : c.args) v = map(v);
    for (Index& i : c.index) i.offset = map(i.offset);
    if (op.kind == OpKind::fold) {
      c.body = copy_region(op.body);
      c.merge = copy_region(op.merge);
    }
    to = emit(std::move(c));
  }
  for (size_t i = 0; i < to.size(); ++i) bind({id, static_cast<int>(i)}, to[i]);
  return to;
}

Region Rewriter::copy_region(const Region& r) {
  Region c;
  auto* outer = std::exchange(ops_, &c.ops);
  for (int id : r.ops) copy(id);
  ops_ = outer;
  for (Value p : r.params) c.params.push_back(map(p));
  return c;
}

Region Rewriter::write_region(const std::vector<Type>& params, Loc loc,
                              const std::function<std::vector<Value>(const std::vector<Value>&)>& body) {
  Region r;
  auto* outer = std::exchange(ops_, &r.ops);
  for (const Type& t : params) {
    Op p{.kind = OpKind::param, .args = {}, .types = {t}, .loc = loc};
    p.param = ParamKind::carried;
    r.params.push_back(emit1(std::move(p)));
  }
  Op y{.kind = OpKind::yield, .args = body(r.params), .types = {}, .loc = loc};
  emit(std::move(y));
  ops_ = outer;
  return r;
}

}  // namespace wavetile
