// The specification of the IR: every rule that a graph must keep, checked after every pass. A broken rule is a bug of
// the pass named, never of the kernel's author: those are told by trace.cpp.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "dsl/ir.h"

namespace wavetile {
namespace {

class Verifier {
 public:
  Verifier(const Graph& g, std::string_view pass)
      : g_(g), pass_(pass), visible_(g.ops.size()), seen_(g.ops.size()), depth_of_(g.ops.size()) {}

  void run() {
    region(g_.body, 0);
    const Op& y = g_.ops[static_cast<size_t>(g_.body.ops.back())];
    at(y, g_.body.params.empty() && y.args.empty(), "the kernel's region carries no values");
  }

 private:
  [[noreturn]] void fail(const std::string& rule, Loc loc, std::string_view what) const {
    throw InternalError(fmt::format("after pass '{}', kernel '{}': {} ({} of {}:{})\n{}", pass_, g_.name, rule, what,
                                    loc.file, loc.line, print(g_)));
  }
  void at(const Op& op, bool holds, const std::string& rule) const {
    constexpr const char* kinds[] = {"param", "constant", "iota", "map",   "reduce", "dot",
                                     "load",  "store",    "fold", "yield", "convert"};
    if (!holds) fail(rule, op.loc, kinds[static_cast<int>(op.kind)]);
  }

  bool visible(Value v) const {
    return v.op >= 0 && v.op < static_cast<int>(g_.ops.size()) && visible_[static_cast<size_t>(v.op)] &&
           v.result >= 0 && v.result < static_cast<int>(g_.at(v).types.size());
  }
  bool is_i32_scalar(Value v) const { return g_.type(v) == Type{DType::i32, {}}; }
  static bool computes(DType t) { return t == DType::f32 || t == DType::i32 || t == DType::b1; }

  // Bounds of parallel and whole ranges are known at launch: they set the grid and the sizes of tiles.
  bool known_at_launch(Value v) const {
    const Op& op = g_.at(v);
    switch (op.kind) {
      case OpKind::constant:
        return true;
      case OpKind::param:
        return op.param != ParamKind::carried;
      case OpKind::map:
        return std::all_of(op.args.begin(), op.args.end(), [&](Value a) { return known_at_launch(a); });
      default:
        return false;
    }
  }
  void use_range(const Op& op, RangeId r) const {
    at(op, r >= 0 && r < static_cast<int>(g_.ranges.size()), "a range is one of the graph's");
    const RangeInfo& i = g_.range(r);
    at(op, i.kind != RangeKind::serial || open_.contains(r),
       fmt::format("serial range '{}' is used only inside the folds that walk it", i.name));
    use_bounds(op, r);
  }
  void use_bounds(const Op& op, RangeId r) const {
    const RangeInfo& i = g_.range(r);
    at(op, visible(i.hi) && (!i.lo || visible(i.lo)),
       fmt::format("the bounds of range '{}' are defined before its use, in its region or one around it", i.name));
    for (Value v : {i.lo, i.hi}) {
      if (!v) continue;
      at(op, is_i32_scalar(v), fmt::format("the bounds of range '{}' are i32 scalars", i.name));
      at(op, i.kind == RangeKind::serial || known_at_launch(v),
         fmt::format("the bounds of {} range '{}' are computed from dims, scalar parameters and constants",
                     i.kind == RangeKind::parallel ? "parallel" : "whole", i.name));
      at(op, i.kind != RangeKind::parallel || depth_of_[static_cast<size_t>(v.op)] == 0,
         fmt::format("parallel range '{}' is made at the top level", i.name));
    }
  }

