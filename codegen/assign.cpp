// Layout assignment: every value gets a layout, and `convert` ops stand where a use wants another one.
//
// Reductions, dots and folds have a layout of their own (they are anchored); loads, constants and maps of them take
// the one that their uses ask for, and are computed once for each. So most tiles are loaded in the layout that they
// are needed in, and conversions are left only between two anchors.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "codegen/caps.h"
#include "codegen/ops.h"
#include "codegen/passes.h"

namespace wavetile {
namespace {

int log2_of(int64_t n) {
  int k = 0;
  while ((int64_t{2} << k) <= n) ++k;
  return k;
}
int ceil_log2(int64_t n) { return n <= 1 ? 0 : log2_of(n - 1) + 1; }
int trailing_zeros(int64_t n) {
  int k = 0;
  while (n > 0 && !(n & 1)) n >>= 1, ++k;
  return k;
}

class Assigner {
 public:
  Assigner(const Graph& g, const Signature& sig, const Schedule& s, const Caps& caps)
      : g_(g),
        caps_(caps),
        score_(contiguity(g, sig, s)),
        lane_bits_(log2_of(caps.lanes)),
        warp_bits_(log2_of(s.warps)),
        shared_(s.warps > 1 ? s.share : ""),
        out_(g) {
    for (const Op& op : g.ops) {
      natural_.emplace_back(op.types.size());
      demands_.emplace_back(op.types.size());
    }
  }

  LaidOut run() {
    forward(g_.body);
    backward(g_.body, {});
    for (int id : g_.body.ops) emit(id);
    out_.emit(g_.ops[size_t(g_.body.ops.back())]);  // the yield
    Graph& out = out_.out();
    for (size_t r = 0; r < g_.ranges.size(); ++r) {
      if (g_.ranges[r].lo) out.ranges[r].lo = made(g_.ranges[r].lo, scalar());
      if (g_.ranges[r].hi) out.ranges[r].hi = made(g_.ranges[r].hi, scalar());
    }
    return {std::move(out), std::move(layouts_), std::move(matrix_)};
  }

 private:
  using Maybe = std::optional<Layout>;
  Maybe& natural(Value v) { return natural_[static_cast<size_t>(v.op)][static_cast<size_t>(v.result)]; }

  Layout scalar() const { return {{}, {}, {}, {}, Bases(size_t(lane_bits_)), Bases(size_t(warp_bits_))}; }

  // The axis along which memory is contiguous, for most accesses.
  size_t innermost(const Axes& axes) const {
    size_t inner = axes.size() - 1;
    for (size_t a = 0; a < axes.size(); ++a)
      if (score_[size_t(axes[a])] > score_[size_t(axes[inner])]) inner = a;
    return inner;
  }

  // Lanes go along the axis that moves through memory one element at a time, after as many elements a thread as one
  // access can take; warps along the outer axes; the rest is registers.
  // `any_axis`: any of the axes may fill the lanes while the inner one is read in whole vectors.
  Layout blocked(const Axes& axes, DType dtype, bool any_axis = false) const {
    Layout l;
    l.axes = axes;
    size_t n = axes.size();
    if (n == 0) return scalar();
    size_t inner = innermost(axes);
    std::vector<int> bits(n, 0);
    // How many bits an axis can give: a block may overhang only where nothing follows it.
    auto room = [&](size_t a) {
      const RangeInfo& r = g_.range(axes[a]);
      return (r.kind == RangeKind::whole ? ceil_log2(r.tile) : trailing_zeros(r.tile)) - bits[a];
    };
    auto unit = [&](size_t a) {
      Coord c(n, 0);
      c[a] = 1 << bits[a]++;
      return c;
    };
    if (!caps_.simd) {
      int most = log2_of(caps_.vector_bytes / size_of(dtype));
      int exact = trailing_zeros(g_.range(axes[inner]).tile);  // vectors want whole extents
      int spare = room(inner);                                 // bits that the lanes can do without
      for (size_t a = 0; any_axis && a < n; ++a)
        if (a != inner) spare += room(a);
      spare = std::max(room(inner), spare - free_warp_bits()) - lane_bits_;
      int v = std::clamp(std::min(exact, spare), 0, most);
      for (int i = 0; i < v; ++i) l.reg.push_back(unit(inner));
    }
    std::vector<size_t> order{inner};
    for (size_t a = n; a-- > 0;)
      if (a != inner) order.push_back(a);
    for (size_t a : order)
      while (static_cast<int>(l.lane.size()) < lane_bits_ && room(a) > 0) l.lane.push_back(unit(a));
    for (size_t i = order.size(); i-- > 0;)
      while (static_cast<int>(l.warp.size()) < free_warp_bits() && room(order[i]) > 0) l.warp.push_back(unit(order[i]));
    l.lane.resize(size_t(lane_bits_), Coord(n, 0));
    l.warp.resize(size_t(warp_bits_), Coord(n, 0));
    for (size_t a = 0; a < n; ++a) {
      l.block.push_back(1 << bits[a]);
      l.reps.push_back((g_.range(axes[a]).tile + l.block[a] - 1) / l.block[a]);
    }
    return l;
  }
  Layout blocked(const Type& t) const { return blocked(t.axes, t.dtype); }
  // Warps that share out a fold all hold the same tiles.
  int free_warp_bits() const { return shared_.empty() ? warp_bits_ : 0; }
  bool shared(const Op& fold) const { return !shared_.empty() && g_.range(fold.range).name == shared_; }

