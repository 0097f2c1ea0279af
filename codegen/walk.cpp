// Tiles that a thread cannot hold, or lanes cannot fill: long ranges are walked in pieces, small dots spread over
// lanes.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>

#include "codegen/caps.h"
#include "codegen/ops.h"
#include "codegen/passes.h"
#include "dsl/check.h"

namespace wavetile {

// Results that fill the lanes with as many as one access brings each. Where lanes show, one each is enough; so it is
// where a dot's operands are used more than once: its results are what is best spread then.
static int64_t filling(const Graph& g, const Op& dot, const Caps& caps) {
  int64_t products = elements(g, dot.types[0].axes) * g.range(dot.range).tile, most = 0;
  int narrowest = 4;
  for (size_t i = 0; i < 2; ++i) {
    most = std::max(most, elements(g, g.type(dot.args[i]).axes));
    narrowest = std::min(narrowest, size_of(g.type(dot.args[i]).dtype));
  }
  return caps.simd || most < products ? caps.lanes : int64_t{caps.lanes} * caps.vector_bytes / narrowest;
}

Graph spread_small_dots(const Graph& g, const Caps& caps) {
  return Rewriter(g,
                  [&](Rewriter& w, const Op& op, int) -> std::optional<std::vector<Value>> {
                    if (op.kind != OpKind::dot || op.types[0].dtype != DType::f32) return {};
                    int64_t results = elements(g, op.types[0].axes), k = g.range(op.range).tile;
                    if (results >= filling(g, op, caps) || k * results < 2 * results || results * k < caps.lanes)
                      return {};
                    Value f[2];
                    for (size_t i = 0; i < 2; ++i) {
                      f[i] = w.map(op.args[i]);
                      Type t = w.out().type(f[i]);
                      if (t.dtype != DType::f32) f[i] = w.emit1(map_op(Fn::cast, {f[i]}, {DType::f32, t.axes}, op.loc));
                    }
                    Axes axes = united(w.out().type(f[0]).axes, w.out().type(f[1]).axes);
                    Value product = w.emit1(map_op(Fn::mul, {f[0], f[1]}, {DType::f32, axes}, op.loc));
                    Op sum{.kind = OpKind::reduce, .args = {product}, .types = op.types, .loc = op.loc};
                    sum.reduction = Reduction::sum;
                    sum.range = op.range;
                    Value s = w.emit1(std::move(sum));
                    if (op.args.size() == 3) s = w.emit1(map_op(Fn::add, {w.map(op.args[2]), s}, op.types[0], op.loc));
                    return std::vector<Value>{s};
                  })
      .run();
}

namespace {

int power_up_to(int64_t n) {  // the greatest power of two that is not above n
  int p = 1;
  while (2 * int64_t{p} <= n) p *= 2;
  return p;
}

// Rewrites one region so that range r, `whole` so far, is walked.
class Walker {
 public:
  Walker(const Graph& g, RangeId r, int tile) : g_(g), r_(r), tile_(tile) {}

  Graph run() {
    mark(g_.body);
    Rewriter w(g_, [this](Rewriter& w, const Op& op, int id) { return rewrite(w, op, id); });
    Graph out = w.run();
    out.range(r_).kind = RangeKind::serial;
    out.range(r_).tile = tile_;
    return out;
  }

 private:
  bool along(Value v) const { return contains(g_.type(v).axes, r_); }
  bool along(const Op& op) const {
    for (const Type& t : op.types)
      if (contains(t.axes, r_)) return true;
    for (const Index& i : op.index)
      if (i.range == r_ || (i.offset && along(i.offset))) return true;
    return false;
  }
  // What has to be computed again, along r, where `values` are used; in the order of the graph.
  std::set<int> needs(const std::vector<int>& roots) const {
    std::set<int> found;
    std::function<void(Value)> visit = [&](Value v) {
      if (!v || !along(v) || !found.insert(v.op).second) return;
      operands(g_.at(v), visit);
    };
    for (int id : roots) operands(g_.ops[static_cast<size_t>(id)], visit);
    return found;
  }
  static void operands(const Op& op, const std::function<void(Value)>& visit) {
    for (Value v : op.args) visit(v);
    for (const Index& i : op.index) visit(i.offset);
  }
  const Op& op(int id) const { return g_.ops[static_cast<size_t>(id)]; }
  // Whether op `id` loads what `store` may change; `before` it, or after it.
  bool meets(int id, int store, bool before) const {
    return op(id).kind == OpKind::load && (id < store) == before && may_share(g_, op(store).tensor, op(id).tensor);
  }
  bool meets(const std::set<int>& ops, int store, bool before) const {
    return std::any_of(ops.begin(), ops.end(), [&](int id) { return meets(id, store, before); });
  }

