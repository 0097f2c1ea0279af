// Tiles are dense arrays of exactly the elements that exist in the current block, so nothing is ever masked. Axes lie
// in the order of their ids, the last one innermost.
#include "dsl/interpret.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "dsl/check.h"
#include "dsl/interpret_values.h"

namespace wavetile {

using namespace interpreted;

namespace {

template <Rule R>
using Kind = std::integral_constant<Rule, R>;

class Interpreter {
 public:
  Interpreter(const Graph& g, std::span<const TensorView> views, std::span<const double> scalars,
              const InterpretOptions& options)
      : g_(g), views_(views), scalars_(scalars), options_(options), values_(g.ops.size()), blocks_(g.ranges.size()) {
    for (size_t i = 0; i < g.ops.size(); ++i) values_[i].resize(g.ops[i].types.size());
    for (const auto& [name, n] : options.tile) check_option(name, n, "tile");
    for (const auto& [name, n] : options.split) check_option(name, n, "split");
  }

  void run() {
    for (size_t r = 0; r < g_.ranges.size(); ++r) {
      if (g_.ranges[r].kind == RangeKind::serial) continue;
      auto [lo, hi] = bounds_at_launch(static_cast<RangeId>(r));
      blocks_[r] = {lo, std::max<int64_t>(hi - lo, 0)};
    }
    grid(0);
  }

 private:
  struct Block {
    int64_t first = 0, count = 0;
  };
  struct Bounds {
    int64_t lo, hi;
  };

  void check_option(const std::string& name, int n, std::string_view option) const {
    for (const RangeInfo& r : g_.ranges)
      if (r.name == name && n > 0 && (r.tile == 0 || r.tile == n) &&
          (r.kind == RangeKind::serial || (r.kind == RangeKind::parallel && option == "tile")))
        return;
    throw Error(g_.loc,
                fmt::format("kernel '{}': option {} of '{}' is {}: it takes a positive number for a {}serial range of "
                            "the kernel whose blocks have no size yet",
                            g_.name, option, name, n, option == "tile" ? "parallel or " : ""));
  }
  int64_t block_size(RangeId r, int64_t extent) const {
    const RangeInfo& info = g_.range(r);
    if (info.kind == RangeKind::whole) return std::max<int64_t>(extent, 1);
    if (auto it = options_.tile.find(info.name); it != options_.tile.end()) return it->second;
    return info.tile > 0 ? info.tile : 64;
  }
  // Parallel and whole ranges have bounds that need no block to be evaluated in.
  Bounds bounds_at_launch(RangeId r) {
    const RangeInfo& info = g_.range(r);
    for (Value v : {info.lo, info.hi}) {
      if (v) evaluate_at_launch(v.op);
    }
    return bounds(r);
  }
  void evaluate_at_launch(int id) {
    for (Value v : g_.ops[static_cast<size_t>(id)].args) evaluate_at_launch(v.op);
    execute(id);
  }
  Bounds bounds(RangeId r) const {
    const RangeInfo& info = g_.range(r);
    return {info.lo ? scalar(info.lo) : 0, scalar(info.hi)};
  }
  int64_t scalar(Value v) const { return at(v).i[0].v; }

  void grid(size_t r) {
    if (r == g_.ranges.size()) return region(g_.body);
    if (g_.ranges[r].kind != RangeKind::parallel) return grid(r + 1);
    Block all = blocks_[r];
    int64_t step = block_size(static_cast<RangeId>(r), all.count);
    for (int64_t x = 0; x < all.count; x += step) {
      blocks_[r] = {all.first + x, std::min(step, all.count - x)};
      grid(r + 1);
    }
    blocks_[r] = all;
  }
  void region(const Region& r) {
    for (int id : r.ops) execute(id);
  }

