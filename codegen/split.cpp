// A fold in parts: `fold` over [lo, hi) becomes
//
//   stage 0, also parallel over part:   state = fold over [lo + part·len, lo + (part+1)·len);   W[part, ...] = state
//   stage 1:                            state = fold over part of merge(state, W[part, ...]);   and what follows
//
// Parts are merged in ascending order, whatever ran first, and their number comes from the schedule: a result does not
// depend on the number of threads.
#include <algorithm>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "codegen/passes.h"

namespace wavetile {
namespace {

Op make(OpKind kind, std::vector<Value> args, std::vector<Type> types, Loc loc) {
  return {.kind = kind, .args = std::move(args), .types = std::move(types), .loc = loc};
}

class Splitter {
 public:
  /// `shared`: the parts are to be shared out again, among warps.
  Splitter(const Graph& g, int fold, int parts, bool shared)
      : g_(g), id_(fold), fold_(g.ops[static_cast<size_t>(fold)]), parts_(parts), shared_(shared) {
    for (const Type& t : fold_.types) workspaces_.push_back({t.dtype, t.axes, parts});
  }

  Split run() {
    check_stores();
    Graph parts = partial();
    Graph rest = merged();
    return {{std::move(parts), std::move(rest)}, workspaces_};
  }

 private:
  RangeId add_range(Graph& g, const std::string& suffix, RangeKind kind, Value hi) {
    const RangeInfo& r = g_.range(fold_.range);
    g.ranges.push_back({r.name + suffix, kind, {}, hi, r.loc, 1});
    return static_cast<RangeId>(g.ranges.size()) - 1;
  }
  void add_workspaces(Graph& g, bool written) {
    for (size_t i = 0; i < fold_.types.size(); ++i)
      g.tensors.push_back({fmt::format("{}.state{}", g_.range(fold_.range).name, i), fold_.types[i].dtype,
                           static_cast<int>(fold_.types[i].axes.size()) + 1, !written, written});
  }
  std::vector<Index> place(size_t i, Index part) const {
    std::vector<Index> index{part};
    for (RangeId a : fold_.types[i].axes) index.push_back({a, {}});
    return index;
  }
  static Value scalar(Rewriter& w, Fn fn, Value a, Value b, Loc loc) {
    Op op = make(OpKind::map, {a, b}, {{DType::i32, {}}}, loc);
    op.fn = fn;
    return w.emit1(std::move(op));
  }
  static Value number(Rewriter& w, double x, Type t, Loc loc) {
    Op op = make(OpKind::constant, {}, {std::move(t)}, loc);
    op.constant = x;
    return w.emit1(std::move(op));
  }
  bool stores(const Op& op) const {
    if (op.kind == OpKind::store) return true;
    return op.kind == OpKind::fold && std::any_of(op.body.ops.begin(), op.body.ops.end(),
                                                  [&](int i) { return stores(g_.ops[static_cast<size_t>(i)]); });
  }

  // The parts run before anything is stored: the fold must not need what the kernel has stored before it.
  void check_stores() const {
    std::set<int> needed;
    std::function<void(int)> visit = [&](int id) {
      if (!needed.insert(id).second) return;
      const Op& op = g_.ops[static_cast<size_t>(id)];
      for (Value v : op.args) visit(v.op);
      for (const Index& i : op.index)
        if (i.offset) visit(i.offset.op);
      for (int inner : op.body.ops) visit(inner);
    };
    visit(id_);
    for (int l : needed) {
      const Op& load = g_.ops[static_cast<size_t>(l)];
      for (int s = 0; s < l; ++s)
        if (const Op& store = g_.ops[static_cast<size_t>(s)];
            load.kind == OpKind::load && store.kind == OpKind::store && store.tensor == load.tensor)
          throw Error(
              load.loc,
              fmt::format("the schedule splits range '{}' of kernel '{}', which needs elements of '{}' read here "
                          "after they are stored at {}; leave the range whole, or make it two kernels",
                          g_.range(fold_.range).name, g_.name, g_.tensors[static_cast<size_t>(load.tensor)].name,
                          store.loc.str()));
    }
  }

  Graph partial() {
    Value lo, hi;
    Rewriter w(g_, [&](Rewriter& w, const Op& op, int id) -> std::optional<std::vector<Value>> {
      if (id != id_) return stores(op) ? std::optional<std::vector<Value>>(std::vector<Value>{}) : std::nullopt;
      Loc loc = op.loc;
      Type i32{DType::i32, {}};
      const RangeInfo& r = g_.range(op.range);
      RangeId part = add_range(w.out(), ".part", RangeKind::parallel, number(w, parts_, i32, loc));
      Op first = make(OpKind::iota, {}, {i32}, loc);
      first.range = part;
      first.iota = IotaKind::first;
      Value p = w.emit1(std::move(first));
      Value from = r.lo ? w.map(r.lo) : number(w, 0, i32, loc), to = w.map(r.hi);
      Value count = scalar(w, Fn::sub, to, from, loc);
      Value tiles = scalar(w, Fn::idiv, scalar(w, Fn::add, count, number(w, parts_ * r.tile - 1, i32, loc), loc),
                           number(w, parts_ * r.tile, i32, loc), loc);
      Value len = scalar(w, Fn::mul, tiles, number(w, r.tile, i32, loc), loc);
      lo = scalar(w, Fn::add, from, scalar(w, Fn::mul, p, len, loc), loc);
      hi = scalar(w, Fn::min, to, scalar(w, Fn::add, lo, len, loc), loc);
      Op fold = op;
      for (size_t i = 0; i < op.args.size(); ++i)
        fold.args[i] = merge_adds(g_, op) ? number(w, 0, op.types[i], loc) : w.map(op.args[i]);
      fold.body = w.copy_region(op.body);
      fold.merge = shared_ ? w.copy_region(op.merge) : Region{};
      auto results = w.emit(std::move(fold));
      for (size_t i = 0; i < results.size(); ++i) {
        Op store = make(OpKind::store, {results[i]}, {}, loc);
        store.tensor = static_cast<int>(g_.tensors.size() + i);
        store.index = place(i, {part, {}});
        w.emit(std::move(store));
      }
      return results;
    });
    add_workspaces(w.out(), true);
    Graph g = w.run();
    for (TensorParam& t : g.tensors) t.written &= t.name.starts_with(g_.range(fold_.range).name + ".state");
    g.range(fold_.range).lo = lo;
    g.range(fold_.range).hi = hi;
    return g;
  }