  // Stores along r wait for the first op that they have to precede (or for the region's end), and happen there as a
  // group: reductions go first, and still see what the stores change. Loads are repeated in each place that needs
  // them, and must not see there what was stored after them.
  void mark(const Region& region) {
    std::vector<int> pending;
    for (int id : region.ops) {
      const Op& o = op(id);
      const bool stores = o.kind == OpKind::store, last = id == region.ops.back();
      if (last || (o.kind == OpKind::fold && concerned(o.body))) close(pending, id, {pending.begin(), pending.end()});
      if (o.kind == OpKind::fold) mark_loop(o.body);
      if (stores && along(o)) {
        pending.push_back(id);
        grouped_.insert(id);
      } else if (stores || o.kind == OpKind::load) {
        std::set<int> first;
        for (int s : pending)
          if (op(s).tensor == o.tensor && !along(o)) first.insert(s);
        close(pending, id, first);
      } else if ((o.kind == OpKind::reduce || o.kind == OpKind::dot) && o.range == r_) {
        std::set<int> again = needs({id}), first;
        for (int s : pending)
          if (meets(again, s, false)) first.insert(s);
        close(pending, id, first);
        check(again);
      }
    }
  }
  bool concerned(const Region& body) const {
    return std::any_of(body.ops.begin(), body.ops.end(), [&](int id) {
      return op(id).kind == OpKind::store || op(id).range == r_ || along(op(id)) || concerned(op(id).body);
    });
  }
  // What a step of a loop stores comes before what the next step loads again of what was read before the loop.
  void mark_loop(const Region& body) {
    const size_t done = done_.size();
    mark(body);
    std::set<int> inside;
    std::function<void(const Region&)> collect = [&](const Region& r) {
      inside.insert(r.ops.begin(), r.ops.end());
      for (int id : r.ops) collect(op(id).body);
    };
    collect(body);
    for (int id : inside) {
      std::set<int> again;
      for (int n : needs({id}))
        if (!inside.contains(n)) again.insert(n);
      for (size_t i = done; i < done_.size(); ++i) check(again, done_[i]);
    }
  }
  // Of the pending stores, those of `first` happen before op `at`, and so do others that cannot come after them: of one
  // tensor, or of what is loaded before it is overwritten.
  void close(std::vector<int>& pending, int at, std::set<int> first) {
    auto precedes = [&](int s, int other) {
      return (op(s).tensor == op(other).tensor && s < other) || meets(needs({s}), other, true);
    };
    for (size_t size = first.size() + 1; size != first.size();) {
      size = first.size();
      for (int s : pending)
        if (std::any_of(first.begin(), first.end(), [&](int f) { return precedes(s, f); })) first.insert(s);
    }
    if (first.empty()) return;
    check(needs({first.begin(), first.end()}));
    auto& group = groups_[at];
    group.insert(group.end(), first.begin(), first.end());
    done_.insert(done_.end(), first.begin(), first.end());
    std::erase_if(pending, [&](int s) { return first.contains(s); });
  }
  void check(const std::set<int>& again) const {
    for (int s : done_) check(again, s);
  }
  void check(const std::set<int>& again, int store) const {
    for (int id : again) {
      if (!meets(id, store, true)) continue;
      const Op &load = op(id), &by = op(store);
      auto name = [&](int t) { return "'" + g_.tensors[static_cast<size_t>(t)].name + "'"; };
      std::string what = name(load.tensor);
      if (load.tensor != by.tensor) what += fmt::format(" (which may be the memory of {})", name(by.tensor));
      throw Error(load.loc,
                  fmt::format("kernel '{}' still needs elements of {} read here after it has overwritten them at {}, "
                              "and range '{}' is too long to keep them in registers; read what is needed again after "
                              "the store",
                              g_.name, what, by.loc.str(), g_.range(r_).name));
    }
  }

