// What a kernel author includes: tensors, ranges (named axes), tiles and the words that combine them.
//
//   Kernel softmax("softmax", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
//     Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
//     Tile e = exp(X(r, c) - max(X(r, c), c));
//     Y(r, c) = e / sum(e, c);
//   });
//
// The lambda runs once and is recorded as a Graph: `if` and `for` on host values act while recording; on tiles there
// are only `where` and `fold`. Axes are matched by identity. Masks need no words: elements past a range's end take
// no part in reductions and are not stored. f16 and bf16 tiles become f32 as soon as they are computed with.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "dsl/ir.h"

namespace wavetile {

class Range;
class TileRef;
template <class T>
class Param;

/// A tile of elements that a kernel computes with; without axes it is a scalar.
class Tile {
 public:
  Tile() = default;
  explicit Tile(Value v) : value_(v) {}
  Value value() const { return value_; }

  template <class T = void>
  explicit operator bool() const {
    static_assert(sizeof(T) == 0,
                  "a tile has no single truth value: use where(condition, a, b) on tiles, fold for loops");
    return false;
  }

 private:
  Value value_;
};
using Scalar = Tile;

/// An operand: a tile, a tensor access or a number, with the place it is used at.
class Arg {
 public:
  Arg(const Tile& t, Loc loc = Loc::here()) : tile_(t), loc_(loc) {}
  Arg(const TileRef& t, Loc loc = Loc::here());
  template <class T>
  Arg(const Param<T>& p, Loc loc = Loc::here()) : tile_(p), loc_(loc) {}
  template <class N>
  requires std::is_arithmetic_v<N> Arg(N number, Loc loc = Loc::here())
      : number_(static_cast<double>(number)), loc_(loc), is_number_(true) {}

  bool is_number() const { return is_number_; }
  double number() const { return number_; }
  Tile tile() const { return tile_; }
  Loc loc() const { return loc_; }

 private:
  Tile tile_;
  double number_ = 0;
  Loc loc_;
  bool is_number_ = false;
};

/// A named axis. parallel: blocks of it run independently; whole: one block holds all of it (its extent must be known
/// when the kernel is compiled); serial: walked in order, a block at a time, by `fold` or `each`.
class Range {
 public:
  Range() = default;
  explicit Range(RangeId id) : id_(id) {}
  RangeId id() const { return id_; }

 private:
  RangeId id_ = -1;
};
Range parallel(std::string name, Arg extent, Loc loc = Loc::here());
/// A parallel range that runs one element a block, whatever the schedule. So first(r) is the coordinate, and what is
/// read there, Start(first(r)), is a scalar: a bound or a number of steps. Its axis may be reduced away.
Range single(std::string name, Arg extent, Loc loc = Loc::here());
Range whole(std::string name, Arg extent, Loc loc = Loc::here());
Range serial(std::string name, Arg extent, Loc loc = Loc::here());      // [0, extent)
Range serial(std::string name, Arg lo, Arg hi, Loc loc = Loc::here());  // [lo, hi)

Tile index(Range r, Loc loc = Loc::here());    // i32 coordinates, axis r
Scalar first(Range r, Loc loc = Loc::here());  // the first coordinate of r's current block
Scalar last(Range r, Loc loc = Loc::here());   // the last one inside r's bounds

/// One dimension of a tensor access: a range, a range shifted by a scalar, a scalar, or a tile of indices.
class IndexArg {
 public:
  IndexArg(Range r, Loc loc = Loc::here()) : range_(r), loc_(loc) {}
  IndexArg(Range r, Arg offset, Loc loc)
      : range_(r),
        offset_(offset.tile()),
        number_(offset.number()),
        has_offset_(true),
        is_number_(offset.is_number()),
        loc_(loc) {}
  IndexArg(const Tile& t, Loc loc = Loc::here()) : offset_(t), has_offset_(true), loc_(loc) {}
  IndexArg(const TileRef& t, Loc loc = Loc::here());
  template <class T>
  IndexArg(const Param<T>& p, Loc loc = Loc::here()) : offset_(p), has_offset_(true), loc_(loc) {}
  IndexArg(int i, Loc loc = Loc::here()) : number_(i), has_offset_(true), is_number_(true), loc_(loc) {}

  Index resolve() const;
  Loc loc() const { return loc_; }
  IndexArg at(Loc loc) && {
    loc_ = loc;
    return std::move(*this);
  }