  // The narrowest type that a tile's elements are loaded as, of loads that take its layout: as many lie side by side in
  // one access.
  DType loaded_as(Value v) const {
    const Op& op = g_.at(v);
    DType t = g_.type(v).dtype;
    if (op.kind != OpKind::map || op.types[0].axes.empty()) return t;
    for (Value a : op.args)
      if (DType from = loaded_as(a); g_.type(a).axes == op.types[0].axes && size_of(from) < size_of(t)) t = from;
    return t;
  }
  // The layout that a reduction takes its operand in.
  Layout reduced(const Op& op) {
    Value v = op.args[0];
    return natural(v) ? *natural(v) : blocked(g_.type(v).axes, loaded_as(v), true);
  }

  // ---- what is anchored where

  void forward(const Region& region) {
    for (int id : region.ops) {
      const Op& op = g_.ops[size_t(id)];
      Value self{id, 0};
      switch (op.kind) {
        case OpKind::map: {
          const Axes& axes = op.types[0].axes;
          if (axes.empty()) break;
          bool anchored = false;
          Maybe whole;  // of an operand with all of the axes
          for (Value v : op.args)
            if (auto& l = natural(v); l && !l->axes.empty()) {
              anchored = true;
              if (l->axes == axes && !whole) whole = l;
            }
          if (anchored) natural(self) = whole ? *whole : blocked(op.types[0]);
          break;
        }
        case OpKind::reduce: {
          natural(self) = reduced(op).without(op.range);
          break;
        }
        case OpKind::dot: {
          if (auto use = choose_matrix(op)) {
            uses_[id] = *use;
            natural(self) = matrix_result(g_, op, *use, warp_bits_);
            for (size_t i : {0, 1}) stage(id, i);
            break;
          }
          DType widest = g_.type(op.args[0]).dtype;
          natural(self) = blocked(op.types[0].axes, op.args.size() == 3 ? DType::f32 : widest);
          break;
        }
        case OpKind::fold: {
          for (int pass = 0; pass < 2; ++pass) {  // the second time with the carried values anchored
            forward(op.body);
            const Op& yield = g_.ops[size_t(op.body.ops.back())];
            for (size_t i = 0; i < op.types.size(); ++i) {
              Value result{id, static_cast<int>(i)};
              auto& y = natural(yield.args[i]);
              natural(result) = y && y->axes == op.types[i].axes ? *y : blocked(op.types[i]);
              natural(op.body.params[i]) = natural(result);
            }
          }
          if (!shared(op)) break;
          for (size_t i = 0; i < op.merge.params.size(); ++i)
            natural(op.merge.params[i]) = natural({id, static_cast<int>(i % op.types.size())});
          forward(op.merge);
          break;
        }
        default:
          break;
      }
    }
  }