  // Copies what a value needs along r into the region being written.
  Value clone(Rewriter& w, Value v, std::map<int, std::vector<Value>>& made) {
    if (!along(v)) return w.map(v);
    if (auto it = made.find(v.op); it != made.end()) return it->second[static_cast<size_t>(v.result)];
    const Op& op = g_.at(v);
    Op c = op;
    for (Value& a : c.args) a = clone(w, a, made);
    for (Index& i : c.index)
      if (i.offset) i.offset = clone(w, i.offset, made);
    made[v.op] = w.emit(std::move(c));
    return made[v.op][static_cast<size_t>(v.result)];
  }

  std::optional<std::vector<Value>> rewrite(Rewriter& w, const Op& op, int id) {
    if (auto group = groups_.find(id); group != groups_.end()) store(w, group->second);
    bool reduces = (op.kind == OpKind::reduce || op.kind == OpKind::dot) && op.range == r_;
    if (reduces) return reduce(w, op);
    if (grouped_.contains(id)) return std::vector<Value>{};
    if (op.kind == OpKind::iota && op.range == r_ && op.iota != IotaKind::coordinate) return {};
    if (along(op) && op.kind != OpKind::fold) return std::vector<Value>{};  // made again where it is needed
    return {};
  }

  void store(Rewriter& w, const std::vector<int>& stores) {
    const Loc loc = op(stores.back()).loc;
    Op fold{.kind = OpKind::fold, .args = {}, .types = {}, .loc = loc};
    fold.range = r_;
    fold.body = w.write_region({}, loc, [&](const std::vector<Value>&) {
      std::map<int, std::vector<Value>> made;
      std::set<int> ops = needs(stores);  // in the order of the graph, so that loads keep their place among the stores
      ops.insert(stores.begin(), stores.end());
      for (int id : ops) {
        Op c = g_.ops[static_cast<size_t>(id)];
        if (c.kind != OpKind::store) {
          clone(w, {id, 0}, made);
          continue;
        }
        for (Value& a : c.args) a = clone(w, a, made);
        for (Index& i : c.index)
          if (i.offset) i.offset = clone(w, i.offset, made);
        w.emit(std::move(c));
      }
      return std::vector<Value>{};
    });
    w.emit(std::move(fold));
  }

  std::vector<Value> reduce(Rewriter& w, const Op& op) {
    Type t = op.types[0];
    Type best{op.kind == OpKind::reduce ? g_.type(op.args[0]).dtype : t.dtype, t.axes};
    bool argmax = op.kind == OpKind::reduce && op.reduction == Reduction::argmax;
    Reduction how = op.kind == OpKind::dot ? Reduction::sum : op.reduction;
    double identity = identity_of(how);
    if (best.dtype == DType::i32) identity = std::clamp(identity, -2147483648.0, 2147483647.0);
    Op fold{.kind = OpKind::fold, .args = {}, .types = {best}, .loc = op.loc};
    fold.range = r_;
    fold.args = {w.emit1(constant_op(identity, best, op.loc))};
    if (op.args.size() == 3) fold.args[0] = w.map(op.args[2]);
    if (argmax) {
      fold.types.push_back(t);
      fold.args.push_back(w.emit1(constant_op(0, t, op.loc)));
    }
    fold.body = w.write_region(fold.types, op.loc, [&](const std::vector<Value>& acc) {
      std::map<int, std::vector<Value>> made;
      Op part = op;
      part.args.resize(std::min<size_t>(part.args.size(), 2));
      for (Value& a : part.args) a = clone(w, a, made);
      if (op.kind == OpKind::dot) {
        part.args.push_back(acc[0]);
        return std::vector<Value>{w.emit1(std::move(part))};
      }
      if (!argmax) {
        Fn fn = how == Reduction::sum ? Fn::add : how == Reduction::max ? Fn::max : Fn::min;
        Value p = w.emit1(std::move(part));
        return std::vector<Value>{w.emit1(map_op(fn, {acc[0], p}, best, op.loc))};
      }
      Value at = w.emit1(part);
      part.reduction = Reduction::max;
      part.types = {best};
      Value top = w.emit1(std::move(part));
      Type yes{DType::b1, t.axes};
      auto both = [&](Fn fn, Value a, Value b, Type type) { return w.emit1(map_op(fn, {a, b}, type, op.loc)); };
      Value better = both(Fn::lt, acc[0], top, yes);
      if (best.dtype == DType::f32) {  // a NaN is greater than anything but an earlier NaN
        Value fresh = both(Fn::bit_and, both(Fn::ne, top, top, yes), both(Fn::eq, acc[0], acc[0], yes), yes);
        better = both(Fn::bit_or, better, fresh, yes);
      }
      return std::vector<Value>{w.emit1(map_op(Fn::select, {better, top, acc[0]}, best, op.loc)),
                                w.emit1(map_op(Fn::select, {better, at, acc[1]}, t, op.loc))};
    });
    auto results = w.emit(std::move(fold));
    return {results[argmax ? 1 : 0]};
  }

