// Bounds are evaluated as intervals, because loads, first() and last() are not known at launch: what the launch cannot
// prove to lie inside is an error.
#include "dsl/check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include <fmt/format.h>

namespace wavetile {
namespace {

constexpr int64_t i32_min = std::numeric_limits<int32_t>::min(), i32_max = std::numeric_limits<int32_t>::max();

struct Interval {
  int64_t lo = i32_min, hi = i32_max;
};
// i32 arithmetic wraps: a result that may leave i32 may be anything.
Interval in_i32(Interval x) { return x.lo < i32_min || x.hi > i32_max ? Interval{} : x; }

// Whether a scalar is the same wherever the coordinates in `known` are.
bool follows(const Graph& g, Value v, const Axes& known) {
  const Op& op = g.at(v);
  switch (op.kind) {
    case OpKind::constant:
      return true;
    case OpKind::param:
      return op.param != ParamKind::carried;
    case OpKind::iota:
      return contains(known, op.range);
    case OpKind::map:
      return std::all_of(op.args.begin(), op.args.end(), [&](Value a) { return follows(g, a, known); });
    case OpKind::load:
      return !g.tensors[static_cast<size_t>(op.tensor)].written &&
             std::all_of(op.index.begin(), op.index.end(), [&](const Index& i) {
               return (i.range < 0 || contains(known, i.range)) && (!i.offset || follows(g, i.offset, known));
             });
    default:
      return false;
  }
}

// The ranges whose coordinates an element's place tells: another coordinate is another element.
Axes told_by(const Graph& g, const Op& access) {
  Axes told;
  for (size_t before = told.size() + 1; before != told.size();) {
    before = told.size();
    for (const Index& i : access.index)
      if (i.range >= 0 && !contains(told, i.range) && (!i.offset || follows(g, i.offset, told)))
        told = united(told, {i.range});
  }
  return told;
}

// Whether every element is loaded before it is stored: the load stands first, and a loop around both moves on.
bool loads_first(const Graph& g, int load, int store) {
  const Axes told = told_by(g, g.ops[static_cast<size_t>(store)]);
  std::function<bool(const Region&, int)> holds = [&](const Region& r, int id) {
    return std::any_of(r.ops.begin(), r.ops.end(),
                       [&](int i) { return i == id || holds(g.ops[static_cast<size_t>(i)].body, id); });
  };
  return load < store && std::all_of(g.ops.begin(), g.ops.end(), [&](const Op& op) {
           return op.kind != OpKind::fold || contains(told, op.range) || !holds(op.body, load) ||
                  !holds(op.body, store);
         });
}

// A store of one tensor and a load of another that forbid them to be the same memory; null: there are none. A launch
// in place has the results of one with separate memory.
std::pair<const Op*, const Op*> unshareable(const Graph& g, int stored, int loaded) {
  for (size_t s = 0; s < g.ops.size(); ++s)
    for (size_t l = 0; l < g.ops.size(); ++l) {
      const Op &store = g.ops[s], &load = g.ops[l];
      if (store.kind == OpKind::store && store.tensor == stored && load.kind == OpKind::load && load.tensor == loaded &&
          !(same_index(g, store, load) && is_private(g, store) &&
            loads_first(g, static_cast<int>(l), static_cast<int>(s))))
        return {&store, &load};
    }
  return {};
}

class Checker {
 public:
  Checker(const Graph& g, std::span<const TensorView> views, std::span<const double> scalars)
      : g_(g), views_(views), scalars_(scalars) {}

  void run() const {
    check_counts();
    for (size_t t = 0; t < views_.size(); ++t) check_tensor(t);
    for (const Op& op : g_.ops) {
      if (op.kind == OpKind::load || op.kind == OpKind::store) check_access(op);
      if (op.kind == OpKind::param && op.param == ParamKind::dim && op.dim >= view(op.tensor).rank())
        throw Error(op.loc, fmt::format("kernel '{}': tensor '{}' has {} dimensions, and the kernel asks for dim({})",
                                        g_.name, param(op.tensor).name, view(op.tensor).rank(), op.dim));
    }
    for (size_t w = 0; w < views_.size(); ++w)
      if (g_.tensors[w].written)
        for (size_t t = 0; t < views_.size(); ++t)
          if (t != w && (t > w || !g_.tensors[t].written)) check_pair(w, t);
  }

 private:
  const TensorView& view(int t) const { return views_[static_cast<size_t>(t)]; }
  const TensorParam& param(int t) const { return g_.tensors[static_cast<size_t>(t)]; }
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) const {
    throw Error(g_.loc, fmt::format("kernel '{}': {}", g_.name, fmt::format(text, std::forward<Args>(args)...)));
  }