  // Bounds of ranges that only the fold's body walks: it is gone.
  void forget_bounds(Graph& g, const Region& body) const {
    for (int id : body.ops) {
      for (RangeInfo& r : g.ranges) {
        if (r.lo.op == id) r.lo = {};
        if (r.hi.op == id) r.hi = {};
      }
      forget_bounds(g, g_.ops[static_cast<size_t>(id)].body);
    }
  }

  Graph merged() {
    Graph rest = g_;
    forget_bounds(rest, fold_.body);
    Rewriter w(rest, [&](Rewriter& w, const Op& op, int id) -> std::optional<std::vector<Value>> {
      if (id != id_) return {};
      Loc loc = op.loc;
      Type i32{DType::i32, {}};
      size_t n = op.types.size();
      RangeId part = add_range(w.out(), ".merge", RangeKind::serial, number(w, parts_, i32, loc));
      Op fold = make(OpKind::fold, {}, op.types, loc);
      fold.range = part;
      for (Value a : op.args) fold.args.push_back(w.map(a));
      fold.body = w.write_region(op.types, loc, [&](const std::vector<Value>& state) {
        Op first = make(OpKind::iota, {}, {i32}, loc);
        first.range = part;
        first.iota = IotaKind::first;
        Value p = w.emit1(std::move(first));
        for (size_t i = 0; i < n; ++i) {
          Op load = make(OpKind::load, {}, {op.types[i]}, loc);
          load.tensor = static_cast<int>(g_.tensors.size() + i);
          load.index = place(i, {-1, p});
          w.bind(op.merge.params[i], state[i]);
          w.bind(op.merge.params[n + i], w.emit1(std::move(load)));
        }
        std::vector<Value> out;
        for (int m : op.merge.ops) {
          const Op& o = g_.ops[static_cast<size_t>(m)];
          if (o.kind == OpKind::param && o.param == ParamKind::carried) continue;
          if (o.kind != OpKind::yield)
            w.copy(m);
          else
            for (Value v : o.args) out.push_back(w.map(v));
        }
        return out;
      });
      return w.emit(std::move(fold));
    });
    add_workspaces(w.out(), false);
    return w.run();
  }

  const Graph& g_;
  int id_;
  const Op& fold_;
  int parts_;
  bool shared_;
  std::vector<Workspace> workspaces_;
};

}  // namespace

bool merge_adds(const Graph& g, const Op& fold) {
  size_t n = fold.types.size();
  const Op& yield = g.ops[static_cast<size_t>(fold.merge.ops.back())];
  for (size_t i = 0; i < n; ++i) {
    const Op& op = g.at(yield.args[i]);
    if (op.kind != OpKind::map || op.fn != Fn::add || op.args[0] != fold.merge.params[i] ||
        op.args[1] != fold.merge.params[n + i])
      return false;
  }
  return true;
}

Split split_across_blocks(const Graph& g, const Schedule& s) {
  for (const auto& [name, parts] : s.split) {
    if (parts == 1) continue;
    if (parts < 1)
      throw Error(g.loc,
                  fmt::format("the schedule splits range '{}' of kernel '{}' into {} parts; it must be 1 or more", name,
                              g.name, parts));
    if (std::count_if(s.split.begin(), s.split.end(), [](auto& p) { return p.second > 1; }) > 1)
      throw Error(g.loc,
                  fmt::format("the schedule splits two ranges of kernel '{}'; one is what can be split", g.name));
    for (int id : g.body.ops) {
      const Op& op = g.ops[static_cast<size_t>(id)];
      if (op.kind != OpKind::fold || g.range(op.range).name != name) continue;
      if (op.merge.ops.empty())
        throw Error(
            op.loc,
            fmt::format("the schedule splits range '{}' of kernel '{}', and its fold says nothing of how two parts "
                        "are merged; give fold a merge, or let its body end in acc + ...",
                        name, g.name));
      return Splitter(g, id, parts, s.share == name).run();
    }
    throw Error(g.loc, fmt::format("the schedule splits range '{}' of kernel '{}', which no outermost fold walks", name,
                                   g.name));
  }
  return {{g}, {}};
}

}  // namespace wavetile
