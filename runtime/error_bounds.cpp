// Beside each value v of the graph stands a bound e on |computed - v|, made of ops of the same graph; a value without
// one is exact. Of integers and truth values e is 0 or infinite: they are what they should be, or anything.
#include "runtime/error_bounds.h"

#include <limits>
#include <map>

#include "runtime/tolerance.h"

namespace wavetile {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kRoundoff = 0x1p-24;

class Bounder {
 public:
  explicit Bounder(const Graph& g)
      : g_(g), w_(g, [this](Rewriter&, const Op& op, int id) { return std::optional(copy(op, id)); }) {}

  Bounded run() {
    Bounded b;
    Graph& out = w_.out();
    for (size_t t = 0; t < g_.tensors.size(); ++t) {
      if (!g_.tensors[t].written) continue;
      const TensorParam& p = g_.tensors[t];
      auto twin = [&](const char* what, DType type) {
        out.tensors.push_back({p.name + what, type, p.rank, false, true});
        return static_cast<int>(out.tensors.size()) - 1;
      };
      int error = twin(".error", DType::f32), site = twin(".site", DType::i32);
      twins_[static_cast<int>(t)] = {static_cast<int>(t), error, site};
    }
    b.graph = w_.run();
    for (const auto& [t, twin] : twins_) b.outputs.push_back(twin);
    b.stores = std::move(stores_);
    verify(b.graph, "error bounds");
    return b;
  }

 private:
  // What is emitted stands in the output's graph; operands are the output's values.
  Op make(OpKind kind, std::vector<Value> args, Type type) const {
    return {.kind = kind, .args = std::move(args), .types = {std::move(type)}, .loc = loc_};
  }
  const Type& type(Value v) { return w_.out().type(v); }
  Value number(double x, Axes axes = {}) {
    Op op = make(OpKind::constant, {}, {DType::f32, std::move(axes)});
    op.constant = x;
    return w_.emit1(std::move(op));
  }
  Value map(Fn fn, std::vector<Value> args) {
    Axes axes;
    for (Value v : args) axes = united(axes, type(v).axes);
    DType t = info(fn).rule == Rule::cmp ? DType::b1 : type(args.back()).dtype;
    Op op = make(OpKind::map, std::move(args), {t, std::move(axes)});
    op.fn = fn;
    return w_.emit1(std::move(op));
  }
  Value real(Value v) {
    if (type(v).dtype == DType::f32) return v;
    Op op = make(OpKind::map, {v}, {DType::f32, type(v).axes});
    op.fn = Fn::cast;
    return w_.emit1(std::move(op));
  }
  Value reduce(Reduction r, Value v, RangeId range) {
    Op op = make(OpKind::reduce, {v}, {DType::f32, without(type(v).axes, range)});
    op.reduction = r;
    op.range = range;
    return w_.emit1(std::move(op));
  }
  Value dot(Value a, Value b, RangeId range) {
    Op op = make(OpKind::dot, {a, b}, {DType::f32, without(united(type(a).axes, type(b).axes), range)});
    op.range = range;
    return w_.emit1(std::move(op));
  }
  Value magnitude(Value v) { return map(Fn::abs, {real(v)}); }
  Value plus(Value a, Value b) { return !a ? b : !b ? a : map(Fn::add, {a, b}); }
  Value times(double c, Value v) { return map(Fn::mul, {number(c), v}); }
  Value if_equal(Value a, Value b, Value then, Value otherwise) {
    return map(Fn::select, {map(Fn::eq, {a, b}), then, otherwise});
  }
  /// |a - b|, and 0 between equal infinities.
  Value gap(Value a, Value b) { return if_equal(a, b, number(0), map(Fn::abs, {map(Fn::sub, {a, b})})); }
  /// What rounding v to type t may change, `units` of its unit round-offs; an infinity is not rounded, and what f32
  /// does not reach becomes one.
  Value rounding(Value v, double units, DType t = DType::f32) {
    Value m = magnitude(v);
    Value e = map(Fn::mad, {m, number(units * unit_roundoff(t)), number(units * smallest_step(t))});
    Value finite = map(Fn::le, {m, number(std::numeric_limits<float>::max())});
    return if_equal(m, number(kInfinity), number(0), map(Fn::select, {finite, e, number(kInfinity)}));
  }
  Value spread(Value e, const Axes& axes) { return map(Fn::add, {e, number(0, axes)}); }

