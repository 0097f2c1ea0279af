// What a graph says, said once and in the order of its use.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>

#include "codegen/ops.h"
#include "codegen/passes.h"
#include "dsl/check.h"

namespace wavetile {

Graph specialise(const Graph& g, const Signature& s) {
  if (s.size() < g.tensors.size())
    throw InternalError(
        fmt::format("kernel '{}' is compiled for {} tensors and has {}", g.name, s.size(), g.tensors.size()));
  // Nothing but the signature tells the rank of a tensor that nothing accesses.
  Graph ranked = g;
  for (size_t i = 0; i < g.tensors.size(); ++i)
    if (g.tensors[i].rank == 0) ranked.tensors[i].rank = static_cast<int>(s[i].extents.size());
  return Rewriter(ranked,
                  [&](Rewriter& w, const Op& op, int) -> std::optional<std::vector<Value>> {
                    if (op.kind != OpKind::param || op.param != ParamKind::dim) return {};
                    const TensorParam& t = ranked.tensors[static_cast<size_t>(op.tensor)];
                    if (op.dim >= t.rank)
                      throw Error(op.loc, fmt::format("kernel '{}' asks for dim({}) of tensor '{}', and is compiled "
                                                      "for one of {} dimensions",
                                                      g.name, op.dim, t.name, t.rank));
                    const auto& extents = s[static_cast<size_t>(op.tensor)].extents;
                    if (static_cast<size_t>(op.dim) >= extents.size() || !extents[static_cast<size_t>(op.dim)])
                      return {};
                    return w.emit(
                        constant_op(static_cast<double>(*extents[static_cast<size_t>(op.dim)]), op.types[0], op.loc));
                  })
      .run();
}

namespace {

std::string key_of(const Op& op) {  // of a pure op: equal keys compute the same
  std::string k = fmt::format("{} {} {} {} {} {} {} {} {}", int(op.kind), int(op.fn), int(op.reduction), op.range,
                              int(op.iota), int(op.param), op.tensor, op.dim, op.constant);
  for (Value v : op.args) k += fmt::format(" {}.{}", v.op, v.result);
  for (const Type& t : op.types) {
    k += fmt::format(" :{}", int(t.dtype));
    for (RangeId r : t.axes) k += fmt::format(",{}", r);
  }
  return k;
}

bool pure(const Op& op) {
  switch (op.kind) {
    case OpKind::param:
      return op.param != ParamKind::carried;
    case OpKind::constant:
    case OpKind::iota:
    case OpKind::map:
    case OpKind::reduce:
    case OpKind::dot:
      return true;
    default:
      return false;
  }
}

bool has_effect(const Graph& g, const Op& op) {
  if (op.kind == OpKind::store || op.kind == OpKind::yield) return true;
  if (op.kind != OpKind::fold) return false;
  return std::any_of(op.body.ops.begin(), op.body.ops.end(), [&](int id) {
    const Op& o = g.ops[static_cast<size_t>(id)];
    return o.kind == OpKind::store || (o.kind == OpKind::fold && has_effect(g, o));
  });
}

// The ops whose results matter, from the stores back.
std::set<int> live_ops(const Graph& g) {
  std::set<int> live;
  std::function<void(Value)> use;
  std::function<void(const Region&)> region;
  std::function<void(int)> op = [&](int id) {
    if (!live.insert(id).second) return;
    const Op& o = g.ops[static_cast<size_t>(id)];
    for (Value v : o.args) use(v);
    auto bounds = [&](RangeId r) {
      if (r < 0) return;
      use(g.range(r).lo);
      use(g.range(r).hi);
    };
    bounds(o.range);
    for (const Index& i : o.index) {
      use(i.offset);
      bounds(i.range);
    }
    for (const Type& t : o.types)
      for (RangeId r : t.axes) bounds(r);
    if (o.kind == OpKind::fold) {
      region(o.body);
      region(o.merge);
    }
  };
  use = [&](Value v) {
    if (v) op(v.op);
  };
  region = [&](const Region& r) {
    for (Value p : r.params) live.insert(p.op);
    for (int id : r.ops)
      if (has_effect(g, g.ops[static_cast<size_t>(id)])) op(id);
  };
  region(g.body);
  for (const RangeInfo& r : g.ranges)
    if (r.kind == RangeKind::parallel) {  // part of the grid, used or not
      use(r.lo);
      use(r.hi);
    }
  return live;
}

Graph fold_and_share(const Graph& g) {
  std::set<int> live = live_ops(g);
  // Values seen in the region being written and those around it.
  std::vector<std::map<std::string, Value>> scopes(1);
  auto shared = [&](Rewriter& w, Op op) {
    std::string k = key_of(op);
    for (const auto& s : scopes)
      if (auto it = s.find(k); it != s.end()) return it->second;
    Value v = w.emit1(std::move(op));
    scopes.back()[k] = v;
    return v;
  };
  Rewriter::Hook hook = [&](Rewriter& w, const Op& in, int id) -> std::optional<std::vector<Value>> {
    if (!live.contains(id) && in.kind != OpKind::yield) {
      std::vector<Value> gone;  // never read; ranges that only dead ops use keep their bounds harmlessly
      return gone;
    }
    if (in.kind == OpKind::fold) {
      Op c = in;
      for (Value& v : c.args) v = w.map(v);
      scopes.emplace_back();
      c.body = w.copy_region(in.body);
      scopes.back().clear();
      c.merge = w.copy_region(in.merge);
      scopes.pop_back();
      return w.emit(std::move(c));
    }
    if (!pure(in)) return {};
    Op op = in;
    for (Value& v : op.args) v = w.map(v);
    const Graph& out = w.out();
    if (op.kind == OpKind::map && op.fn == Fn::cast && out.type(op.args[0]).dtype == op.types[0].dtype)
      return std::vector<Value>{op.args[0]};
    if (op.kind == OpKind::map && op.types[0].axes.empty() && op.types[0].dtype == DType::i32 && op.args.size() == 2) {
      int probe = static_cast<int>(w.out().ops.size());
      w.out().ops.push_back(op);
      auto c = w.out().constant({probe, 0});
      w.out().ops.pop_back();
      if (c) return std::vector<Value>{shared(w, constant_op(*c, op.types[0], op.loc))};
    }
    // acc + dot(a, b): the accumulator goes into the dot, if it covers the dot's axes.
    if (op.kind == OpKind::map && op.fn == Fn::add && is_float(op.types[0].dtype))
      for (int i = 1; i >= 0; --i) {
        const Op& d = out.at(op.args[static_cast<size_t>(i)]);
        Value acc = op.args[static_cast<size_t>(1 - i)];
        if (d.kind == OpKind::dot && d.args.size() == 2 && out.type(acc).axes == d.types[0].axes &&
            d.types[0].dtype == DType::f32) {
          Op fused = d;
          fused.args.push_back(acc);
          return std::vector<Value>{shared(w, std::move(fused))};
        }
      }
    return std::vector<Value>{shared(w, std::move(op))};
  };
  // Bounds of ranges that only dead ops use may themselves be dead.
  Graph in = g;
  for (RangeInfo& r : in.ranges) {
    if (r.lo && !live.contains(r.lo.op)) r.lo = {};
    if (r.hi && !live.contains(r.hi.op)) r.hi = {};
  }
  return Rewriter(in, hook).run();
}

// Orders each region by use: an op goes right before the first one with an effect (or yield) that needs it. Loads of
// tensors that the kernel also writes keep their place among the stores.
Graph reorder(const Graph& g) {
  Graph out = g;
  std::function<void(Region&)> region = [&](Region& r) {
    std::set<int> here(r.ops.begin(), r.ops.end()), done;
    for (Value p : r.params) done.insert(p.op);
    std::vector<int> order;
    for (Value p : r.params) order.push_back(p.op);
    std::function<void(int)> visit = [&](int id) {
      if (!here.contains(id) || !done.insert(id).second) return;
      const Op& o = g.ops[static_cast<size_t>(id)];
      std::function<void(const Op&)> needs = [&](const Op& op) {
        auto need = [&](Value v) {
          if (v) visit(v.op);
        };
        auto bounds = [&](RangeId range) {
          if (range < 0) return;
          need(g.range(range).lo);
          need(g.range(range).hi);
        };
        for (Value v : op.args) need(v);
        for (const Index& i : op.index) {
          need(i.offset);
          bounds(i.range);
        }
        bounds(op.range);
        for (const Type& t : op.types)
          for (RangeId a : t.axes) bounds(a);
        for (const Region* inner : {&op.body, &op.merge})
          for (int i : inner->ops) needs(g.ops[static_cast<size_t>(i)]);
      };
      needs(o);
      order.push_back(id);
    };
    auto ordered = [&](const Op& o) {
      if (has_effect(g, o)) return true;
      return o.kind == OpKind::load && may_change(g, o.tensor);
    };
    for (int id : r.ops)
      if (ordered(g.ops[static_cast<size_t>(id)])) visit(id);
    r.ops = order;
    for (int id : order) {
      Op& o = out.ops[static_cast<size_t>(id)];
      if (o.kind == OpKind::fold) {
        region(o.body);
        if (!o.merge.ops.empty()) region(o.merge);
      }
    }
  };
  region(out.body);
  // Scalars that only the grid needs.
  std::set<int> there(out.body.ops.begin(), out.body.ops.end());
  std::vector<int> front;
  std::function<void(Value)> keep = [&](Value v) {
    if (!v || there.contains(v.op)) return;
    for (Value a : g.at(v).args) keep(a);
    there.insert(v.op);
    front.push_back(v.op);
  };
  for (const RangeInfo& r : out.ranges)
    if (r.kind == RangeKind::parallel) {
      keep(r.lo);
      keep(r.hi);
    }
  out.body.ops.insert(out.body.ops.begin(), front.begin(), front.end());
  for (RangeInfo& r : out.ranges) {  // bounds of ranges that nothing uses any more
    auto gone = [&](Value v) {
      if (!v) return false;
      std::function<bool(const Region&)> in = [&](const Region& x) {
        return std::any_of(x.ops.begin(), x.ops.end(), [&](int id) {
          const Op& o = out.ops[static_cast<size_t>(id)];
          return id == v.op || (o.kind == OpKind::fold && (in(o.body) || in(o.merge)));
        });
      };
      return !in(out.body);
    };
    if (gone(r.lo)) r.lo = {};
    if (gone(r.hi)) r.hi = {};
  }
  return Rewriter(out).run();  // numbers the ops anew
}

}  // namespace

Graph simplify(const Graph& g) { return reorder(fold_and_share(fold_and_share(g))); }

}  // namespace wavetile