 private:
  Range range_;
  Tile offset_;
  double number_ = 0;
  bool has_offset_ = false, is_number_ = false;
  Loc loc_;
};
inline IndexArg operator+(Range r, Arg offset) { return {r, offset, offset.loc()}; }
inline IndexArg operator+(Arg offset, Range r) { return {r, offset, offset.loc()}; }

/// X(r, c): reads when used as an operand, writes when assigned to. It is not a value: copies would record nothing.
class TileRef {
 public:
  TileRef(int tensor, std::vector<IndexArg> index, Loc loc) : tensor_(tensor), index_(std::move(index)), loc_(loc) {}
  TileRef(const TileRef&) = delete;
  Tile load() const;
  operator Tile() const { return load(); }
  void operator=(const Arg& value) &&;
  void operator=(TileRef&& value) &&;  // Y(r) = X(r): a read and a write
  void operator+=(const Arg& value) &&;
  Loc loc() const { return loc_; }

 private:
  int tensor_;
  std::vector<IndexArg> index_;
  Loc loc_;
};
inline Arg::Arg(const TileRef& t, Loc loc) : tile_(t.load()), loc_(loc) {}
inline IndexArg::IndexArg(const TileRef& t, Loc loc) : offset_(t.load()), has_offset_(true), loc_(loc) {}

/// A tensor parameter; T names the element type. The number of indices at its accesses fixes its rank.
template <class T>
class Tensor {
 public:
  explicit Tensor(int id) : id_(id) {}
  Scalar dim(int d, Loc loc = Loc::here()) const;
  // The location of an access comes with its first index.
  template <std::convertible_to<IndexArg>... Rest>
  TileRef operator()(IndexArg first, Rest&&... rest) const {
    Loc loc = first.loc();
    return {id_, {std::move(first), IndexArg(std::forward<Rest>(rest)).at(loc)...}, loc};
  }

 private:
  int id_;
};
/// A scalar parameter.
template <class T>
class Param {
 public:
  explicit Param(Tile t) : tile_(t) {}
  operator Tile() const { return tile_; }