  const Graph& g_;
  RangeId r_;
  int tile_;
  std::map<int, std::vector<int>> groups_;  // stores that happen together, by the op that they precede
  std::set<int> grouped_;
  std::vector<int> done_;  // stores before what is being marked
};

// Elements of the longest tile along r that a thread must hold at once; operands of a dot are read as it goes.
int64_t longest_tile(const Graph& g, RangeId r) {
  std::set<Value> held;
  for (const Op& op : g.ops) {
    for (size_t i = 0; i < op.args.size(); ++i)
      if (op.kind != OpKind::dot || i == 2) held.insert(op.args[i]);
  }
  int64_t longest = 0;
  for (Value v : held)
    if (contains(g.type(v).axes, r)) longest = std::max(longest, elements(g, g.type(v).axes));
  return longest;
}

// Multiply-adds of a thread in the largest dot over r that is made of them.
int64_t unrolled(const Graph& g, RangeId r, const Caps& caps) {
  int64_t most = 0;
  for (const Op& op : g.ops)
    if (op.kind == OpKind::dot && op.range == r && !on_matrix_unit(g, op, caps))
      most = std::max(most, std::max<int64_t>(1, elements(g, op.types[0].axes) / caps.lanes) * g.range(r).tile);
  return most;
}

bool carried_along(const Graph& g, RangeId r) {
  return std::any_of(g.ops.begin(), g.ops.end(), [&](const Op& op) {
    return op.kind == OpKind::fold &&
           std::any_of(op.types.begin(), op.types.end(), [&](const Type& t) { return contains(t.axes, r); });
  });
}

}  // namespace

Graph walk_whole(const Graph& g, const Caps& caps) {
  constexpr int64_t max_unrolled = 256;  // multiply-adds of a dot, about 2 KB of code
  Graph out = g;
  for (size_t i = 0; i < out.ranges.size(); ++i) {
    RangeId r = static_cast<RangeId>(i);
    if (out.range(r).kind != RangeKind::whole || !out.range(r).hi) continue;
    int64_t limit = int64_t{caps.max_registers} * caps.lanes, longest = longest_tile(out, r);
    int64_t extent = out.range(r).tile, fmas = caps.simd ? 0 : unrolled(out, r, caps);  // explicit lanes loop over it
    if (longest <= limit && fmas <= max_unrolled) continue;
    if (carried_along(out, r)) {
      if (longest <= 4 * limit) continue;
      throw Error(
          out.range(r).loc,
          fmt::format(
              "range '{}' of kernel '{}' is whole, {} elements long, and carried by a fold: its tile of {} elements "
              "exceeds the registers; use smaller tiles of the other ranges",
              out.range(r).name, out.name, extent, longest));
    }
    int64_t tile = extent;
    if (longest > limit) tile = std::max<int64_t>(caps.lanes, limit / 2 * extent / longest);
    if (fmas > max_unrolled) tile = std::min(tile, std::max<int64_t>(1, max_unrolled / 2 * extent / fmas));
    out = Walker(out, r, power_up_to(tile)).run();
    verify(out, "walk_whole");
  }
  return out;
}

}  // namespace wavetile