  const Array& at(Value v) const { return values_[static_cast<size_t>(v.op)][static_cast<size_t>(v.result)]; }
  std::vector<int64_t> extents_of(const Axes& axes) const {
    std::vector<int64_t> e;
    for (RangeId r : axes) e.push_back(blocks_[static_cast<size_t>(r)].count);
    return e;
  }
  Array& shaped(Array& a, const Type& t) const {
    a.axes = t.axes;
    a.extents = extents_of(t.axes);
    auto n = static_cast<size_t>(a.size());
    if (is_float(t.dtype))
      a.f.resize(n);
    else
      a.i.resize(n);
    return a;
  }
  Array& result(int id) {
    return shaped(values_[static_cast<size_t>(id)][0], g_.ops[static_cast<size_t>(id)].types[0]);
  }
  // `a` with all the axes of `t`.
  Array broadcast(const Array& a, const Type& t) const {
    if (a.axes == t.axes) return a;
    Array out;
    shaped(out, t);
    auto copy = [&]<class T>(T) {
      auto strides = a.strides_along(t.axes);
      size_t o = 0;
      for_rows(out.extents, [&](const auto& p, int64_t n) {
        Row<T> x{a.of<T>().data() + offset_at(p, strides), last_of(strides)};
        for (int64_t j = 0; j < n; ++j) out.of<T>()[o++] = x[j];
      });
    };
    if (is_float(t.dtype))
      copy(double());
    else
      copy(Int());
    return out;
  }

  void execute(int id) {
    const Op& op = g_.ops[static_cast<size_t>(id)];
    switch (op.kind) {
      case OpKind::param:
        if (op.param == ParamKind::carried) return;  // set by its fold
        return param(op, result(id));
      case OpKind::constant: {
        Array& out = result(id);
        std::fill(out.f.begin(), out.f.end(), rounded_to(op.types[0].dtype, op.constant));
        std::fill(out.i.begin(), out.i.end(), Int(is_float(op.types[0].dtype) ? 0 : static_cast<int32_t>(op.constant)));
        return;
      }
      case OpKind::iota: {
        const Block& b = blocks_[static_cast<size_t>(op.range)];
        Array& out = result(id);
        int64_t from = op.iota == IotaKind::last ? b.first + b.count - 1 : b.first;
        for (size_t j = 0; j < out.i.size(); ++j) out.i[j] = Int::wrap(from + static_cast<int64_t>(j));
        return;
      }
      case OpKind::map:
        return map(op, result(id));
      case OpKind::reduce:
        return reduce(op, result(id));
      case OpKind::dot:
        return is_float(op.types[0].dtype) ? dot<double>(op, result(id)) : dot<Int>(op, result(id));
      case OpKind::load:
        return load(op, result(id));
      case OpKind::store:
        return store(op);
      case OpKind::fold:
        return fold(op, id);
      case OpKind::yield:
        return;
      case OpKind::convert:
        values_[static_cast<size_t>(id)][0] = at(op.args[0]);
        return;
    }
  }
  void param(const Op& op, Array& out) const {
    auto i = static_cast<size_t>(op.tensor);
    if (op.param == ParamKind::dim)
      out.i[0] = static_cast<int32_t>(views_[i].extents[static_cast<size_t>(op.dim)]);
    else if (is_float(op.types[0].dtype))
      out.f[0] = rounded_to(DType::f32, scalars_[i]);
    else
      out.i[0] = static_cast<int32_t>(scalars_[i]);
  }