  void region(const Region& r, int depth) {
    if (r.ops.empty()) fail("a region ends with a yield", g_.loc, "a region");
    for (size_t i = 0; i < r.ops.size(); ++i) {
      int id = r.ops[i];
      if (id < 0 || id >= static_cast<int>(g_.ops.size())) fail("a region lists ops of its graph", g_.loc, "a region");
      const Op& op = g_.ops[static_cast<size_t>(id)];
      at(op, !seen_[static_cast<size_t>(id)], "an op stands in one region, once");
      seen_[static_cast<size_t>(id)] = true;
      at(op, (op.kind == OpKind::yield) == (i + 1 == r.ops.size()), "a region ends with a yield and has no other");
      if (op.kind == OpKind::param && op.param == ParamKind::carried)
        at(op, std::find(r.params.begin(), r.params.end(), Value{id, 0}) != r.params.end(),
           "a carried param is listed by its region");
      check(op, depth);
      visible_[static_cast<size_t>(id)] = true;
      depth_of_[static_cast<size_t>(id)] = depth;
    }
    for (Value p : r.params) {
      bool own = visible(p) && std::find(r.ops.begin(), r.ops.end(), p.op) != r.ops.end();
      if (!own || g_.at(p).kind != OpKind::param || g_.at(p).param != ParamKind::carried)
        fail("a region's params are carried params among its ops", g_.ops[static_cast<size_t>(r.ops[0])].loc,
             "a region");
    }
    for (int id : r.ops) visible_[static_cast<size_t>(id)] = false;
  }

  void check(const Op& op, int depth) {
    bool no_result = op.kind == OpKind::store || op.kind == OpKind::yield;
    at(op, op.kind == OpKind::fold || op.types.size() == (no_result ? 0 : 1),
       "stores and yields have no result, folds one for each carried value, other ops one");
    for (const Type& t : op.types) {
      at(op,
         std::is_sorted(t.axes.begin(), t.axes.end()) &&
             std::adjacent_find(t.axes.begin(), t.axes.end()) == t.axes.end(),
         "axes are sorted and name a range once");
      for (RangeId r : t.axes) use_range(op, r);
    }
    for (Value v : op.args) at(op, visible(v), "operands are defined before their use, in its region or one around it");
    size_t arity = op.kind == OpKind::dot ? 2 : op.kind == OpKind::map ? static_cast<size_t>(info(op.fn).arity) : 1;
    if (op.kind == OpKind::param || op.kind == OpKind::constant || op.kind == OpKind::iota || op.kind == OpKind::load)
      arity = 0;
    bool accumulates = op.kind == OpKind::dot && op.args.size() == 3;
    at(op, op.kind == OpKind::fold || op.kind == OpKind::yield || accumulates || op.args.size() == arity,
       fmt::format("the op takes {} operands", arity));
    switch (op.kind) {
      case OpKind::param:
        return check_param(op);
      case OpKind::constant:
        return check_constant(op);
      case OpKind::iota:
        use_range(op, op.range);
        return at(op, op.types[0] == Type{DType::i32, op.iota == IotaKind::coordinate ? Axes{op.range} : Axes{}},
                  "an iota is i32 along its range, its first and last are i32 scalars");
      case OpKind::map:
        return check_map(op);
      case OpKind::reduce:
        return check_reduce(op);
      case OpKind::dot:
        return check_dot(op);
      case OpKind::load:
        return check_load(op);
      case OpKind::store:
        return check_store(op);
      case OpKind::fold:
        return check_fold(op, depth);
      case OpKind::yield:
        return;  // checked by its fold
      case OpKind::convert:
        return at(op, op.types[0] == g_.type(op.args[0]), "a convert keeps its operand's type");
    }
  }