 private:
  Tile tile_;
};

// Arithmetic. Numbers take the type of the other operand; f16 and bf16 are computed as f32.
#define WAVETILE_BINARY(op) Tile operator op(const Arg& a, const Arg& b);
WAVETILE_BINARY(+)
WAVETILE_BINARY(-)
WAVETILE_BINARY(*)
WAVETILE_BINARY(/)
WAVETILE_BINARY(%)
WAVETILE_BINARY(<)
WAVETILE_BINARY(<=)
WAVETILE_BINARY(>)
WAVETILE_BINARY(>=) WAVETILE_BINARY(==) WAVETILE_BINARY(!=) WAVETILE_BINARY(&) WAVETILE_BINARY(|) WAVETILE_BINARY(^)
    WAVETILE_BINARY(<<) WAVETILE_BINARY(>>)
#undef WAVETILE_BINARY
        Tile
        operator-(const Arg& a);
Tile map(Fn fn, const std::vector<Arg>& args);  // any function of dsl/functions.def

#define WAVETILE_UNARY(name) \
  inline Tile name(const Arg& a) { return map(Fn::name, {a}); }
WAVETILE_UNARY(abs)
WAVETILE_UNARY(exp)
WAVETILE_UNARY(exp2)
WAVETILE_UNARY(log)
WAVETILE_UNARY(sqrt)
WAVETILE_UNARY(rsqrt)
WAVETILE_UNARY(tanh)
WAVETILE_UNARY(sin)
WAVETILE_UNARY(cos) WAVETILE_UNARY(floor) WAVETILE_UNARY(round)
#undef WAVETILE_UNARY
    inline Tile min(const Arg& a, const Arg& b) {
  return map(Fn::min, {a, b});
}  // a NaN operand gives NaN
inline Tile max(const Arg& a, const Arg& b) { return map(Fn::max, {a, b}); }
inline Tile mad(const Arg& a, const Arg& b, const Arg& c) { return map(Fn::mad, {a, b, c}); }  // a*b + c, rounded once
inline Tile where(const Arg& condition, const Arg& a, const Arg& b) { return map(Fn::select, {condition, a, b}); }

Tile cast(DType to, const Arg& a);
template <class T>
Tile cast(const Arg& a) {
  return cast(T::dtype, a);
}
Tile bitcast(DType to, const Arg& a);
template <class T>
Tile bitcast(const Arg& a) {
  return bitcast(T::dtype, a);
}

/// A tile of one value over the axes given (none: a scalar).
Tile fill_value(const Arg& value, const std::vector<Range>& axes, DType dtype);
template <class T = f32, class... R>
Tile fill(Arg value, R... axes) {
  return fill_value(value, {axes...}, T::dtype);
}

// Reductions over an axis; the axis disappears. mean divides by the number of elements inside the range's bounds.
Tile sum(const Arg& x, Range axis);
Tile max(const Arg& x, Range axis);
Tile min(const Arg& x, Range axis);
Tile mean(const Arg& x, Range axis);
Tile argmax(const Arg& x, Range axis);  // i32 coordinate of the first greatest element; NaN counts as the greatest
/// Sum over axis `k` of a·b; a and b may be f32, f16, bf16 (accumulated in f32) or i8 (in i32). No left, no right:
/// the axes say which is which.
Tile dot(const Arg& a, const Arg& b, Range k);

using State = std::vector<Tile>;
/// Walks a serial range block by block with carried values. `merge` combines the states of two parts of the range
/// (init must then be its neutral element) and lets a schedule split the range; for a body that ends in `acc + ...`
/// it is inferred.
State fold_state(Range r, const State& init, const std::function<State(Range, const State&)>& body,
                 const std::function<State(const State&, const State&)>& merge, Loc loc);

template <class Body>
Tile fold(Range r, Tile init, Body body, Loc loc = Loc::here()) {
  return fold_state(
      r, {init}, [&](Range k, const State& s) { return State{body(k, s[0])}; }, {}, loc)[0];
}
template <class Body, class Merge>
requires std::invocable<Merge, Tile, Tile> Tile fold(Range r, Tile init, Body body, Merge merge,
                                                     Loc loc = Loc::here()) {
  return fold_state(
      r, {init}, [&](Range k, const State& s) { return State{body(k, s[0])}; },
      [&](const State& a, const State& b) { return State{merge(a[0], b[0])}; }, loc)[0];
}
/// Several carried values: init, the body's result and the merge's are States ({m, l, o}).
template <class Body>
State fold(Range r, State init, Body body, Loc loc = Loc::here()) {
  return fold_state(r, init, body, {}, loc);
}
template <class Body, class Merge>
requires std::invocable<Merge, State, State> State fold(Range r, State init, Body body, Merge merge,
                                                        Loc loc = Loc::here()) {
  return fold_state(r, init, body, merge, loc);
}
/// A loop that only stores.
template <class Body>
void each(Range r, Body body, Loc loc = Loc::here()) {
  fold_state(
      r, {},
      [&](Range k, const State&) {
        body(k);
        return State{};
      },
      {}, loc);
}

/// The range of a loop of `steps` steps (an i32 scalar, also one computed on the device), for `repeat`.
Range steps_range(Arg steps, Loc loc);

/// body(step, state) `steps` times, from step 0; with 0 or 1 steps it is an if. No schedule changes it.
template <class Body>
Tile repeat(Arg steps, Tile init, Body body, Loc loc = Loc::here()) {
  return fold(
      steps_range(steps, loc), init, [&](Range r, Tile s) { return Tile(body(first(r, loc), s)); }, loc);
}
template <class Body>
State repeat(Arg steps, State init, Body body, Loc loc = Loc::here()) {
  return fold(
      steps_range(steps, loc), init, [&](Range r, const State& s) { return State(body(first(r, loc), s)); }, loc);
}

namespace trace_detail {
int add_tensor(DType dtype);
Value add_scalar(DType dtype);
Scalar tensor_dim(int tensor, int dim, Loc loc);
template <class T>
struct MakeParam;
template <class T>
struct MakeParam<Tensor<T>> {
  static Tensor<T> make() { return Tensor<T>(add_tensor(T::dtype)); }
};
template <class T>
struct MakeParam<Param<T>> {
  static Param<T> make() { return Param<T>(Tile(add_scalar(T::dtype))); }
};
template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) const> {
  template <class F>
  static std::function<void()> bind(F f) {
    // Braces order the evaluation: parameters are numbered from left to right.
    return [f] { std::apply(f, std::tuple<std::decay_t<P>...>{MakeParam<std::decay_t<P>>::make()...}); };
  }
};
Graph trace(const std::string& name, const std::vector<std::string>& params, const std::function<void()>& body,
            Loc loc);
}  // namespace trace_detail

template <class T>
Scalar Tensor<T>::dim(int d, Loc loc) const {
  return trace_detail::tensor_dim(id_, d, loc);
}

/// A kernel: recorded when constructed, verified, and from then on just its Graph.
class Kernel {
 public:
  template <class F>
  Kernel(std::string name, std::vector<std::string> params, F body, Loc loc = Loc::here())
      : graph_(trace_detail::trace(name, params, trace_detail::Signature<F>::bind(body), loc)) {}
  template <class F>
  Kernel(std::string name, F body, Loc loc = Loc::here()) : Kernel(std::move(name), {}, std::move(body), loc) {}
  explicit Kernel(Graph g) : graph_(std::move(g)) {}
  const Graph& graph() const { return graph_; }
  const std::string& name() const { return graph_.name; }

 private:
  Graph graph_;
};

}  // namespace wavetile