  template <class A, class B, class C, class R, class F>
  void loop(const Op& op, Array& out, F f) const {
    std::vector<int64_t> strides[3];
    const Array* in[3];
    for (size_t k = 0; k < 3; ++k) {
      in[k] = &at(op.args[std::min(k, op.args.size() - 1)]);  // functions of fewer arguments ignore the rest
      strides[k] = in[k]->strides_along(out.axes);
    }
    auto* o = out.of<R>().data();
    for_rows(out.extents, [&](const auto& p, int64_t n) {
      Row<A> a{in[0]->of<A>().data() + offset_at(p, strides[0]), last_of(strides[0])};
      Row<B> b{in[1]->of<B>().data() + offset_at(p, strides[1]), last_of(strides[1])};
      Row<C> c{in[2]->of<C>().data() + offset_at(p, strides[2]), last_of(strides[2])};
      for (int64_t j = 0; j < n; ++j) *o++ = f(a[j], b[j], c[j]);
    });
  }
  template <Rule R, class F>
  void apply(Kind<R>, const Op& op, Array& out, F f) const {
    bool real = is_float(g_.type(op.args.back()).dtype);
    if constexpr (R == Rule::pick) {
      if (real)
        loop<Int, double, double, double>(op, out, f);
      else
        loop<Int, Int, Int, Int>(op, out, f);
    } else {
      if constexpr (R == Rule::arith) {
        if (real) return loop<double, double, double, double>(op, out, f);
      } else if constexpr (R == Rule::cmp) {
        if (real) return loop<double, double, double, Int>(op, out, f);
      }
      if constexpr (R == Rule::real)
        loop<double, double, double, double>(op, out, f);
      else
        loop<Int, Int, Int, Int>(op, out, f);
    }
  }
  void map(const Op& op, Array& out) const {
    switch (op.fn) {
#define FN(name, arity, rule, expr)           \
  case Fn::name:                              \
    return apply(Kind<Rule::rule>(), op, out, \
                 []([[maybe_unused]] auto a, [[maybe_unused]] auto b, [[maybe_unused]] auto c) { return expr; });
#include "dsl/functions.def"
#undef FN
      case Fn::cast:
        return cast(op, out);
      case Fn::bitcast:
        if (op.types[0].dtype == DType::i32)
          return loop<double, double, double, Int>(
              op, out, [](double x, double, double) { return Int(std::bit_cast<int32_t>(static_cast<float>(x))); });
        return loop<Int, Int, Int, double>(
            op, out, [](Int x, Int, Int) { return static_cast<double>(std::bit_cast<float>(x.v)); });
    }
  }
  void cast(const Op& op, Array& out) const {
    DType to = op.types[0].dtype;
    bool from_real = is_float(g_.type(op.args[0]).dtype);
    if (from_real && is_float(to))
      return loop<double, double, double, double>(op, out, [=](double x, double, double) { return rounded_to(to, x); });
    if (from_real && to == DType::b1)
      return loop<double, double, double, Int>(op, out, [](double x, double, double) { return Int(x != 0); });
    if (from_real)
      return loop<double, double, double, Int>(op, out,
                                               [=](double x, double, double) { return Int(saturated(x, to)); });
    if (is_float(to)) return loop<Int, Int, Int, double>(op, out, [=](Int x, Int, Int) { return rounded_to(to, x.v); });
    loop<Int, Int, Int, Int>(op, out, [=](Int x, Int, Int) { return narrowed(x, to); });
  }

  // Calls each(result's element, operand's offset) with the stride and the number of elements reduced.
  template <class Each>
  void reduced(const Op& op, const Array& out, Each each) const {
    auto strides = at(op.args[0]).strides_along(out.axes);
    size_t o = 0;
    for_rows(out.extents, [&](const auto& p, int64_t n) {
      for (int64_t j = 0; j < n; ++j) each(o++, offset_at(p, strides) + j * last_of(strides));
    });
  }
  void reduce(const Op& op, Array& out) const {
    if (is_float(g_.type(op.args[0]).dtype))
      reduce<double>(op, out, identity_of(op.reduction));
    else
      reduce<Int>(op, out, saturated(identity_of(op.reduction), DType::i32));
  }
  template <class T>
  void reduce(const Op& op, Array& out, T identity) const {
    const Array& in = at(op.args[0]);
    const Block& b = blocks_[static_cast<size_t>(op.range)];
    int64_t stride = in.stride_of(op.range);
    const T* x = in.of<T>().data();
    auto combine = [&](auto f) {
      reduced(op, out, [&](size_t o, int64_t at) {
        T acc = identity;
        for (int64_t k = 0; k < b.count; ++k) acc = f(acc, x[at + k * stride]);
        out.of<T>()[o] = acc;
      });
    };
    switch (op.reduction) {
      case Reduction::sum:
        return combine([](T a, T e) { return a + e; });
      case Reduction::max:
        return combine([](T a, T e) { return maximum(a, e); });
      case Reduction::min:
        return combine([](T a, T e) { return minimum(a, e); });
      case Reduction::argmax:
        return reduced(op, out, [&](size_t o, int64_t at) {
          int64_t best = 0;
          auto is_nan = [](T e) { return e != e; };
          for (int64_t k = 1; k < b.count; ++k) {
            T e = x[at + k * stride], top = x[at + best * stride];
            if (!is_nan(top) && (is_nan(e) || top < e)) best = k;
          }
          out.i[o] = Int::wrap(b.first + best);
        });
    }
  }
  template <class T>
  void dot(const Op& op, Array& out) const {
    const Array &a = at(op.args[0]), &b = at(op.args[1]);
    auto sa = a.strides_along(out.axes), sb = b.strides_along(out.axes);
    int64_t ka = a.stride_of(op.range), kb = b.stride_of(op.range),
            count = blocks_[static_cast<size_t>(op.range)].count;
    auto* o = out.of<T>().data();
    for_rows(out.extents, [&](const auto& p, int64_t n) {
      const T *x = a.of<T>().data() + offset_at(p, sa), *y = b.of<T>().data() + offset_at(p, sb);
      for (int64_t j = 0; j < n; ++j, x += last_of(sa), y += last_of(sb)) {
        T acc = T();
        for (int64_t k = 0; k < count; ++k) acc = acc + x[k * ka] * y[k * kb];
        *o++ = acc;
      }
    });
  }