  // Of a matrix instruction's result, columns are spread over lanes, rows over registers for the most part. An axis
  // that is summed over later is best in registers; what a computed operand has in its lanes already is best left
  // there; and lanes are to go along memory.
  std::optional<MatrixUse> choose_matrix(const Op& dot) {
    auto combined = [&](RangeId r) {
      return std::any_of(g_.ops.begin(), g_.ops.end(), [&](const Op& op) {
        return (op.kind == OpKind::reduce || op.kind == OpKind::dot) && op.range == r;
      });
    };
    auto in_lanes = [&](Value v, RangeId r) {
      if (!computed_elsewhere(v)) return false;
      auto& l = natural(v);
      auto p = static_cast<size_t>(l->position(r));
      return std::any_of(l->lane.begin(), l->lane.end(), [&](const Coord& c) { return c[p] == 1; });
    };
    std::optional<MatrixUse> best;
    int least = 0;
    for (size_t a : {0, 1}) {
      auto use = matrix_use(g_, dot, caps_, a);
      if (!use) continue;
      int cost = 8 * in_lanes(dot.args[a], use->rows) + 4 * combined(use->columns) +
                 (score_[size_t(use->columns)] < score_[size_t(use->rows)]);
      if (!best || cost < least) best = use, least = cost;
    }
    return best;
  }

  // An operand that a dot can have in any layout, for what its own is worth.
  bool computed_elsewhere(Value v) { return natural(v) && !staged_.contains(v.op); }

  // What several warps want of memory, or what does not lie along k there, is loaded once, as memory has it, and goes
  // through shared memory. Where it turns there, a lane holds some rows of it, so that both sides are wide.
  void stage(int id, size_t i) {
    const Op& dot = g_.ops[size_t(id)];
    Value v = dot.args[i];
    if (g_.at(v).kind != OpKind::load || computed_elsewhere(v) || caps_.shared_bytes == 0) return;
    const Type& t = g_.type(v);
    Layout to = operand(id, i, *natural({id, 0}));
    size_t inner = innermost(t.axes), k = static_cast<size_t>(to.position(dot.range));
    if (to.replicas(to.warp) == 0 && inner == k) return;
    const int bits = ceil_log2(elements(g_, t.axes)), spare = bits - lane_bits_ - warp_bits_;
    if (spare < 0 || int64_t{1} << bits != elements(g_, t.axes)) return;
    Layout l;
    l.axes = t.axes;
    l.block.assign(t.axes.size(), 1);
    const int most = log2_of(caps_.vector_bytes / size_of(t.dtype));
    const int along = std::min(most, inner == k ? spare : spare / 2);
    auto give = [&](Bases& bases, size_t axis, size_t count) {
      for (; bases.size() < count && l.block[axis] < g_.range(t.axes[axis]).tile; l.block[axis] *= 2) {
        Coord c(t.axes.size(), 0);
        c[axis] = l.block[axis];
        bases.push_back(c);
      }
    };
    give(l.reg, inner, size_t(along));
    if (inner != k) give(l.reg, k, l.reg.size() + size_t(std::min(most, spare - along)));
    for (size_t n = 0; n < t.axes.size(); ++n)
      for (Bases* bases : {&l.lane, &l.warp}) {
        size_t axis = n == 0 ? inner : n <= inner ? n - 1 : n;
        give(*bases, axis, size_t(bases == &l.lane ? lane_bits_ : warp_bits_));
        if (bases->size() < size_t(bases == &l.lane ? lane_bits_ : warp_bits_)) break;
      }
    for (size_t a = 0; a < t.axes.size(); ++a) l.reps.push_back(g_.range(t.axes[a]).tile / l.block[a]);
    staged_.insert(v.op);
    natural(v) = l;
  }

  // ---- what is asked for

