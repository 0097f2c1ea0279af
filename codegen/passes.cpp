#include "codegen/passes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "codegen/caps.h"

namespace wavetile {
namespace {

Op constant_op(double x, Type type, Loc loc) {
  Op op{.kind = OpKind::constant, .args = {}, .types = {std::move(type)}, .loc = loc};
  op.constant = x;
  return op;
}
Op map_op(Fn fn, std::vector<Value> args, Type type, Loc loc) {
  Op op{.kind = OpKind::map, .args = std::move(args), .types = {std::move(type)}, .loc = loc};
  op.fn = fn;
  return op;
}

}  // namespace

Graph specialise(const Graph& g, const Signature& s) {
  if (s.size() < g.tensors.size())
    throw InternalError(fmt::format("kernel '{}' is compiled for {} tensors and has {}", g.name, s.size(), g.tensors.size()));
  return Rewriter(g, [&](Rewriter& w, const Op& op, int) -> std::optional<std::vector<Value>> {
    if (op.kind != OpKind::param || op.param != ParamKind::dim) return {};
    const auto& extents = s[static_cast<size_t>(op.tensor)].extents;
    if (static_cast<size_t>(op.dim) >= extents.size() || !extents[static_cast<size_t>(op.dim)]) return {};
    return w.emit(constant_op(static_cast<double>(*extents[static_cast<size_t>(op.dim)]), op.types[0], op.loc));
  }).run();
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
    case OpKind::param: return op.param != ParamKind::carried;
    case OpKind::constant:
    case OpKind::iota:
    case OpKind::map:
    case OpKind::reduce:
    case OpKind::dot: return true;
    default: return false;
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
        if (d.kind == OpKind::dot && d.args.size() == 2 && out.type(acc).axes == d.types[0].axes && d.types[0].dtype == DType::f32) {
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
      return o.kind == OpKind::load && g.tensors[static_cast<size_t>(o.tensor)].written;
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

Digits digits_of(const Schedule& s, const std::string& tensor, int dim) {
  auto it = s.packing.find(tensor);
  if (it == s.packing.end()) return {};
  int64_t inner = 1;
  for (size_t i = it->second.blocks.size(); i-- > 0;) {
    const auto& b = it->second.blocks[i];
    if (b.dim == dim) return {b.size, inner};
    inner *= b.size;
  }
  return {};
}

std::vector<int> contiguity(const Graph& g, const Signature& sig, const Schedule& s) {
  std::vector<int> score(g.ranges.size(), 0);
  std::set<int> used;
  std::function<void(const Region&)> walk = [&](const Region& r) {
    for (int id : r.ops) {
      const Op& op = g.ops[static_cast<size_t>(id)];
      if (op.kind == OpKind::fold) walk(op.body);
      if (op.kind != OpKind::load && op.kind != OpKind::store) continue;
      auto t = static_cast<size_t>(op.tensor);
      for (size_t d = 0; d < op.index.size(); ++d) {
        if (op.index[d].range < 0) continue;
        Digits digits = digits_of(s, g.tensors[t].name, static_cast<int>(d));
        bool innermost = digits.block > 1 ? digits.inner == 1
                         : t < sig.size() && d < sig[t].strides.size() && sig[t].strides[d] == 1;
        if (innermost) ++score[static_cast<size_t>(op.index[d].range)];
      }
    }
  };
  walk(g.body);
  return score;
}

namespace {

int ceil_power(int64_t n) {
  int p = 1;
  while (p < n) p *= 2;
  return p;
}

}  // namespace

Graph apply_schedule(const Graph& g, const Schedule& s, const Signature& sig, const Caps& caps) {
  Graph out = g;
  auto known = [&](const std::string& name) {
    return std::any_of(g.ranges.begin(), g.ranges.end(), [&](const RangeInfo& r) { return r.name == name; });
  };
  auto names = [&] {
    std::string n;
    for (const RangeInfo& r : g.ranges) n += (n.empty() ? "" : ", ") + r.name;
    return n;
  };
  auto check_name = [&](const std::string& name, std::string_view what) {
    if (!known(name))
      throw Error(g.loc, fmt::format("the schedule's {} names range '{}', and kernel '{}' has only {}", what, name, g.name, names()));
  };
  for (const auto& [name, tile] : s.tile) {
    check_name(name, "tile");
    if (tile < 1) throw Error(g.loc, fmt::format("the schedule gives range '{}' of kernel '{}' a tile of {}; it must be 1 or more", name, g.name, tile));
  }
  for (const Walk& w : s.order) check_name(w.axis, "order");
  for (const auto& [name, parts] : s.split) check_name(name, "split");
  if (s.warps < 1 || (s.warps & (s.warps - 1)) || s.warps > caps.max_warps)
    throw Error(g.loc, fmt::format("the schedule gives kernel '{}' {} warps a block; {} takes a power of two up to {}", g.name, s.warps, caps.name, caps.max_warps));
  for (const auto& [name, packing] : s.packing) {
    auto t = std::find_if(g.tensors.begin(), g.tensors.end(), [&](const TensorParam& p) { return p.name == name; });
    if (t == g.tensors.end())
      throw Error(g.loc, fmt::format("the schedule packs tensor '{}', which kernel '{}' does not have", name, g.name));
    for (const auto& b : packing.blocks)
      if (b.dim < 0 || b.dim >= t->rank || b.size < 2 || (b.size & (b.size - 1)))
        throw Error(g.loc, fmt::format("the schedule packs dimension {} of tensor '{}' of kernel '{}' in blocks of {}; it has {} dimensions, and blocks are powers of two", b.dim, name, g.name, b.size, t->rank));
  }
  std::vector<int> score = contiguity(g, sig, s);
  // Kernels without reductions and folds have no better place for parallelism than their innermost axis.
  bool flat = std::none_of(g.ranges.begin(), g.ranges.end(), [](const RangeInfo& r) { return r.kind != RangeKind::parallel; });
  RangeId inner = -1;
  for (size_t r = 0; r < score.size(); ++r)
    if (g.ranges[r].kind == RangeKind::parallel && score[r] > 0 && (inner < 0 || score[r] >= score[static_cast<size_t>(inner)]))
      inner = static_cast<RangeId>(r);
  for (size_t i = 0; i < out.ranges.size(); ++i) {
    RangeInfo& r = out.ranges[i];
    auto given = s.tile.find(r.name);
    auto extent = r.hi ? g.extent(static_cast<RangeId>(i)) : std::nullopt;
    if (r.kind == RangeKind::whole) {
      if (!r.hi) continue;  // nothing uses it
      if (!extent)
        throw Error(r.loc, fmt::format("range '{}' of kernel '{}' is whole, and its extent is not known when the kernel is "
                                       "compiled; give that dimension in the signature, or make the range serial and fold over it", r.name, g.name));
      r.tile = static_cast<int>(std::max<int64_t>(1, *extent));
    } else if (given != s.tile.end()) {
      r.tile = given->second;
    } else if (r.kind == RangeKind::parallel) {
      r.tile = flat && static_cast<RangeId>(i) == inner ? caps.lanes * s.warps * (caps.simd ? 4 : 2) : 1;
    } else {
      r.tile = score[i] > 0 ? caps.lanes * 2 : 4;
      if (extent) r.tile = std::min(r.tile, ceil_power(*extent));
    }
  }
  return out;
}

namespace {

int64_t elements(const Graph& g, const Axes& axes) {
  int64_t n = 1;
  for (RangeId r : axes) n *= g.range(r).tile;
  return n;
}

}  // namespace

Graph spread_small_dots(const Graph& g, const Caps& caps) {
  return Rewriter(g, [&](Rewriter& w, const Op& op, int) -> std::optional<std::vector<Value>> {
    if (op.kind != OpKind::dot || op.types[0].dtype != DType::f32) return {};
    int64_t results = elements(g, op.types[0].axes), k = g.range(op.range).tile;
    if (results >= caps.lanes || k * results < 2 * results || results * k < caps.lanes) return {};
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
  }).run();
}

namespace {

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
  bool reads(const std::set<int>& ops, int tensor, int after) const {
    return std::any_of(ops.begin(), ops.end(), [&](int id) {
      const Op& op = g_.ops[static_cast<size_t>(id)];
      return op.kind == OpKind::load && op.tensor == tensor && id > after;
    });
  }
  // Stores along r happen in groups, at the place of the group's last one. A group ends before a reduction that reads
  // what the group stores. Loads are repeated in each place that needs them, and must not see later stores there.
  void mark(const Region& region) {
    std::vector<int> pending, done;
    auto close = [&] {
      if (pending.empty()) return;
      groups_[pending.back()] = pending;
      done.insert(done.end(), pending.begin(), pending.end());
      pending.clear();
    };
    auto check = [&](const std::set<int>& again) {
      for (int s : done)
        for (int id : again) {
          const Op &load = g_.ops[static_cast<size_t>(id)], &store = g_.ops[static_cast<size_t>(s)];
          if (load.kind == OpKind::load && load.tensor == store.tensor && id < s)
            throw Error(load.loc, fmt::format("kernel '{}' still needs elements of '{}' read here after it has overwritten them at {}, and range "
                                              "'{}' is too long to keep them in registers; read what is needed again after the store",
                                              g_.name, g_.tensors[static_cast<size_t>(load.tensor)].name, store.loc.str(), g_.range(r_).name));
        }
    };
    for (int id : region.ops) {
      const Op& op = g_.ops[static_cast<size_t>(id)];
      if (op.kind == OpKind::fold) mark(op.body);
      if (op.kind == OpKind::store && along(op)) {
        pending.push_back(id);
        grouped_.insert(id);
        check(needs({id}));
      }
      if ((op.kind == OpKind::reduce || op.kind == OpKind::dot) && op.range == r_) {
        std::set<int> again = needs({id});
        if (std::any_of(pending.begin(), pending.end(), [&](int s) { return reads(again, g_.ops[static_cast<size_t>(s)].tensor, s); })) close();
        check(again);
      }
    }
    close();
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
    bool reduces = (op.kind == OpKind::reduce || op.kind == OpKind::dot) && op.range == r_;
    if (reduces) return reduce(w, op);
    if (op.kind == OpKind::store && grouped_.contains(id)) {
      auto group = groups_.find(id);
      if (group == groups_.end()) return std::vector<Value>{};
      return store(w, group->second, op.loc);
    }
    if (op.kind == OpKind::iota && op.range == r_ && op.iota != IotaKind::coordinate) return {};
    if (along(op) && op.kind != OpKind::fold) return std::vector<Value>{};  // made again where it is needed
    return {};
  }

  std::vector<Value> store(Rewriter& w, const std::vector<int>& stores, Loc loc) {
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
    return {};
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
  std::map<int, std::vector<int>> groups_;
  std::set<int> grouped_;
};

}  // namespace

namespace {

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

// Multiply-adds of a thread in the largest dot over r.
int64_t unrolled(const Graph& g, RangeId r, int lanes) {
  int64_t most = 0;
  for (const Op& op : g.ops)
    if (op.kind == OpKind::dot && op.range == r)
      most = std::max(most, std::max<int64_t>(1, elements(g, op.types[0].axes) / lanes) * g.range(r).tile);
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
    int64_t extent = out.range(r).tile, fmas = caps.simd ? 0 : unrolled(out, r, caps.lanes);  // explicit lanes loop over it
    if (longest <= limit && fmas <= max_unrolled) continue;
    if (carried_along(out, r)) {
      if (longest <= 4 * limit) continue;
      throw Error(out.range(r).loc, fmt::format("range '{}' of kernel '{}' is whole, {} elements long, and carried by a fold: its tile of {} elements "
                                                "exceeds the registers; use smaller tiles of the other ranges", out.range(r).name, out.name, extent, longest));
    }
    int64_t tile = extent;
    if (longest > limit) tile = std::max<int64_t>(caps.lanes, limit / 2 * extent / longest);
    if (fmas > max_unrolled) tile = std::min(tile, std::max<int64_t>(1, max_unrolled / 2 * extent / fmas));
    out = Walker(out, r, ceil_power(tile + 1) / 2).run();
    verify(out, "walk_whole");
  }
  return out;
}

}  // namespace wavetile