  void check_param(const Op& op) const {
    if (op.param == ParamKind::carried) return;
    bool dim = op.param == ParamKind::dim;
    at(op, op.tensor >= 0 && static_cast<size_t>(op.tensor) < (dim ? g_.tensors.size() : g_.scalars.size()),
       "a param names a tensor or a scalar of the kernel");
    if (!dim)
      return at(op, op.types[0] == Type{g_.scalars[static_cast<size_t>(op.tensor)].dtype, {}},
                "a scalar param has the type that the kernel declares");
    const TensorParam& t = g_.tensors[static_cast<size_t>(op.tensor)];
    at(op, op.dim >= 0 && (t.rank == 0 || op.dim < t.rank), "a dim lies inside the tensor's rank");
    at(op, op.types[0] == Type{DType::i32, {}}, "a dim is an i32 scalar");
  }
  void check_constant(const Op& op) const {
    double x = op.constant;
    DType t = op.types[0].dtype;
    constexpr double lo[] = {0, 0, 0, std::numeric_limits<int32_t>::min(), -128, 0, 0};
    constexpr double hi[] = {0, 0, 0, std::numeric_limits<int32_t>::max(), 127, 255, 1};
    int i = static_cast<int>(t);
    at(op, is_float(t) || (x == std::trunc(x) && x >= lo[i] && x <= hi[i]), "a constant is a value of its type");
  }
  void check_map(const Op& op) const {
    Axes axes;
    for (Value v : op.args) axes = united(axes, g_.type(v).axes);
    at(op, op.types[0].axes == axes, "a map's axes are the union of its operands'");
    DType to = op.types[0].dtype, from = g_.type(op.args.back()).dtype;
    Rule rule = info(op.fn).rule;
    if (op.fn == Fn::cast) return;
    if (op.fn == Fn::bitcast)
      return at(op, (from == DType::f32 && to == DType::i32) || (from == DType::i32 && to == DType::f32),
                "a bitcast goes between f32 and i32");
    for (size_t i = rule == Rule::pick; i < op.args.size(); ++i)
      at(op, g_.type(op.args[i]).dtype == from, "a map's operands have one type");
    bool takes = rule == Rule::arith  ? from == DType::f32 || from == DType::i32
                 : rule == Rule::real ? from == DType::f32
                 : rule == Rule::bits ? from == DType::i32 || from == DType::b1
                 : rule == Rule::ints ? from == DType::i32
                                      : computes(from);
    at(op, takes, fmt::format("{} does not take {}", info(op.fn).name, name_of(from)));
    at(op, rule != Rule::pick || g_.type(op.args[0]).dtype == DType::b1, "select's condition is bool");
    at(op, to == (rule == Rule::cmp ? DType::b1 : from), "a map's type follows from its operands'");
  }
  void check_reduce(const Op& op) const {
    const Type& t = g_.type(op.args[0]);
    use_range(op, op.range);
    at(op, contains(t.axes, op.range), "a reduce's operand has the axis reduced");
    at(op, t.dtype == DType::f32 || t.dtype == DType::i32, "a reduce takes f32 or i32");
    at(op, op.types[0] == Type{op.reduction == Reduction::argmax ? DType::i32 : t.dtype, without(t.axes, op.range)},
       "a reduce keeps its operand's type (argmax: i32) and drops the axis");
  }
  void check_dot(const Op& op) const {
    const Type &a = g_.type(op.args[0]), &b = g_.type(op.args[1]);
    use_range(op, op.range);
    at(op, contains(a.axes, op.range) && contains(b.axes, op.range), "both operands of a dot have its axis");
    bool narrow = a.dtype == DType::i8 && b.dtype == DType::i8;
    at(op, narrow || (is_float(a.dtype) && is_float(b.dtype)), "a dot takes two floats or two i8");
    at(op, op.types[0] == Type{narrow ? DType::i32 : DType::f32, without(united(a.axes, b.axes), op.range)},
       "a dot gives f32 (of i8: i32) over its operands' axes without its own");
    at(op, op.args.size() == 2 || g_.type(op.args[2]) == op.types[0], "a dot's accumulator has its result's type");
  }