  void demand(Value v, const Layout& l) {
    auto& d = demands_[size_t(v.op)][size_t(v.result)];
    if (std::find(d.begin(), d.end(), l) == d.end()) d.push_back(l);
  }
  void demand_part(Value v, const Layout& l) { demand(v, l.restricted(g_.type(v).axes)); }
  Layout operand(int id, size_t i, const Layout& result) {
    const Op& dot = g_.ops[size_t(id)];
    if (auto use = uses_.find(id); use != uses_.end()) {
      bool loaded = !computed_elsewhere(dot.args[0]) && !computed_elsewhere(dot.args[1]);
      return matrix_operand(g_, dot, i, use->second, result, loaded, caps_.vector_bytes);
    }
    return result.restricted(g_.type(dot.args[i]).axes).with_registers(dot.range, g_.range(dot.range).tile);
  }
  // The layout that a store happens in: its value's, where that says where every element goes.
  Layout of_store(const Op& op) {
    Axes axes;
    for (const Index& i : op.index) {
      if (i.range >= 0) axes = united(axes, {i.range});
      if (i.offset) axes = united(axes, g_.type(i.offset).axes);
    }
    auto& l = natural(op.args[0]);
    return l && l->axes == axes ? *l : blocked(axes, g_.type(op.args[0]).dtype);
  }

  // The layouts in which an op's first result is computed.
  std::vector<Layout> computed(int id) {
    const Op& op = g_.ops[size_t(id)];
    if (op.types.empty()) return {};
    if (op.types[0].axes.empty()) return {scalar()};
    if (natural_[size_t(id)][0]) return {*natural_[size_t(id)][0]};
    auto& d = demands_[size_t(id)][0];
    return d.empty() ? std::vector<Layout>{} : d;
  }

  void backward(const Region& region, const std::vector<Layout>& yields) {
    for (size_t n = region.ops.size(); n-- > 0;) {
      int id = region.ops[n];
      const Op& op = g_.ops[size_t(id)];
      switch (op.kind) {
        case OpKind::yield:
          for (size_t i = 0; i < op.args.size(); ++i) demand_part(op.args[i], yields[i]);
          break;
        case OpKind::store: {
          Layout l = of_store(op);
          demand_part(op.args[0], l);
          for (const Index& i : op.index)
            if (i.offset) demand_part(i.offset, l);
          break;
        }
        case OpKind::fold: {
          std::vector<Layout> ls;
          for (size_t i = 0; i < op.types.size(); ++i) {
            ls.push_back(*natural({id, static_cast<int>(i)}));
            demand(op.args[i], ls[i]);
          }
          backward(op.body, ls);
          if (shared(op)) backward(op.merge, ls);
          break;
        }
        case OpKind::reduce: {
          demand(op.args[0], reduced(op));
          break;
        }
        default:
          for (const Layout& l : computed(id)) {
            for (size_t i = 0; i < op.args.size(); ++i) {
              if (op.kind == OpKind::dot && i < 2)
                demand(op.args[i], operand(id, i, l));
              else
                demand_part(op.args[i], l);
            }
            for (const Index& i : op.index)
              if (i.offset) demand_part(i.offset, l);
          }
      }
    }
  }

  // ---- the new graph

  Value made(Value v, const Layout& l) {
    for (auto& [layout, to] : made_[v])
      if (layout == l) return to;
    throw InternalError(
        fmt::format("assign_layouts: op {} of kernel '{}' is wanted in a layout that was not asked for: {}", v.op,
                    g_.name, l.text(g_)));
  }
  Value made_part(Value v, const Layout& l) { return made(v, l.restricted(g_.type(v).axes)); }

  std::vector<Value> add(Op op, const std::vector<Layout>& ls) {
    auto results = out_.emit(std::move(op));
    note(ls);
    return results;
  }
  void note(const std::vector<Layout>& ls) {
    layouts_.resize(out_.out().ops.size());
    layouts_.back() = ls;
  }
  // Registers a computed value, and converts it right there to whatever else is asked of it.
  void define(Value v, const Layout& l, Value to) {
    made_[v].emplace_back(l, to);
    for (const Layout& d : demands_[size_t(v.op)][size_t(v.result)]) {
      auto& have = made_[v];
      if (std::any_of(have.begin(), have.end(), [&](auto& m) { return m.first == d; })) continue;
      if (!natural(v)) continue;  // computed again instead
      Op c{.kind = OpKind::convert, .args = {to}, .types = {g_.type(v)}, .loc = g_.at(v).loc};
      c.note = d.text(g_);
      have.emplace_back(d, add(std::move(c), {d})[0]);
    }
  }