  Value error(Value of_input) const {
    auto it = errors_.find(of_input);
    return it == errors_.end() ? Value{} : it->second;
  }
  Value errors(const std::vector<Value>& of_inputs) {
    Value sum;
    for (Value v : of_inputs) sum = plus(sum, error(v));
    return sum;
  }
  Value offset_errors(const Op& op) {
    Value sum;
    for (const Index& i : op.index)
      if (i.offset) sum = plus(sum, error(i.offset));
    return sum;
  }

  std::vector<Value> copy(const Op& op, int id) {
    loc_ = op.loc;
    if (op.kind == OpKind::fold) return fold(op, id);
    Op c = op;
    for (Value& v : c.args) v = w_.map(v);
    for (Index& i : c.index) i.offset = w_.map(i.offset);
    std::vector<Value> results = w_.emit(c);
    if (op.kind == OpKind::store) store(op, c);
    if (results.empty()) return results;
    if (Value e = bound(op, c, results[0])) errors_[{id, 0}] = e;
    return results;
  }

  Value bound(const Op& op, const Op& c, Value v) {
    switch (op.kind) {
      case OpKind::map:
        return bound_of_map(op, c, v);
      case OpKind::reduce:
        return bound_of_reduce(op, c);
      case OpKind::dot:
        return bound_of_dot(op, c);
      case OpKind::load:
        return surely(offset_errors(op));
      case OpKind::convert:
        return error(op.args[0]);
      default:
        return {};
    }
  }
  /// Infinite wherever e is not 0.
  Value surely(Value e) { return e ? if_equal(e, number(0), number(0), number(kInfinity)) : e; }

  Value bound_of_map(const Op& op, const Op& c, Value v) {
    DType to = op.types[0].dtype;
    Value e = errors(op.args);
    Rule rule = info(op.fn).rule;
    if (op.fn == Fn::cast && is_float(to)) {
      if (!e || unit_roundoff(to) <= kRoundoff) return e;
      return plus(e, rounding(v, 2, to));
    }
    if (rule == Rule::cmp && e && type(c.args[0]).dtype == DType::f32)  // sure where the operands are far apart
      return map(Fn::select, {map(Fn::le, {gap(c.args[0], c.args[1]), e}), number(kInfinity), number(0)});
    if (op.fn == Fn::select && is_float(to)) return bound_of_select(op, c);
    if (!is_float(to) || op.fn == Fn::bitcast) return surely(e);
    double units = unit_errors(op.fn);
    Value own = units ? rounding(v, units) : Value{};
    if (op.fn == Fn::exp2) own = plus(own, number(kFlushed));
    if (!e) return own;
    if (op.fn == Fn::add || op.fn == Fn::sub || op.fn == Fn::neg || op.fn == Fn::abs) return plus(e, own);
    if (op.fn == Fn::sin || op.fn == Fn::cos) return plus(e, number(units * kRoundoff));
    return plus(bound_at_corners(op, c, v), own);
  }
  static double unit_errors(Fn fn) {
    switch (fn) {
      case Fn::neg:
      case Fn::abs:
      case Fn::min:
      case Fn::max:
      case Fn::floor:
      case Fn::round:
        return 0;
      case Fn::add:
      case Fn::sub:
      case Fn::mul:
        return 1;
      case Fn::mad:
        return 2;  // fused or not
      default:
        return kFunctionError;
    }
  }
  Value bound_of_select(const Op& op, const Op& c) {
    Value choice = error(op.args[0]), a = error(op.args[1]), b = error(op.args[2]);
    if (!choice && !a && !b) return {};
    if (!a) a = number(0);
    if (!b) b = number(0);
    Value e = map(Fn::select, {c.args[0], a, b});
    if (!choice) return e;
    return if_equal(choice, number(0), e, plus(map(Fn::max, {a, b}), gap(real(c.args[1]), real(c.args[2]))));
  }
  // The other functions are monotonic in each operand where they are smooth: they are farthest off at the corners of
  // the box that the operands' bounds span.
  Value bound_at_corners(const Op& op, const Op& c, Value v) {
    std::vector<std::vector<Value>> corners = {{}};
    for (size_t i = 0; i < op.args.size(); ++i) {
      Value x = c.args[i], e = error(op.args[i]);
      std::vector<Value> ends{x};
      if (e) ends = {map(Fn::sub, {x, e}), map(Fn::add, {x, e})};
      std::vector<std::vector<Value>> more;
      for (const auto& corner : corners)
        for (Value end : ends) {
          more.push_back(corner);
          more.back().push_back(end);
        }
      corners = std::move(more);
    }
    Value worst;
    for (const auto& corner : corners) {
      Value g = gap(map(op.fn, corner), v);
      worst = worst ? map(Fn::max, {worst, g}) : g;
    }
    return worst;
  }