  void check_counts() const {
    if (views_.size() != g_.tensors.size())
      fail("it takes {} tensors and was given {}", g_.tensors.size(), views_.size());
    if (scalars_.size() != g_.scalars.size())
      fail("it takes {} scalars and was given {}", g_.scalars.size(), scalars_.size());
    for (size_t i = 0; i < scalars_.size(); ++i)
      if (double x = scalars_[i];
          g_.scalars[i].dtype == DType::i32 && !(x == std::trunc(x) && x >= i32_min && x <= i32_max))
        fail("scalar '{}' is i32 and was given {}", g_.scalars[i].name, x);
  }

  void check_tensor(size_t i) const {
    const TensorParam& t = g_.tensors[i];
    const TensorView& v = views_[i];
    if (v.dtype != t.dtype)
      fail("tensor '{}' is {} and was given {} data; cast it", t.name, name_of(t.dtype), name_of(v.dtype));
    if (v.strides.size() != v.extents.size())
      fail("tensor '{}' has {} extents and {} strides", t.name, v.extents.size(), v.strides.size());
    if (t.rank > 0 && v.rank() != t.rank)
      fail("tensor '{}' is indexed with {} dimensions and was given {}; reshape the view", t.name, t.rank, v.rank());
    bool empty = false;
    for (size_t d = 0; d < v.extents.size(); ++d) {
      if (v.extents[d] < 0 || v.extents[d] > i32_max)
        fail("tensor '{}' has {} elements along dimension {}; extents go from 0 to {}", t.name, v.extents[d], d,
             i32_max);
      empty |= v.extents[d] == 0;
    }
    if (empty || !(t.read || t.written)) return;
    if (!v.data) fail("tensor '{}' has no data (a null pointer)", t.name);
    if (t.written) check_self_overlap(t, v);
  }

  // Strides are nested if each exceeds the reach of all the smaller ones together.
  void check_self_overlap(const TensorParam& t, const TensorView& v) const {
    std::array<bool, 16> done{};
    size_t rank = std::min(v.extents.size(), done.size());
    for (int64_t reach = 0;;) {
      size_t next = rank;
      for (size_t d = 0; d < rank; ++d)
        if (!done[d] && v.extents[d] > 1 && (next == rank || std::abs(v.strides[d]) < std::abs(v.strides[next])))
          next = d;
      if (next == rank) return;
      if (std::abs(v.strides[next]) <= reach)
        fail(
            "tensor '{}' is written, and its strides ({}) let elements share memory (dimension {}: extent {}, stride "
            "{}); "
            "write to a tensor without overlaps",
            t.name, fmt::join(v.strides, ", "), next, v.extents[next], v.strides[next]);
      reach += (v.extents[next] - 1) * std::abs(v.strides[next]);
      done[next] = true;
    }
  }