  void emit(int id) {
    const Op& in = g_.ops[size_t(id)];
    Op op = in;
    switch (in.kind) {
      case OpKind::yield:
        return;  // written by the region's owner
      case OpKind::store: {
        Layout l = of_store(in);
        op.args[0] = made_part(in.args[0], l);
        for (Index& i : op.index)
          if (i.offset) i.offset = made_part(i.offset, l);
        out_.emit(std::move(op));
        note({l});  // a store has no result; this is where it happens
        return;
      }
      case OpKind::fold:
        return emit_fold(id);
      default:
        break;
    }
    for (const Layout& l : computed(id)) {
      op = in;
      for (size_t i = 0; i < in.args.size(); ++i) {
        if (in.kind == OpKind::reduce) {
          op.args[0] = made(in.args[0], reduced(in));
        } else if (in.kind == OpKind::dot && i < 2) {
          op.args[i] = made(in.args[i], operand(id, i, l));
        } else {
          op.args[i] = made_part(in.args[i], l);
        }
      }
      for (Index& i : op.index)
        if (i.offset) i.offset = made_part(i.offset, l);
      Value to = add(std::move(op), {l})[0];
      if (auto use = uses_.find(id); use != uses_.end()) matrix_[to.op] = use->second;
      define({id, 0}, l, to);
    }
  }

  void emit_fold(int id) {
    const Op& in = g_.ops[size_t(id)];
    Op op = in;
    std::vector<Layout> ls;
    for (size_t i = 0; i < in.types.size(); ++i) {
      ls.push_back(*natural({id, static_cast<int>(i)}));
      op.args[i] = made(in.args[i], ls[i]);
    }
    // Carried parameters are written first, then whatever conversions they need, then the region.
    auto region = [&](const Region& r) {
      const size_t n = r.params.size();
      Region out = out_.write_region({}, in.loc, [&](const std::vector<Value>&) {
        for (size_t i = 0; i < n; ++i) {
          const Layout& l = ls[i % ls.size()];  // a merge has those of two states
          params_.push_back(add(Op(g_.at(r.params[i])), {l})[0]);
          define(r.params[i], l, params_.back());
        }
        for (int inner : r.ops)
          if (g_.ops[size_t(inner)].kind != OpKind::param || g_.ops[size_t(inner)].param != ParamKind::carried)
            emit(inner);
        const Op& yield = g_.ops[size_t(r.ops.back())];
        std::vector<Value> results;
        for (size_t i = 0; i < yield.args.size(); ++i) results.push_back(made_part(yield.args[i], ls[i]));
        return results;
      });
      out.params.assign(params_.end() - long(n), params_.end());
      params_.resize(params_.size() - n);
      return out;
    };
    op.body = region(in.body);
    op.merge = shared(in) ? region(in.merge) : Region{};
    auto results = add(std::move(op), ls);
    for (size_t i = 0; i < results.size(); ++i) define({id, static_cast<int>(i)}, ls[i], results[i]);
  }

  const Graph& g_;
  const Caps& caps_;
  std::vector<int> score_;
  int lane_bits_, warp_bits_;
  std::string shared_;  // the range that warps share out; empty: none
  Rewriter out_;
  std::vector<std::vector<Maybe>> natural_;
  std::vector<std::vector<std::vector<Layout>>> demands_;
  std::map<Value, std::vector<std::pair<Layout, Value>>> made_;
  std::set<int> staged_;                    // loads of dots' operands that go through shared memory
  std::map<int, MatrixUse> uses_, matrix_;  // by the op's number in the old graph and in the new
  std::vector<std::vector<Layout>> layouts_;
  std::vector<Value> params_;
};

}  // namespace

LaidOut assign_layouts(const Graph& g, const Signature& sig, const Schedule& s, const Caps& caps) {
  LaidOut l = Assigner(g, sig, s, caps).run();
  l.layouts.resize(l.graph.ops.size());
  return l;
}

}  // namespace wavetile