  // Calls body(whether it lies inside the tensor, address in elements) for each element along `axes`, in order.
  template <class Body>
  void for_addresses(const Op& op, const Axes& axes, Body body) const {
    const TensorView& v = views_[static_cast<size_t>(op.tensor)];
    struct Dim {
      int64_t base = 0, step = 0;  // of the row's coordinates
      Row<Int> offset{};
    };
    std::vector<Dim> dims(op.index.size());
    static const Int zero = 0;
    for_rows(extents_of(axes), [&](const auto& p, int64_t n) {
      for (size_t d = 0; d < dims.size(); ++d) {
        const Index& i = op.index[d];
        dims[d] = {0, 0, {&zero, 0}};
        if (i.range >= 0) {
          size_t a = static_cast<size_t>(std::find(axes.begin(), axes.end(), i.range) - axes.begin());
          dims[d].base = blocks_[static_cast<size_t>(i.range)].first + p[a];
          dims[d].step = a + 1 == axes.size();
        }
        if (!i.offset) continue;
        auto strides = at(i.offset).strides_along(axes);
        dims[d].offset = {at(i.offset).i.data() + offset_at(p, strides), last_of(strides)};
      }
      for (int64_t j = 0; j < n; ++j) {
        int64_t address = 0;
        bool inside = true;
        for (size_t d = 0; d < dims.size(); ++d) {
          int64_t c = dims[d].base + j * dims[d].step + dims[d].offset[j].v;
          inside &= c >= 0 && c < v.extents[d];
          address += inside ? c * v.strides[d] : 0;
        }
        body(inside, address);
      }
    });
  }
  // Calls f(pointer of the type in memory, what reads it, what rounds to it).
  template <class F>
  static void in_memory(const TensorView& v, F f) {
    switch (v.dtype) {
      case DType::f32:
        return f(
            static_cast<float*>(v.data), [](float x) { return static_cast<double>(x); },
            [](double x) { return static_cast<float>(x); });
      case DType::f16:
        return f(
            static_cast<uint16_t*>(v.data), [](uint16_t x) { return static_cast<double>(from_f16(x)); },
            [](double x) { return to_f16(to_odd(x)); });
      case DType::bf16:
        return f(
            static_cast<uint16_t*>(v.data), [](uint16_t x) { return static_cast<double>(from_bf16(x)); },
            [](double x) { return to_bf16(to_odd(x)); });
      case DType::i32:
        return f(
            static_cast<int32_t*>(v.data), [](int32_t x) { return Int(x); }, [](Int x) { return x.v; });
      case DType::i8:
        return f(
            static_cast<int8_t*>(v.data), [](int8_t x) { return Int(x); },
            [](Int x) { return static_cast<int8_t>(x.v); });
      case DType::u8:
        return f(
            static_cast<uint8_t*>(v.data), [](uint8_t x) { return Int(x); },
            [](Int x) { return static_cast<uint8_t>(x.v); });
      case DType::b1:
        return f(
            static_cast<uint8_t*>(v.data), [](uint8_t x) { return Int(x != 0); },
            [](Int x) { return static_cast<uint8_t>(x.v != 0); });
    }
  }
  void load(const Op& op, Array& out) const {
    in_memory(views_[static_cast<size_t>(op.tensor)], [&](const auto* data, auto read, auto) {
      using T = decltype(read(*data));
      auto* o = out.of<T>().data();
      for_addresses(op, out.axes, [&](bool inside, int64_t address) { *o++ = inside ? read(data[address]) : T(0); });
    });
  }
  void store(const Op& op) const {
    Type to{g_.type(op.args[0]).dtype, {}};
    for (const Index& i : op.index) {
      if (i.range >= 0) to.axes = united(to.axes, {i.range});
      if (i.offset) to.axes = united(to.axes, at(i.offset).axes);
    }
    Array value = broadcast(at(op.args[0]), to);
    in_memory(views_[static_cast<size_t>(op.tensor)], [&](auto* data, auto read, auto write) {
      using T = decltype(read(*data));
      const auto* x = value.of<T>().data();
      for_addresses(op, to.axes, [&](bool inside, int64_t address) {
        if (inside) data[address] = write(*x);
        ++x;
      });
    });
  }