  Interval range(RangeId r) const {  // the ends that a range may have
    const RangeInfo& i = g_.range(r);
    return {i.lo ? value(i.lo).lo : 0, value(i.hi).hi};
  }
  Interval value(Value v) const {
    const Op& op = g_.at(v);
    if (op.types[static_cast<size_t>(v.result)].dtype != DType::i32) return {};
    switch (op.kind) {
      case OpKind::constant:
        return {static_cast<int64_t>(op.constant), static_cast<int64_t>(op.constant)};
      case OpKind::param: {
        if (op.param == ParamKind::carried) return {};
        int64_t x = op.param == ParamKind::dim ? view(op.tensor).extents[static_cast<size_t>(op.dim)]
                                               : static_cast<int64_t>(scalars_[static_cast<size_t>(op.tensor)]);
        return {x, x};
      }
      case OpKind::iota: {
        Interval r = range(op.range);
        if (op.iota == IotaKind::last) return {r.lo - 1, std::max(r.hi, r.lo) - 1};
        return {r.lo, std::max(r.hi - 1, r.lo)};
      }
      case OpKind::map:
        return in_i32(mapped(op));
      default:
        return {};
    }
  }
  Interval mapped(const Op& op) const {
    auto arg = [&](size_t i) { return value(op.args[i]); };
    switch (op.fn) {
      case Fn::add: {
        Interval a = arg(0), b = arg(1);
        return {a.lo + b.lo, a.hi + b.hi};
      }
      case Fn::sub: {
        Interval a = arg(0), b = arg(1);
        return {a.lo - b.hi, a.hi - b.lo};
      }
      case Fn::neg:
        return {-arg(0).hi, -arg(0).lo};
      case Fn::mul: {
        Interval a = arg(0), b = arg(1);
        auto [lo, hi] = std::minmax({a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi});
        return {lo, hi};
      }
      case Fn::min: {
        Interval a = arg(0), b = arg(1);
        return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
      }
      case Fn::max: {
        Interval a = arg(0), b = arg(1);
        return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
      }
      case Fn::select: {
        Interval a = arg(1), b = arg(2);
        return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)};
      }
      case Fn::idiv: {
        Interval a = arg(0), b = arg(1);
        if (b.lo <= 0) return {};
        return {std::min(a.lo / b.lo, a.lo / b.hi), std::max(a.hi / b.lo, a.hi / b.hi)};
      }
      case Fn::imod: {
        Interval a = arg(0), b = arg(1);
        if (b.lo <= 0) return {};
        if (a.lo == a.hi && b.lo == b.hi) return {a.lo % b.lo, a.lo % b.lo};
        return {a.lo >= 0 ? 0 : 1 - b.hi, a.hi <= 0 ? 0 : b.hi - 1};
      }
      default:
        return {};
    }
  }

  void check_access(const Op& op) const {
    const TensorView& v = view(op.tensor);
    for (size_t d = 0; d < op.index.size(); ++d) {
      const Index& i = op.index[d];
      if (i.range < 0 || i.offset) continue;  // what an offset takes outside reads 0 and stores nothing
      Interval r = range(i.range);
      if (r.hi <= r.lo || (r.lo >= 0 && r.hi <= v.extents[d])) continue;
      const RangeInfo& info = g_.range(i.range);
      std::string_view tensor = param(op.tensor).name;
      if (r.lo < 0)
        throw Error(op.loc,
                    fmt::format("kernel '{}': range '{}' (made at {}) may begin at {}, before dimension {} of tensor "
                                "'{}'; begin it at max(…, 0)",
                                g_.name, info.name, info.loc.str(), r.lo, d, tensor));
      if (r.hi == i32_max)
        throw Error(op.loc,
                    fmt::format("kernel '{}': the end of range '{}' (made at {}) is read from memory, and dimension "
                                "{} of tensor '{}' has {} elements; end it at min(…, {}.dim({}))",
                                g_.name, info.name, info.loc.str(), d, tensor, v.extents[d], tensor, d));
      throw Error(op.loc,
                  fmt::format("kernel '{}': range '{}' (made at {}) reaches to {}, and dimension {} of tensor '{}' has "
                              "{} elements; pass tensors whose extents agree",
                              g_.name, info.name, info.loc.str(), r.hi, d, tensor, v.extents[d]));
    }
  }

  // Every coordinate difference of two tensors is a sum of steps: `count` from lo to hi times stride.
  struct Step {
    int64_t stride, lo, hi;
  };
  struct Steps {
    std::array<Step, 32> of;
    size_t size = 0;
    void add(int64_t stride, int64_t lo, int64_t hi) {
      if (stride < 0) return add(-stride, -hi, -lo);
      for (size_t i = 0; i < size; ++i)
        if (of[i].stride == stride) {
          of[i].lo += lo;
          of[i].hi += hi;
          return;
        }
      if (size < of.size() && stride != 0) of[size++] = {stride, lo, hi};
    }
  };
  // Whether a sum of the steps from the i-th on lies in [lo, hi]; gives up (true) when that takes long to tell.
  static bool reaches(const Steps& steps, size_t i, int64_t lo, int64_t hi, int& budget) {
    if (lo > hi) return false;
    if (i == steps.size) return lo <= 0 && 0 <= hi;
    int64_t least = 0, most = 0;  // of the steps after this one
    for (size_t k = i + 1; k < steps.size; ++k) {
      least += steps.of[k].lo * steps.of[k].stride;
      most += steps.of[k].hi * steps.of[k].stride;
    }
    const Step& s = steps.of[i];
    auto floor_div = [](int64_t a, int64_t b) { return a / b - (a % b < 0); };
    int64_t from = std::max(s.lo, -floor_div(-(lo - most), s.stride)),
            to = std::min(s.hi, floor_div(hi - least, s.stride));
    for (int64_t n = from; n <= to; ++n)
      if (--budget < 0 || reaches(steps, i + 1, lo - n * s.stride, hi - n * s.stride, budget)) return true;
    return false;
  }
  static bool overlap(const TensorView& a, const TensorView& b) {
    auto bytes = [](const TensorView& v) {
      int64_t lo = reinterpret_cast<intptr_t>(v.data), hi = lo + size_of(v.dtype);
      for (size_t d = 0; d < v.extents.size(); ++d) {
        if (v.extents[d] == 0) return std::pair<int64_t, int64_t>{0, 0};
        int64_t reach = (v.extents[d] - 1) * v.strides[d] * size_of(v.dtype);
        (reach < 0 ? lo : hi) += reach;
      }
      return std::pair{lo, hi};
    };
    auto [a_lo, a_hi] = bytes(a);
    auto [b_lo, b_hi] = bytes(b);
    if (a_lo >= b_hi || b_lo >= a_hi) return false;
    Steps steps;  // of a's coordinates minus b's: slices of one buffer interleave without sharing an element
    for (size_t d = 0; d < a.extents.size(); ++d) steps.add(a.strides[d] * size_of(a.dtype), 0, a.extents[d] - 1);
    for (size_t d = 0; d < b.extents.size(); ++d) steps.add(b.strides[d] * size_of(b.dtype), 1 - b.extents[d], 0);
    std::sort(steps.of.begin(), steps.of.begin() + static_cast<long>(steps.size),
              [](const Step& x, const Step& y) { return x.stride > y.stride; });
    int64_t apart = reinterpret_cast<intptr_t>(b.data) - reinterpret_cast<intptr_t>(a.data);
    int budget = 256;
    return reaches(steps, 0, apart - size_of(a.dtype) + 1, apart + size_of(b.dtype) - 1, budget);
  }
  void check_pair(size_t written, size_t other) const {
    const TensorParam &w = g_.tensors[written], &o = g_.tensors[other];
    const TensorView &a = views_[written], &b = views_[other];
    if (!(o.read || o.written) || !overlap(a, b)) return;
    bool same = a.data == b.data && a.dtype == b.dtype && a.extents == b.extents && a.strides == b.strides;
    if (o.written || w.read || !same)
      fail("tensors '{}' (written) and '{}' overlap in memory; give them separate memory{}", w.name, o.name,
           o.written || w.read ? "" : ", or the same view to update it in place");
    if (auto [s, l] = unshareable(g_, static_cast<int>(written), static_cast<int>(other)); s)
      throw Error(s->loc,
                  fmt::format("kernel '{}': tensors '{}' (stored here) and '{}' (loaded at {}) are the same memory, "
                              "and are not accessed at one index of each block's own, first loaded and then stored; "
                              "give them separate memory",
                              g_.name, w.name, o.name, l->loc.str()));
  }

  const Graph& g_;
  std::span<const TensorView> views_;
  std::span<const double> scalars_;
};

