// Recording: the words of dsl.h append ops to the graph being built on this thread. Every user error is found
// here, where the author's line is known.
#include <limits>

#include "dsl/trace_builder.h"

namespace wavetile {

using namespace recording;

namespace {

bool known_at_launch(const Graph& g, Value v) {
  const Op& op = g.at(v);
  if (op.kind == OpKind::constant) return true;
  if (op.kind == OpKind::param) return op.param != ParamKind::carried;
  return op.kind == OpKind::map &&
         std::all_of(op.args.begin(), op.args.end(), [&](Value a) { return known_at_launch(g, a); });
}

Range make_range(RangeKind kind, std::string name, Value lo, Value hi, Loc loc, int tile = 0) {
  Builder& b = builder(loc);
  if (kind != RangeKind::serial && !known_at_launch(b.graph, hi))
    throw Error(loc, fmt::format("the extent of {} range '{}' is computed on the device; compute it from dims, scalar "
                                 "parameters and numbers, or make the range serial",
                                 kind == RangeKind::parallel ? "parallel" : "whole", name));
  for (const RangeInfo& r : b.graph.ranges)
    if (r.name == name)
      throw Error(loc, fmt::format("a range named '{}' exists already (made at {}); schedules tell ranges apart by "
                                   "name, so give this one another",
                                   name, r.loc.str()));
  if (kind == RangeKind::parallel && b.scopes.size() > 1)
    throw Error(loc, fmt::format("parallel range '{}' is made inside a fold; make it before the fold", name));
  b.graph.ranges.push_back({std::move(name), kind, lo, hi, loc, tile});
  return Range(static_cast<RangeId>(b.graph.ranges.size()) - 1);
}

Value iota(Range r, IotaKind kind, Loc loc) {
  checked(r, loc);
  Op op = make(OpKind::iota, loc, {DType::i32, kind == IotaKind::coordinate ? Axes{r.id()} : Axes{}});
  op.range = r.id();
  op.iota = kind;
  return builder(loc).emit(std::move(op))[0];
}

void check_reducible(const RangeInfo& r, std::string_view what, Loc loc) {
  if (r.kind == RangeKind::parallel && r.tile != 1)
    throw Error(loc,
                fmt::format("{} over parallel range '{}' (made at {}): a block sees only its own part of it; make the "
                            "range whole, or serial and fold over it",
                            what, r.name, r.loc.str()));
}

Value reduce(Reduction reduction, const Arg& x, Range axis, DType dtype) {
  Builder& b = builder(x.loc());
  Value v = value_of(x, DType::f32);
  const RangeInfo& r = checked(axis, x.loc());
  const Type t = b.graph.type(v);
  if (!contains(t.axes, axis.id()))
    throw Error(x.loc(), fmt::format("{} over '{}' of a tile with axes {}: the tile does not have that axis",
                                     name_of(reduction), r.name, b.graph.axes_text(t.axes)));
  check_reducible(r, name_of(reduction), x.loc());
  if (t.dtype == DType::b1)
    throw Error(x.loc(), fmt::format("{} of a bool tile; use where(tile, 1, 0)", name_of(reduction)));
  Op op = make(OpKind::reduce, x.loc(), {reduction == Reduction::argmax ? dtype : t.dtype, without(t.axes, axis.id())});
  op.args = {v};
  op.reduction = reduction;
  op.range = axis.id();
  return b.emit(std::move(op))[0];
}

}  // namespace

Range parallel(std::string name, Arg extent, Loc loc) {
  Value hi = scalar_of(extent, "a range's extent");
  return make_range(RangeKind::parallel, std::move(name), {}, hi, loc);
}
Range single(std::string name, Arg extent, Loc loc) {
  Value hi = scalar_of(extent, "a range's extent");
  return make_range(RangeKind::parallel, std::move(name), {}, hi, loc, 1);
}
Range steps_range(Arg steps, Loc loc) {
  Value hi = scalar_of(steps, "a number of steps");
  return make_range(RangeKind::serial, fmt::format("repeat.{}", builder(loc).graph.ranges.size()), {}, hi, loc, 1);
}
Range whole(std::string name, Arg extent, Loc loc) {
  Value hi = scalar_of(extent, "a range's extent");
  return make_range(RangeKind::whole, std::move(name), {}, hi, loc);
}
Range serial(std::string name, Arg extent, Loc loc) {
  Value hi = scalar_of(extent, "a range's extent");
  return make_range(RangeKind::serial, std::move(name), {}, hi, loc);
}
Range serial(std::string name, Arg lo, Arg hi, Loc loc) {
  Value l = scalar_of(lo, "a range's first coordinate"), h = scalar_of(hi, "a range's end");
  return make_range(RangeKind::serial, std::move(name), l, h, loc);
}

Tile index(Range r, Loc loc) { return Tile(iota(r, IotaKind::coordinate, loc)); }
Scalar first(Range r, Loc loc) { return Tile(iota(r, IotaKind::first, loc)); }
Scalar last(Range r, Loc loc) { return Tile(iota(r, IotaKind::last, loc)); }

Index IndexArg::resolve() const {
  Index i;
  if (range_.id() >= 0 || !has_offset_) {
    checked(range_, loc_);
    i.range = range_.id();
  }
  if (!has_offset_) return i;
  i.offset = is_number_ ? constant(number_, DType::i32, loc_) : computable(checked(offset_, loc_), loc_);
  const Type& t = current->graph.type(i.offset);
  if (t.dtype != DType::i32)
    throw Error(loc_, fmt::format("an index must be i32, this is {}; cast<i32>(…) it", describe(t)));
  return i;
}

namespace {
std::vector<Index> resolve(int tensor, const std::vector<IndexArg>& args, Loc loc) {
  Builder& b = builder(loc);
  TensorParam& t = b.graph.tensors[static_cast<size_t>(tensor)];
  Loc& seen = b.first_access[static_cast<size_t>(tensor)];
  if (t.rank == 0) {
    t.rank = static_cast<int>(args.size());
    seen = loc;
  } else if (t.rank != static_cast<int>(args.size())) {
    throw Error(loc, fmt::format("tensor '{}' has {} dimensions (first used at {}), and is indexed with {} here",
                                 t.name, t.rank, seen.str(), args.size()));
  }
  std::vector<Index> index;
  Axes used;
  for (const IndexArg& a : args) {
    index.push_back(a.resolve());
    RangeId r = index.back().range;
    if (r >= 0 && contains(used, r))
      throw Error(a.loc(),
                  fmt::format("tensor '{}' is indexed twice with range '{}': a diagonal is index({}) in one of "
                              "the two dimensions",
                              t.name, b.graph.range(r).name, b.graph.range(r).name));
    if (r >= 0) used = united(used, {r});
  }
  return index;
}
Axes axes_of(const std::vector<Index>& index) {
  Axes axes;
  for (const Index& i : index) {
    if (i.range >= 0) axes = united(axes, {i.range});
    if (i.offset) axes = united(axes, current->graph.type(i.offset).axes);
  }
  return axes;
}
}  // namespace

Tile TileRef::load() const {
  Builder& b = builder(loc_);
  Op op = make(OpKind::load, loc_, {});
  op.tensor = tensor_;
  op.index = resolve(tensor_, index_, loc_);
  TensorParam& t = b.graph.tensors[static_cast<size_t>(tensor_)];
  t.read = true;
  op.types = {{t.dtype, axes_of(op.index)}};
  return Tile(b.emit(std::move(op))[0]);
}

void TileRef::operator=(const Arg& arg) && {
  Builder& b = builder(loc_);
  std::vector<Index> index = resolve(tensor_, index_, loc_);
  TensorParam& t = b.graph.tensors[static_cast<size_t>(tensor_)];
  bool real = is_float(t.dtype);
  Value v = arg.is_number() ? constant(arg.number(), real ? DType::f32 : DType::i32, arg.loc())
                            : checked(arg.tile(), arg.loc());
  const Type type = b.graph.type(v);
  if (is_float(type.dtype) != real)
    throw Error(loc_, fmt::format("a {} tile is stored to tensor '{}' of {}; cast<{}>(…) it", name_of(type.dtype),
                                  t.name, name_of(t.dtype), name_of(t.dtype)));
  Axes to = axes_of(index);
  for (RangeId r : type.axes)
    if (!contains(to, r))
      throw Error(loc_,
                  fmt::format("a tile with axes {} is stored to '{}' at {}: nothing says where along '{}'; reduce "
                              "that axis, or index the tensor with it",
                              b.graph.axes_text(type.axes), t.name, b.graph.axes_text(to), b.graph.range(r).name));
  Op op = make(OpKind::store, loc_, {});
  op.types.clear();
  op.tensor = tensor_;
  op.index = std::move(index);
  op.args = {convert(v, t.dtype, loc_)};
  t.written = true;
  b.emit(std::move(op));
}
void TileRef::operator=(TileRef&& value) && { std::move(*this) = Arg(value.load(), value.loc()); }
void TileRef::operator+=(const Arg& value) && {
  Tile sum = Arg(load(), loc_) + value;
  std::move(*this) = Arg(sum, loc_);
}

Tile map(Fn fn, const std::vector<Arg>& args) {
  Loc loc = args[0].loc();
  Builder& b = builder(loc);
  const FnInfo& f = info(fn);
  size_t from = f.rule == Rule::pick ? 1 : 0;
  DType type = f.rule == Rule::ints ? DType::i32 : DType::f32;
  for (size_t i = from; i < args.size(); ++i)
    if (!args[i].is_number()) {
      type = b.graph.type(computable(checked(args[i].tile(), args[i].loc()), args[i].loc())).dtype;
      break;
    }
  std::vector<Value> v;
  for (size_t i = 0; i < args.size(); ++i) {
    v.push_back(value_of(args[i], i < from ? DType::b1 : type));
    const Type& t = b.graph.type(v.back());
    if (i < from && t.dtype != DType::b1)
      throw Error(
          args[i].loc(),
          fmt::format("where needs a bool tile as its condition, this is {}; compare it with something", describe(t)));
    if (i >= from && t.dtype != type)
      throw Error(args[i].loc(), fmt::format("{} of {} and {}; cast one of them", f.name,
                                             describe(b.graph.type(v[from])), describe(t)));
  }
  bool ok = f.rule == Rule::arith  ? type != DType::b1
            : f.rule == Rule::real ? type == DType::f32
            : f.rule == Rule::bits ? type != DType::f32
            : f.rule == Rule::ints ? type == DType::i32
                                   : true;
  if (!ok) throw Error(loc, fmt::format("{} does not take {}; cast it first", f.name, describe(b.graph.type(v[from]))));
  return Tile(emit_map(fn, v, f.rule == Rule::cmp ? DType::b1 : type, loc));
}

Tile operator+(const Arg& a, const Arg& b) { return map(Fn::add, {a, b}); }
Tile operator-(const Arg& a, const Arg& b) { return map(Fn::sub, {a, b}); }
Tile operator*(const Arg& a, const Arg& b) { return map(Fn::mul, {a, b}); }
Tile operator/(const Arg& a, const Arg& b) {
  auto integral = [](const Arg& x) {
    return !x.is_number() && !is_float(builder(x.loc()).graph.type(checked(x.tile(), x.loc())).dtype);
  };
  return map(integral(a) || integral(b) ? Fn::idiv : Fn::div, {a, b});
}
Tile operator%(const Arg& a, const Arg& b) { return map(Fn::imod, {a, b}); }
Tile operator<(const Arg& a, const Arg& b) { return map(Fn::lt, {a, b}); }
Tile operator<=(const Arg& a, const Arg& b) { return map(Fn::le, {a, b}); }
Tile operator>(const Arg& a, const Arg& b) { return map(Fn::lt, {b, a}); }
Tile operator>=(const Arg& a, const Arg& b) { return map(Fn::le, {b, a}); }
Tile operator==(const Arg& a, const Arg& b) { return map(Fn::eq, {a, b}); }
Tile operator!=(const Arg& a, const Arg& b) { return map(Fn::ne, {a, b}); }
Tile operator&(const Arg& a, const Arg& b) { return map(Fn::bit_and, {a, b}); }
Tile operator|(const Arg& a, const Arg& b) { return map(Fn::bit_or, {a, b}); }
Tile operator^(const Arg& a, const Arg& b) { return map(Fn::bit_xor, {a, b}); }
Tile operator<<(const Arg& a, const Arg& b) { return map(Fn::shl, {a, b}); }
Tile operator>>(const Arg& a, const Arg& b) { return map(Fn::shr, {a, b}); }
Tile operator-(const Arg& a) { return map(Fn::neg, {a}); }

Tile cast(DType to, const Arg& a) {
  Value v = a.is_number() ? constant(a.number(), is_float(to) ? DType::f32 : DType::i32, a.loc())
                          : checked(a.tile(), a.loc());
  return Tile(convert(v, to, a.loc()));
}
Tile bitcast(DType to, const Arg& a) {
  Value v = value_of(a, DType::f32);
  DType from = builder(a.loc()).graph.type(v).dtype;
  if (size_of(from) != 4 || size_of(to) != 4)
    throw Error(a.loc(),
                fmt::format("bitcast goes between f32 and i32, not from {} to {}", name_of(from), name_of(to)));
  return Tile(from == to ? v : emit_map(Fn::bitcast, {v}, to, a.loc()));
}

Tile fill_value(const Arg& value, const std::vector<Range>& axes, DType dtype) {
  Loc loc = value.loc();
  if (!value.is_number())
    throw Error(loc, "fill takes a number; a tile spreads over axes by itself wherever it is combined");
  double x = value.number();
  constexpr double lo[] = {0, 0, 0, -2147483648.0, -128, 0, 0}, hi[] = {0, 0, 0, 2147483647.0, 127, 255, 1};
  int i = static_cast<int>(dtype);
  if (!is_float(dtype) && !(x == std::trunc(x) && x >= lo[i] && x <= hi[i]))
    throw Error(loc, fmt::format("fill({}): {} holds whole numbers from {} to {}", x, name_of(dtype), lo[i], hi[i]));
  Axes a;
  for (Range r : axes) {
    checked(r, loc);
    a = united(a, {r.id()});
  }
  return Tile(constant(x, dtype, loc, a));
}

Tile sum(const Arg& x, Range axis) { return Tile(reduce(Reduction::sum, x, axis, DType::f32)); }
Tile max(const Arg& x, Range axis) { return Tile(reduce(Reduction::max, x, axis, DType::f32)); }
Tile min(const Arg& x, Range axis) { return Tile(reduce(Reduction::min, x, axis, DType::f32)); }
Tile argmax(const Arg& x, Range axis) { return Tile(reduce(Reduction::argmax, x, axis, DType::i32)); }
Tile mean(const Arg& x, Range axis) {
  Tile total = sum(x, axis);
  const RangeInfo r = checked(axis, x.loc());
  Value n = r.hi;
  if (r.kind != RangeKind::whole) {  // the elements of the current block
    n = emit_map(Fn::sub, {iota(axis, IotaKind::last, x.loc()), iota(axis, IotaKind::first, x.loc())}, DType::i32,
                 x.loc());
    n = emit_map(Fn::add, {n, constant(1, DType::i32, x.loc())}, DType::i32, x.loc());
  }
  return Arg(total, x.loc()) / Arg(Tile(convert(n, DType::f32, x.loc())), x.loc());
}

Tile dot(const Arg& a, const Arg& b, Range k) {
  Loc loc = a.loc();
  Builder& bu = builder(loc);
  Value v[2];
  bool narrow = true;
  for (int i = 0; i < 2; ++i) {
    const Arg& x = i ? b : a;
    if (x.is_number()) throw Error(x.loc(), "dot of a number; use fill(number, axes...)");
    v[i] = checked(x.tile(), x.loc());
    narrow &= bu.graph.type(v[i]).dtype == DType::i8;
  }
  Axes axes;
  for (int i = 0; i < 2; ++i) {
    const Type t = bu.graph.type(v[i]);
    if (!is_float(t.dtype) && !narrow)
      throw Error(loc, fmt::format("dot takes two tiles of f32, f16 or bf16, or two of i8; this is {} and {}",
                                   describe(bu.graph.type(v[0])), describe(bu.graph.type(v[1]))));
    if (!contains(t.axes, k.id()))
      throw Error(
          loc, fmt::format("dot over '{}' of tiles with axes {} and {}: both need that axis", checked(k, loc).name,
                           bu.graph.axes_text(bu.graph.type(v[0]).axes), bu.graph.axes_text(bu.graph.type(v[1]).axes)));
    axes = united(axes, t.axes);
  }
  check_reducible(checked(k, loc), "dot", loc);
  Op op = make(OpKind::dot, loc, {narrow ? DType::i32 : DType::f32, without(axes, k.id())});
  op.args = {v[0], v[1]};
  op.range = k.id();
  return Tile(bu.emit(std::move(op))[0]);
}

}  // namespace wavetile