  using State = std::vector<Array>;
  State run_region(const Op& fold, const Region& r, State in) {
    for (size_t i = 0; i < in.size(); ++i) values_[static_cast<size_t>(r.params[i].op)][0] = std::move(in[i]);
    region(r);
    const Op& yield = g_.ops[static_cast<size_t>(r.ops.back())];
    State out;
    for (size_t i = 0; i < fold.types.size(); ++i) out.push_back(broadcast(at(yield.args[i]), fold.types[i]));
    return out;
  }
  void fold(const Op& op, int id) {
    State init, total;
    for (Value v : op.args) init.push_back(at(v));
    auto [lo, hi] = bounds(op.range);
    int64_t extent = std::max<int64_t>(hi - lo, 0), step = block_size(op.range, extent);
    int64_t blocks = (extent + step - 1) / step, parts = 1;
    if (auto it = options_.split.find(g_.range(op.range).name); it != options_.split.end() && !op.merge.ops.empty())
      parts = it->second;
    for (int64_t part = 0; part < parts; ++part) {
      State state = init;
      for (int64_t b = blocks * part / parts; b < blocks * (part + 1) / parts; ++b) {
        blocks_[static_cast<size_t>(op.range)] = {lo + b * step, std::min(step, extent - b * step)};
        state = run_region(op, op.body, std::move(state));
      }
      if (part == 0) {
        total = std::move(state);
        continue;
      }
      State both = std::move(total);
      both.insert(both.end(), std::make_move_iterator(state.begin()), std::make_move_iterator(state.end()));
      total = run_region(op, op.merge, std::move(both));
    }
    values_[static_cast<size_t>(id)] = std::move(total);
  }

  const Graph& g_;
  std::span<const TensorView> views_;
  std::span<const double> scalars_;
  const InterpretOptions& options_;
  std::vector<std::vector<Array>> values_;  // of each op's results, in the current block
  std::vector<Block> blocks_;               // of each range, the current one
};

}  // namespace

double rounded_to(DType t, double x) {
  switch (t) {
    case DType::f32:
      return static_cast<double>(static_cast<float>(x));
    case DType::f16:
      return static_cast<double>(from_f16(to_f16(to_odd(x))));
    case DType::bf16:
      return static_cast<double>(from_bf16(to_bf16(to_odd(x))));
    default:
      return x;
  }
}

void interpret(const Graph& g, std::span<const TensorView> views, std::span<const double> scalars,
               const InterpretOptions& options) {
  check_launch(g, views, scalars);
  Interpreter(g, views, scalars, options).run();
}

}  // namespace wavetile