  // The axes of an access.
  Axes check_index(const Op& op) const {
    at(op, op.tensor >= 0 && static_cast<size_t>(op.tensor) < g_.tensors.size(),
       "an access names a tensor of the kernel");
    const TensorParam& t = g_.tensors[static_cast<size_t>(op.tensor)];
    at(op, static_cast<int>(op.index.size()) == t.rank, "an access has an index for each dimension");
    Axes axes, ranges;
    for (const Index& i : op.index) {
      at(op, i.range >= 0 || i.offset, "an index has a range, an offset or both");
      if (i.range >= 0) {
        use_range(op, i.range);
        at(op, !contains(ranges, i.range), "a range indexes one dimension of an access");
        ranges = united(ranges, {i.range});
      }
      if (i.offset) {
        at(op, visible(i.offset), "offsets are defined before their use, in its region or one around it");
        at(op, g_.type(i.offset).dtype == DType::i32, "an offset is i32");
        axes = united(axes, g_.type(i.offset).axes);
      }
    }
    axes = united(axes, ranges);
    for (RangeId r : axes) use_range(op, r);
    return axes;
  }
  void check_load(const Op& op) const {
    Axes axes = check_index(op);
    const TensorParam& t = g_.tensors[static_cast<size_t>(op.tensor)];
    at(op, t.read, "a tensor that is loaded is marked read");
    at(op, op.types[0] == Type{t.dtype, axes}, "a load has its tensor's element type and its index's axes");
  }
  void check_store(const Op& op) const {
    Axes axes = check_index(op);
    const TensorParam& t = g_.tensors[static_cast<size_t>(op.tensor)];
    const Type& v = g_.type(op.args[0]);
    at(op, t.written, "a tensor that is stored is marked written");
    at(op, v.dtype == t.dtype, "a stored tile has its tensor's element type");
    at(op, std::includes(axes.begin(), axes.end(), v.axes.begin(), v.axes.end()),
       "a stored tile's axes are among its index's");
  }

  void check_fold(const Op& op, int depth) {
    at(op, op.range >= 0 && op.range < static_cast<int>(g_.ranges.size()), "a range is one of the graph's");
    const RangeInfo& r = g_.range(op.range);
    at(op, r.kind == RangeKind::serial, "a fold walks a serial range");
    at(op, !open_.contains(op.range), fmt::format("range '{}' is walked already by a fold around this one", r.name));
    use_bounds(op, op.range);
    at(op, op.args.size() == op.types.size(), "a fold has an initial value for each result");
    for (size_t i = 0; i < op.types.size(); ++i) {
      at(op, op.types[i] == g_.type(op.args[i]), "a carried value keeps the type of its initial value");
      at(op, computes(op.types[i].dtype), "carried values are f32, i32 or bool");
      at(op, !contains(op.types[i].axes, op.range), "a carried value does not have the axis that its fold walks");
    }
    open_.insert(op.range);
    check_carrier(op, op.body, 1, depth);
    open_.erase(op.range);
    if (!op.merge.ops.empty()) check_carrier(op, op.merge, 2, depth);
  }
  // A region of a fold: it takes the carried values once (body) or twice (merge) and yields them.
  void check_carrier(const Op& op, const Region& r, size_t times, int depth) {
    size_t n = op.types.size();
    at(op, r.params.size() == times * n, "a fold's body takes each carried value once, its merge twice");
    for (size_t i = 0; i < r.params.size(); ++i) {
      Value p = r.params[i];
      bool exists = p.op >= 0 && p.op < static_cast<int>(g_.ops.size()) && p.result == 0 && g_.at(p).types.size() == 1;
      at(op, exists && g_.type(p) == op.types[i % n], "a fold's params have the types of its results");
    }
    region(r, depth + 1);
    const Op& y = g_.ops[static_cast<size_t>(r.ops.back())];
    at(y, y.args.size() == n, "a fold's yield has a value for each result");
    for (size_t i = 0; i < n; ++i) {
      const Type& t = g_.type(y.args[i]);
      const Axes& to = op.types[i].axes;
      at(y, t.dtype == op.types[i].dtype && std::includes(to.begin(), to.end(), t.axes.begin(), t.axes.end()),
         "a yielded value has the element type of the carried value and axes among its axes");
    }
  }

  const Graph& g_;
  std::string_view pass_;
  std::vector<bool> visible_, seen_;
  std::set<RangeId> open_;
  std::vector<int> depth_of_;  // of the region in which an op stands; the top level is 0
};

}  // namespace

void verify(const Graph& g, std::string_view pass) { Verifier(g, pass).run(); }

}  // namespace wavetile
