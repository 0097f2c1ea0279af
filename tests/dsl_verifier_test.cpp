// Every rule of the IR, broken by hand: the verifier names the rule and the pass, and shows the graph.
#include <functional>

#include <gtest/gtest.h>

#include "dsl/dsl.h"

namespace wavetile {
namespace {

// Y[r] = sum over k of X[r, k] * scale, with a maximum beside it, and an index tensor I.
Graph sample() {
  return Kernel("sample", {"X", "I", "Y", "scale"},
                [](Tensor<f32> X, Tensor<i32> I, Tensor<f32> Y, Param<f32> scale) {
                  Range r = parallel("r", X.dim(0)), w = whole("w", 4);
                  Tile top = max(X(r, w), w);
                  Tile at = I(r);
                  Tile total = fold(serial("k", X.dim(1)), fill(0, r), [=](Range k, Tile acc) {
                    Tile x = X(at, k) * scale;
                    return acc + dot(x, x, k);
                  });
                  Tile row = cast<f32>(index(r));
                  Y(r) = where(total < top, total, row);
                })
      .graph();
}

Op& find(Graph& g, OpKind kind, int nth = 0) {
  for (Op& op : g.ops)
    if (op.kind == kind && nth-- == 0) return op;
  throw std::runtime_error("the sample has no such op");
}
Op& find(Graph& g, Fn fn) {
  for (Op& op : g.ops)
    if (op.kind == OpKind::map && op.fn == fn) return op;
  throw std::runtime_error("the sample has no such map");
}
RangeId range(const Graph& g, std::string_view name) {
  for (size_t r = 0; r < g.ranges.size(); ++r)
    if (g.ranges[r].name == name) return static_cast<RangeId>(r);
  return -1;
}
Value value(const Graph& g, const Op& op) { return {static_cast<int>(&op - g.ops.data()), 0}; }
Value add_constant(Graph& g, DType t, double x, Axes axes = {}) {
  Op c{.kind = OpKind::constant, .args = {}, .types = {{t, std::move(axes)}}, .loc = {}};
  c.constant = x;
  g.ops.push_back(std::move(c));
  int id = static_cast<int>(g.ops.size()) - 1;
  g.body.ops.insert(g.body.ops.begin(), id);
  return {id, 0};
}

void broken(const std::string& rule, const std::function<void(Graph&)>& mistake) {
  Graph g = sample();
  mistake(g);
  try {
    verify(g, "the-pass");
    ADD_FAILURE() << "accepted, against the rule: " << rule << "\n" << print(g);
  } catch (const InternalError& e) {
    std::string text = e.what();
    EXPECT_NE(text.find(rule), std::string::npos) << "not about: " << rule << "\n" << text;
    EXPECT_NE(text.find("after pass 'the-pass', kernel 'sample'"), std::string::npos) << text;
    EXPECT_NE(text.find("kernel sample(X: f32 2d "), std::string::npos) << text;
  }
}

TEST(Verifier, AcceptsTheSample) { EXPECT_NO_THROW(verify(sample(), "trace")); }

TEST(Verifier, AcceptsWhatPassesMake) {
  // A whole range walked by folds, one after another, and a copy of a graph.
  Graph g = Kernel("k", [](Tensor<f32> X, Tensor<f32> Y) {
              Range k = serial("k", X.dim(0));
              Tile a = fold(k, fill(0), [&](Range j, Tile acc) { return acc + sum(X(j), j); });
              Tile b = fold(k, fill(0), [&](Range j, Tile acc) { return acc + sum(X(j) * a, j); });
              Y(0) = b;
            }).graph();
  EXPECT_NO_THROW(verify(g, "whole-to-serial"));
  Graph copy = Rewriter(g).run();
  EXPECT_NO_THROW(verify(copy, "copy"));
  EXPECT_EQ(print(copy), print(g));
}

TEST(Verifier, Regions) {
  broken("a region ends with a yield", [](Graph& g) { g.body.ops.clear(); });
  broken("a region ends with a yield and has no other", [](Graph& g) { g.body.ops.pop_back(); });
  broken("a region ends with a yield and has no other", [](Graph& g) { std::swap(g.body.ops.back(), g.body.ops[0]); });
  broken("a region ends with a yield", [](Graph& g) { find(g, OpKind::fold).body.ops.clear(); });
  broken("a region lists ops of its graph", [](Graph& g) { g.body.ops[0] = 1000; });
  broken("an op stands in one region, once", [](Graph& g) { g.body.ops.insert(g.body.ops.begin(), g.body.ops[0]); });
  broken("the kernel's region carries no values", [](Graph& g) {
    g.ops[static_cast<size_t>(g.body.ops.back())].args = {Value{g.body.ops[0], 0}};
  });
  broken("a carried param is listed by its region", [](Graph& g) {
    Op& p = find(g, OpKind::param);
    p.param = ParamKind::carried;
  });
  broken("a region's params are carried params among its ops", [](Graph& g) {
    Region& body = find(g, OpKind::fold).body;
    std::erase(body.ops, body.params[0].op);
    for (int id : body.ops)  // nothing uses it any more
      for (Value& v : g.ops[static_cast<size_t>(id)].args)
        if (v == body.params[0]) v = find(g, OpKind::fold).args[0];
  });
}
TEST(Verifier, Dominance) {
  const std::string rule = "operands are defined before their use";
  broken(rule, [](Graph& g) { std::swap(g.body.ops[g.body.ops.size() - 2], g.body.ops[g.body.ops.size() - 3]); });
  broken(rule, [](Graph& g) { find(g, Fn::lt).args[0] = value(g, find(g, OpKind::dot)); });  // out of the fold
  broken(rule, [](Graph& g) { find(g, Fn::lt).args[0] = {}; });
  broken(rule, [](Graph& g) { find(g, Fn::lt).args[0].result = 1; });
  broken("offsets are defined before their use", [](Graph& g) {
    find(g, OpKind::load, 2).index[0].offset = {1000, 0};
  });
}
TEST(Verifier, ResultsAndOperands) {
  broken("stores and yields have no result", [](Graph& g) { find(g, OpKind::store).types.push_back({}); });
  broken("other ops one", [](Graph& g) { find(g, OpKind::dot).types.clear(); });
  broken("the op takes 2 operands", [](Graph& g) { find(g, OpKind::dot).args.pop_back(); });
  broken("the op takes 3 operands", [](Graph& g) { find(g, Fn::select).args.pop_back(); });
  broken("the op takes 0 operands", [](Graph& g) { find(g, OpKind::iota).args.push_back({0, 0}); });
  broken("axes are sorted and name a range once", [](Graph& g) { find(g, OpKind::load).types[0].axes = {1, 0}; });
  broken("axes are sorted and name a range once", [](Graph& g) { find(g, OpKind::load).types[0].axes = {1, 1}; });
  broken("a range is one of the graph's", [](Graph& g) { find(g, OpKind::load).types[0].axes = {17}; });
  broken("a range is one of the graph's", [](Graph& g) { find(g, OpKind::reduce).range = -1; });
  broken("a range is one of the graph's", [](Graph& g) { find(g, OpKind::fold).range = 17; });
}
TEST(Verifier, Ranges) {
  broken("serial range 'k' is used only inside the folds that walk it",
         [](Graph& g) { find(g, OpKind::reduce).range = range(g, "k"); });
  broken("the bounds of range 'r' are defined before its use", [](Graph& g) { g.range(range(g, "r")).hi = {}; });
  broken("the bounds of range 'k' are defined before its use",
         [](Graph& g) { g.range(range(g, "k")).hi = value(g, find(g, OpKind::dot)); });
  broken("the bounds of range 'k' are i32 scalars",
         [](Graph& g) { g.range(range(g, "k")).hi = value(g, find(g, OpKind::reduce)); });
  broken("the bounds of whole range 'w' are computed from dims", [](Graph& g) {
    Op first{.kind = OpKind::iota, .args = {}, .types = {{DType::i32, {}}}, .loc = {}};
    first.range = range(g, "r");
    first.iota = IotaKind::first;
    g.ops.push_back(first);
    int id = static_cast<int>(g.ops.size()) - 1;
    for (size_t i = 0; i < g.body.ops.size(); ++i)  // after what makes the bounds of r
      if (g.ops[static_cast<size_t>(g.body.ops[i])].kind == OpKind::load) {
        g.body.ops.insert(g.body.ops.begin() + static_cast<long>(i), id);
        break;
      }
    g.range(range(g, "w")).hi = {id, 0};
  });
  broken("parallel range 'p' is made at the top level", [](Graph& g) {
    Value n = add_constant(g, DType::i32, 4);
    g.body.ops.erase(g.body.ops.begin());
    Op& dot = find(g, OpKind::dot);
    Region& body = find(g, OpKind::fold).body;
    body.ops.insert(body.ops.begin(), n.op);
    g.ranges.push_back({"p", RangeKind::parallel, {}, n, {}, 0});
    dot.range = static_cast<RangeId>(g.ranges.size()) - 1;
  });
}
TEST(Verifier, ParamsAndConstants) {
  broken("a param names a tensor or a scalar of the kernel", [](Graph& g) { find(g, OpKind::param).tensor = 9; });
  broken("a dim lies inside the tensor's rank", [](Graph& g) { find(g, OpKind::param, 1).dim = 2; });
  broken("a dim is an i32 scalar", [](Graph& g) { find(g, OpKind::param, 1).types[0].dtype = DType::f32; });
  broken("a scalar param has the type that the kernel declares", [](Graph& g) { g.scalars[0].dtype = DType::i32; });
  for (auto [t, x] :
       {std::pair{DType::i32, 0.5}, {DType::i32, 3e9}, {DType::b1, 2.0}, {DType::i8, 128.0}, {DType::u8, -1.0}})
    broken("a constant is a value of its type", [t = t, x = x](Graph& g) { add_constant(g, t, x); });
  broken("an iota is i32 along its range", [](Graph& g) { find(g, OpKind::iota).iota = IotaKind::first; });
}
TEST(Verifier, Maps) {
  broken("a map's axes are the union of its operands'", [](Graph& g) { find(g, Fn::lt).types[0].axes = {}; });
  broken("a map's operands have one type", [](Graph& g) { find(g, Fn::lt).args[0] = value(g, find(g, OpKind::iota)); });
  broken("mul does not take bool", [](Graph& g) {
    Value c = add_constant(g, DType::b1, 1);
    Op& mul = find(g, Fn::mul);
    mul.args = {c, c};
    mul.types[0].axes = {};
  });
  broken("mul does not take bf16", [](Graph& g) {
    Value c = add_constant(g, DType::bf16, 1);
    Op& mul = find(g, Fn::mul);
    mul.args = {c, c};
    mul.types[0].axes = {};
  });
  broken("idiv does not take f32", [](Graph& g) { find(g, Fn::mul).fn = Fn::idiv; });
  broken("bit_and does not take f32", [](Graph& g) { find(g, Fn::mul).fn = Fn::bit_and; });
  broken("exp does not take i32", [](Graph& g) { find(g, Fn::cast).fn = Fn::exp; });
  broken("a bitcast goes between f32 and i32", [](Graph& g) {
    find(g, Fn::cast).types[0].dtype = DType::bf16;
    find(g, Fn::cast).fn = Fn::bitcast;
  });
  broken("select's condition is bool", [](Graph& g) { find(g, Fn::select).args[0] = find(g, Fn::select).args[1]; });
  broken("a map's type follows from its operands'", [](Graph& g) { find(g, Fn::lt).types[0].dtype = DType::f32; });
}
TEST(Verifier, ReduceAndDot) {
  broken("a reduce's operand has the axis reduced",
         [](Graph& g) { find(g, OpKind::reduce).args[0] = add_constant(g, DType::f32, 0); });
  broken("a reduce takes f32 or i32", [](Graph& g) {
    find(g, OpKind::reduce).args[0] = add_constant(g, DType::b1, 1, {range(g, "w")});
    std::swap(g.body.ops[0], g.body.ops[1]);  // keep the bounds first
    auto& ops = g.body.ops;
    int c = static_cast<int>(g.ops.size()) - 1;
    std::erase(ops, c);
    for (size_t i = 0; i < ops.size(); ++i)
      if (g.ops[static_cast<size_t>(ops[i])].kind == OpKind::reduce) {
        ops.insert(ops.begin() + static_cast<long>(i), c);
        break;
      }
  });
  broken("a reduce keeps its operand's type", [](Graph& g) { find(g, OpKind::reduce).reduction = Reduction::argmax; });
  broken("both operands of a dot have its axis", [](Graph& g) { find(g, OpKind::dot).range = range(g, "w"); });
  broken("a dot takes two floats or two i8", [](Graph& g) {
    Op& dot = find(g, OpKind::dot);
    Op iota{.kind = OpKind::iota, .args = {}, .types = {{DType::i32, {range(g, "k")}}}, .loc = {}};
    iota.range = range(g, "k");
    int id = static_cast<int>(g.ops.size());
    dot.args[1] = {id, 0};
    g.ops.push_back(iota);
    auto& ops = find(g, OpKind::fold).body.ops;
    ops.insert(ops.begin(), id);
  });
  broken("a dot gives f32", [](Graph& g) { find(g, OpKind::dot).types[0].dtype = DType::i32; });
}
TEST(Verifier, Accesses) {
  broken("an access names a tensor of the kernel", [](Graph& g) { find(g, OpKind::load).tensor = 9; });
  broken("an access has an index for each dimension", [](Graph& g) { find(g, OpKind::load).index.pop_back(); });
  broken("an index has a range, an offset or both", [](Graph& g) { find(g, OpKind::load).index[0] = {}; });
  broken("a range indexes one dimension of an access",
         [](Graph& g) { find(g, OpKind::load).index[0].range = range(g, "w"); });
  broken("an offset is i32", [](Graph& g) { find(g, OpKind::store).index[0].offset = find(g, OpKind::store).args[0]; });
  broken("a tensor that is loaded is marked read", [](Graph& g) {
    g.tensors[0].read = false;
    g.tensors[0].written = true;
  });
  broken("a load has its tensor's element type", [](Graph& g) { find(g, OpKind::load).types[0].dtype = DType::bf16; });
  broken("a load has its tensor's element type and its index's axes",
         [](Graph& g) { find(g, OpKind::load).types[0].axes = {0}; });
  broken("a tensor that is stored is marked written", [](Graph& g) { g.tensors[2].written = false; });
  broken("a stored tile has its tensor's element type", [](Graph& g) { g.tensors[2].dtype = DType::bf16; });
  broken("a stored tile's axes are among its index's", [](Graph& g) {
    find(g, OpKind::store).index[0] = {-1, add_constant(g, DType::i32, 0)};
  });
}
TEST(Verifier, Folds) {
  broken("a fold walks a serial range", [](Graph& g) { g.range(range(g, "k")).kind = RangeKind::whole; });
  broken("range 'k' is walked already", [](Graph& g) {
    Op& outer = find(g, OpKind::fold);
    Op inner{.kind = OpKind::fold, .args = {}, .types = {}, .loc = {}};
    inner.range = outer.range;
    int id = static_cast<int>(g.ops.size());
    outer.body.ops.insert(outer.body.ops.begin(), id);
    g.ops.push_back(inner);
  });
  broken("a fold has an initial value for each result", [](Graph& g) { find(g, OpKind::fold).args.clear(); });
  broken("a carried value keeps the type of its initial value",
         [](Graph& g) { find(g, OpKind::fold).types[0].axes = {}; });
  broken("carried values are f32, i32 or bool", [](Graph& g) {
    Op& f = find(g, OpKind::fold);
    g.ops[static_cast<size_t>(f.args[0].op)].types[0].dtype = f.types[0].dtype = DType::bf16;
  });
  broken("takes each carried value once, its merge twice", [](Graph& g) { find(g, OpKind::fold).body.params.clear(); });
  broken("takes each carried value once, its merge twice",
         [](Graph& g) { find(g, OpKind::fold).merge.params.pop_back(); });
  broken("a fold's params have the types of its results",
         [](Graph& g) { g.ops[static_cast<size_t>(find(g, OpKind::fold).body.params[0].op)].types[0].axes = {}; });
  broken("a fold's yield has a value for each result", [](Graph& g) { find(g, OpKind::yield).args.clear(); });
  broken("a yielded value has the element type of the carried value", [](Graph& g) {
    Op& y = find(g, OpKind::yield);
    y.args[0] = value(g, find(g, OpKind::load, 1));
  });
}
TEST(Verifier, Converts) {
  broken("a convert keeps its operand's type", [](Graph& g) {
    Op& c = find(g, Fn::cast);
    c.kind = OpKind::convert;
  });
}

}  // namespace
}  // namespace wavetile