  // All that is added up in a range, also over the blocks of a fold that walks it.
  Value terms(RangeId r) {
    const RangeInfo& info = g_.range(r);
    Value n = w_.map(info.hi);
    if (info.lo) n = map(Fn::sub, {n, w_.map(info.lo)});
    return map(Fn::add, {real(n), number(4)});
  }
  Value sum_error(Value magnitudes, RangeId r) {
    Value relative = map(Fn::mul, {terms(r), number(kRoundoff)});
    return map(Fn::mad, {relative, magnitudes, number(0x1p-120)});  // dot instructions may flush denormals
  }
  Value bound_of_reduce(const Op& op, const Op& c) {
    Value e = error(op.args[0]);
    if (e) e = spread(e, type(c.args[0]).axes);
    bool real_sum = op.reduction == Reduction::sum && is_float(op.types[0].dtype);
    if (real_sum) {
      Value own = sum_error(reduce(Reduction::sum, magnitude(c.args[0]), op.range), op.range);
      return e ? plus(reduce(Reduction::sum, e, op.range), own) : own;
    }
    if (!e) return {};
    e = reduce(Reduction::max, e, op.range);
    return is_float(op.types[0].dtype) ? e : surely(e);
  }
  Value bound_of_dot(const Op& op, const Op& c) {
    if (op.args.size() != 2) throw InternalError("error bounds are of recorded graphs, whose dots have no accumulator");
    Value ea = error(op.args[0]), eb = error(op.args[1]);
    if (!is_float(op.types[0].dtype)) return ea || eb ? number(kInfinity) : Value{};
    Value a = magnitude(c.args[0]), b = magnitude(c.args[1]);
    if (ea) ea = spread(ea, type(a).axes);
    if (eb) eb = spread(eb, type(b).axes);
    Value e = sum_error(dot(a, b, op.range), op.range);
    if (ea) e = plus(e, dot(ea, eb ? map(Fn::add, {b, eb}) : b, op.range));
    if (eb) e = plus(e, dot(a, eb, op.range));
    return e;
  }

  void store(const Op& op, const Op& c) {
    const Bounded::Output& twin = twins_.at(op.tensor);
    Value e = plus(error(op.args[0]), surely(offset_errors(op)));
    stores_.push_back(op.loc);
    Op site = make(OpKind::constant, {}, {DType::i32, {}});
    site.constant = static_cast<double>(stores_.size());
    auto keep = [&](int tensor, Value v) {
      Op s = c;
      s.tensor = tensor;
      s.args = {v};
      w_.emit(std::move(s));
    };
    keep(twin.error, e ? e : number(0));
    keep(twin.site, w_.emit1(std::move(site)));
  }

  // Carried values take their errors along. A merge is what split folds need, and the interpreter splits none here.
  std::vector<Value> fold(const Op& op, int id) {
    size_t n = op.types.size();
    Op f = op;
    f.merge = {};
    for (size_t i = 0; i < n; ++i) f.args[i] = w_.map(op.args[i]);
    for (size_t i = 0; i < n; ++i) {
      Value e = error(op.args[i]);
      f.types.push_back({DType::f32, op.types[i].axes});
      f.args.push_back(e ? spread(e, op.types[i].axes) : number(0, op.types[i].axes));
    }
    f.body = w_.write_region(f.types, op.loc, [&](const std::vector<Value>& state) {
      for (size_t i = 0; i < n; ++i) {
        w_.bind(op.body.params[i], state[i]);
        errors_[op.body.params[i]] = state[n + i];
      }
      std::vector<Value> out;
      for (int m : op.body.ops) {
        const Op& o = g_.ops[static_cast<size_t>(m)];
        if (o.kind == OpKind::param && o.param == ParamKind::carried) continue;
        if (o.kind != OpKind::yield) {
          w_.copy(m);
          continue;
        }
        for (Value v : o.args) out.push_back(w_.map(v));
        for (Value v : o.args) out.push_back(error(v) ? error(v) : number(0));
      }
      return out;
    });
    std::vector<Value> results = w_.emit(std::move(f));
    for (size_t i = 0; i < n; ++i) errors_[{id, static_cast<int>(i)}] = results[n + i];
    results.resize(n);
    return results;
  }

  const Graph& g_;
  Rewriter w_;
  Loc loc_;
  std::map<Value, Value> errors_;  // of values of the input
  std::map<int, Bounded::Output> twins_;
  std::vector<Loc> stores_;
};

}  // namespace

Bounded with_error_bounds(const Graph& g) { return Bounder(g).run(); }

}  // namespace wavetile