bool same_value(const Graph& g, Value a, Value b) {
  if (a == b) return true;
  if (!a || !b || a.result != b.result) return false;
  const Op &x = g.at(a), &y = g.at(b);
  if (x.kind != y.kind || x.types != y.types) return false;
  switch (x.kind) {
    case OpKind::constant:
      return x.constant == y.constant;
    case OpKind::param:
      return x.param != ParamKind::carried && x.param == y.param && x.tensor == y.tensor && x.dim == y.dim;
    case OpKind::iota:
      return x.range == y.range && x.iota == y.iota;
    case OpKind::map:
      return x.fn == y.fn && std::equal(x.args.begin(), x.args.end(), y.args.begin(), y.args.end(),
                                        [&](Value p, Value q) { return same_value(g, p, q); });
    case OpKind::load:
      return x.tensor == y.tensor && !g.tensors[static_cast<size_t>(x.tensor)].written && same_index(g, x, y);
    default:
      return false;
  }
}

}  // namespace

bool same_index(const Graph& g, const Op& a, const Op& b) {
  return std::equal(
      a.index.begin(), a.index.end(), b.index.begin(), b.index.end(),
      [&](const Index& x, const Index& y) { return x.range == y.range && same_value(g, x.offset, y.offset); });
}

bool is_private(const Graph& g, const Op& access) {
  for (const Index& i : access.index)
    if (i.offset && !g.type(i.offset).axes.empty()) return false;
  const Axes told = told_by(g, access);
  for (size_t r = 0; r < g.ranges.size(); ++r)
    if (g.ranges[r].kind == RangeKind::parallel && !contains(told, static_cast<RangeId>(r))) return false;
  return true;
}

bool may_share(const Graph& g, int stored, int loaded) {
  const TensorParam &w = g.tensors[static_cast<size_t>(stored)], &l = g.tensors[static_cast<size_t>(loaded)];
  if (stored == loaded) return w.written;
  return w.written && !w.read && !l.written && w.dtype == l.dtype && w.rank == l.rank &&
         !unshareable(g, stored, loaded).first;
}

bool may_change(const Graph& g, int loaded) {
  for (size_t i = 0; i < g.tensors.size(); ++i)
    if (may_share(g, static_cast<int>(i), loaded)) return true;
  return false;
}

void check_launch(const Graph& g, std::span<const TensorView> views, std::span<const double> scalars) {
  Checker(g, views, scalars).run();
}

}  // namespace wavetile
