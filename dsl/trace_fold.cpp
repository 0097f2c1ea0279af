// Recording loops, parameters and whole kernels.
#include <algorithm>
#include <set>

#include "dsl/check.h"
#include "dsl/trace_builder.h"

namespace wavetile {

using namespace recording;

namespace {

// Records `body` as a region whose parameters have the types given.
Region record(const std::vector<Type>& types, Loc loc, size_t params, const std::function<State(const State&)>& body) {
  Builder& b = *current;
  Region region;
  b.regions.push_back(&region);
  b.scopes.push_back(b.open_scope(loc));
  struct Close {
    Builder& b;
    ~Close() {
      b.regions.pop_back();
      b.scopes.pop_back();
    }
  } close{b};
  State in;
  for (size_t i = 0; i < params; ++i) {
    Op p = make(OpKind::param, loc, types[i % types.size()]);
    p.param = ParamKind::carried;
    region.params.push_back(b.emit(std::move(p))[0]);
    in.push_back(Tile(region.params.back()));
  }
  State out = body(in);
  if (out.size() != types.size())
    throw Error(loc, fmt::format("the fold carries {} values and its body returns {}", types.size(), out.size()));
  Op y{.kind = OpKind::yield, .args = {}, .types = {}, .loc = loc};
  for (size_t i = 0; i < out.size(); ++i) {
    Value v = computable(checked(out[i], loc), loc);
    const Type& t = b.graph.type(v);
    if (t.dtype != types[i].dtype ||
        !std::includes(types[i].axes.begin(), types[i].axes.end(), t.axes.begin(), t.axes.end()))
      throw Error(loc,
                  fmt::format("carried value {} starts as {} and the fold's body (at {}) returns {}; start it with "
                              "fill(value, axes...) of the axes that the body gives it",
                              i, describe(types[i]), b.graph.at(v).loc.str(), describe(t)));
    y.args.push_back(v);
  }
  b.emit(std::move(y));
  return region;
}

// From 0, `acc + x` merges by adding if x reads no carried value, neither as an operand nor as a coordinate, and the
// body stores nothing (a running sum would be stored without its earlier parts).
bool adds(const Graph& g, const Op& fold, size_t i) {
  const Region& body = fold.body;
  if (g.constant(fold.args[i]) != 0.0) return false;
  Value acc = body.params[i];
  std::set<int> tainted;
  for (Value p : body.params) tainted.insert(p.op);
  for (int id : body.ops) {
    const Op& op = g.ops[static_cast<size_t>(id)];
    if (op.kind == OpKind::yield) {
      const Op& add = g.at(op.args[i]);
      return add.kind == OpKind::map && add.fn == Fn::add && (add.args[0] == acc) != (add.args[1] == acc) &&
             !tainted.contains(add.args[add.args[0] == acc ? 1 : 0].op);
    }
    if (op.kind == OpKind::fold || op.kind == OpKind::store) return false;
    for (Value v : op.args)
      if (tainted.contains(v.op)) tainted.insert(id);
    for (const Index& x : op.index)
      if (tainted.contains(x.offset.op)) tainted.insert(id);
  }
  return false;
}

}  // namespace

State fold_state(Range r, const State& init, const std::function<State(Range, const State&)>& body,
                 const std::function<State(const State&, const State&)>& merge, Loc loc) {
  Builder& b = builder(loc);
  if (r.id() < 0) throw Error(loc, "the fold's range was never given: make it with serial");
  const RangeInfo info = b.graph.range(r.id());
  if (info.kind != RangeKind::serial)
    throw Error(loc, fmt::format("fold walks serial ranges; '{}' (made at {}) is {}", info.name, info.loc.str(),
                                 info.kind == RangeKind::parallel ? "parallel" : "whole"));
  if (b.open.contains(r.id())) throw Error(loc, fmt::format("serial range '{}' is being walked already", info.name));
  check_bounds(info, loc);
  Op op{.kind = OpKind::fold, .args = {}, .types = {}, .loc = loc};
  op.range = r.id();
  for (const Tile& t : init) {
    op.args.push_back(computable(checked(t, loc), loc));
    op.types.push_back(b.graph.type(op.args.back()));
  }
  b.open.insert(r.id());
  struct Close {
    Builder& b;
    RangeId r;
    ~Close() { b.open.erase(r); }
  };
  {
    Close close{b, r.id()};
    op.body = record(op.types, loc, init.size(), [&](const State& s) { return body(r, s); });
  }
  size_t n = init.size();
  if (merge) {
    op.merge = record(op.types, loc, 2 * n, [&](const State& s) {
      return merge(State(s.begin(), s.begin() + static_cast<long>(n)),
                   State(s.begin() + static_cast<long>(n), s.end()));
    });
  } else if (n > 0 && info.tile == 0) {  // a repeat is not split
    bool all = true;
    for (size_t i = 0; i < n; ++i) all &= adds(b.graph, op, i);
    if (all)
      op.merge = record(op.types, loc, 2 * n, [&](const State& s) {
        State out;
        for (size_t i = 0; i < n; ++i) out.push_back(Arg(s[i], loc) + Arg(s[n + i], loc));
        return out;
      });
  }
  State out;
  for (Value v : b.emit(std::move(op))) out.push_back(Tile(v));
  return out;
}

namespace trace_detail {

int add_tensor(DType dtype) {
  Builder& b = *current;
  size_t n = b.graph.tensors.size() + b.graph.scalars.size();
  b.graph.tensors.push_back({n < b.names.size() ? b.names[n] : fmt::format("arg{}", n), dtype, 0, false, false});
  b.first_access.push_back({});
  return static_cast<int>(b.graph.tensors.size()) - 1;
}
Value add_scalar(DType dtype) {
  Builder& b = *current;
  size_t n = b.graph.tensors.size() + b.graph.scalars.size();
  b.graph.scalars.push_back({n < b.names.size() ? b.names[n] : fmt::format("arg{}", n), dtype});
  if (dtype != DType::f32 && dtype != DType::i32)
    throw Error(b.graph.loc, fmt::format("scalar parameter '{}' is {}; scalar parameters are f32 or i32",
                                         b.graph.scalars.back().name, name_of(dtype)));
  Op op = make(OpKind::param, b.graph.loc, {dtype, {}});
  op.param = ParamKind::scalar;
  op.tensor = static_cast<int>(b.graph.scalars.size()) - 1;
  return b.emit(std::move(op))[0];
}
Scalar tensor_dim(int tensor, int dim, Loc loc) {
  if (dim < 0 || dim > 7) throw Error(loc, fmt::format("dim({}): tensors have dimensions 0 to 7", dim));
  Op op = make(OpKind::param, loc, {DType::i32, {}});
  op.param = ParamKind::dim;
  op.tensor = tensor;
  op.dim = dim;
  return Tile(builder(loc).emit(std::move(op))[0]);
}

// Blocks run in any order: a tensor that is loaded and stored keeps every element within one block, and one index.
void check_updates(const Graph& g) {
  for (const Op& s : g.ops) {
    if (s.kind != OpKind::store || !g.tensors[static_cast<size_t>(s.tensor)].read) continue;
    const std::string& name = g.tensors[static_cast<size_t>(s.tensor)].name;
    for (const Op& l : g.ops) {
      if (l.kind != OpKind::load || l.tensor != s.tensor) continue;
      if (!same_index(g, s, l))
        throw Error(s.loc,
                    fmt::format("tensor '{}' is stored here and loaded at {} with another index; blocks run in any "
                                "order, so use the same index, or two kernels",
                                name, l.loc.str()));
      if (!is_private(g, s))
        throw Error(s.loc,
                    fmt::format("tensor '{}' is loaded at {} and stored here, and several blocks or lanes may update "
                                "the same element; index it with every parallel range and without index tiles",
                                name, l.loc.str()));
    }
  }
}

Graph trace(const std::string& name, const std::vector<std::string>& params, const std::function<void()>& body,
            Loc loc) {
  if (current) throw Error(loc, "a Kernel is made inside another Kernel's lambda");
  Builder b;
  b.graph.name = name;
  b.graph.loc = loc;
  b.names = params;
  current = &b;
  struct Reset {
    ~Reset() { current = nullptr; }
  } reset;
  body();
  for (const Op& op : b.graph.ops)
    if (op.kind == OpKind::param && op.param == ParamKind::dim) {
      const TensorParam& t = b.graph.tensors[static_cast<size_t>(op.tensor)];
      if (t.rank > 0 && op.dim >= t.rank)
        throw Error(op.loc,
                    fmt::format("tensor '{}' has {} dimensions; dim({}) is past the last", t.name, t.rank, op.dim));
    }
  bool stores =
      std::any_of(b.graph.tensors.begin(), b.graph.tensors.end(), [](const TensorParam& t) { return t.written; });
  if (!stores) throw Error(loc, fmt::format("kernel '{}' stores nothing; assign to a tensor: Y(r) = tile", name));
  check_updates(b.graph);
  Op yield{.kind = OpKind::yield, .args = {}, .types = {}, .loc = loc};
  b.emit(std::move(yield));
  verify(b.graph, "trace");
  return std::move(b.graph);
}

}  // namespace trace_detail
}  // namespace wavetile
