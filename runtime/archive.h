// Bytes of a graph, a signature, a schedule, a stage: exact, so that equal bytes mean equal kernels. Writer and Reader
// go through the same list of fields, and every list names all members: a new one does not compile until it is here.
// Source locations are left out. Nothing but the build that wrote them reads these bytes.
#pragma once

#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "codegen/compile.h"

namespace wavetile::archive {

// The members of T, which may be const, handed to f.
template <class T, class F>
void members(T& x, F&& f) {
  using S = std::remove_const_t<T>;
  if constexpr (std::is_same_v<S, Value>) {
    auto& [op, result] = x;
    f(op, result);
  } else if constexpr (std::is_same_v<S, Type>) {
    auto& [dtype, axes] = x;
    f(dtype, axes);
  } else if constexpr (std::is_same_v<S, Index>) {
    auto& [range, offset] = x;
    f(range, offset);
  } else if constexpr (std::is_same_v<S, Region>) {
    auto& [params, ops] = x;
    f(params, ops);
  } else if constexpr (std::is_same_v<S, Op>) {
    auto& [kind, args, types, loc, fn, reduction, range, iota, param, tensor, dim, constant, index, body, merge, note] =
        x;
    f(kind, args, types, loc, fn, reduction, range, iota, param, tensor, dim, constant, index, body, merge, note);
  } else if constexpr (std::is_same_v<S, RangeInfo>) {
    auto& [name, kind, lo, hi, loc, tile] = x;
    f(name, kind, lo, hi, loc, tile);
  } else if constexpr (std::is_same_v<S, TensorParam>) {
    auto& [name, dtype, rank, read, written] = x;
    f(name, dtype, rank, read, written);
  } else if constexpr (std::is_same_v<S, ScalarParam>) {
    auto& [name, dtype] = x;
    f(name, dtype);
  } else if constexpr (std::is_same_v<S, Graph>) {
    auto& [name, loc, ops, body, tensors, scalars, ranges] = x;
    f(name, loc, ops, body, tensors, scalars, ranges);
  } else if constexpr (std::is_same_v<S, TensorSpec>) {
    auto& [dtype, extents, strides, alignment] = x;
    f(dtype, extents, strides, alignment);
  } else if constexpr (std::is_same_v<S, Packing::Block>) {
    auto& [dim, size] = x;
    f(dim, size);
  } else if constexpr (std::is_same_v<S, Packing>) {
    auto& [blocks, streams] = x;
    f(blocks, streams);
  } else if constexpr (std::is_same_v<S, Walk>) {
    auto& [axis, run] = x;
    f(axis, run);
  } else if constexpr (std::is_same_v<S, Schedule>) {
    auto& [tile, warps, stages, split, share, packing, order] = x;
    f(tile, warps, stages, split, share, packing, order);
  } else if constexpr (std::is_same_v<S, Workspace>) {
    auto& [dtype, axes, parts] = x;
    f(dtype, axes, parts);
  } else if constexpr (std::is_same_v<S, Stage>) {
    auto& [graph, signature, symbol, warps] = x;
    f(graph, signature, symbol, warps);
  } else if constexpr (std::is_same_v<S, Layout>) {
    auto& [axes, reps, block, reg, lane, warp] = x;
    f(axes, reps, block, reg, lane, warp);
  } else if constexpr (std::is_same_v<S, MatrixUnit>) {
    auto& [name, factor, result, a, b, c] = x;
    f(name, factor, result, a, b, c);
  } else {
    static_assert(std::is_same_v<S, Caps>, "say here what this type is made of");
    auto& [name, lanes, simd, max_warps, compute_units, max_registers, accumulators, vector_bytes, shared_bytes,
           bf16_dot, matrix] = x;
    f(name, lanes, simd, max_warps, compute_units, max_registers, accumulators, vector_bytes, shared_bytes, bf16_dot,
      matrix);
  }
}

class Writer {
 public:
  template <class... T>
  Writer& operator()(const T&... x) {
    (put(x), ...);
    return *this;
  }
  std::string take() { return std::move(bytes_); }

 private:
  void raw(const void* p, size_t n) { bytes_.append(static_cast<const char*>(p), n); }
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void put(T x) { raw(&x, sizeof x); }
  void put(const std::string& s) {
    put(s.size());
    raw(s.data(), s.size());
  }
  void put(const std::vector<char>& v) {
    put(v.size());
    raw(v.data(), v.size());
  }
  template <class T>
  void put(const std::vector<T>& v) {
    put(v.size());
    for (const T& x : v) put(x);
  }
  template <class K, class T>
  void put(const std::map<K, T>& m) {
    put(m.size());
    for (const auto& [k, x] : m) (*this)(k, x);
  }
  template <class T>
  void put(const std::optional<T>& x) {
    put(x.has_value());
    if (x) put(*x);
  }
  void put(const Loc&) {}
  template <class T>
  requires std::is_class_v<T>
  void put(const T& x) {
    members(x, [this](const auto&... m) { (this->put(m), ...); });
  }

  std::string bytes_;
};

struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Reader {
 public:
  /// Locations come out as `loc`.
  Reader(std::string_view bytes, Loc loc) : bytes_(bytes), loc_(loc) {}
  /// @throws Broken where the bytes end too early.
  template <class... T>
  Reader& operator()(T&... x) {
    (get(x), ...);
    return *this;
  }
  bool done() const { return bytes_.empty(); }

 private:
  std::string_view raw(size_t n) {
    if (n > bytes_.size()) throw Broken("the bytes end early");
    std::string_view front = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return front;
  }
  size_t count() {
    size_t n = 0;
    get(n);
    if (n > bytes_.size()) throw Broken("the bytes end early");  // an element takes a byte at least
    return n;
  }
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void get(T& x) { std::memcpy(&x, raw(sizeof x).data(), sizeof x); }
  void get(std::string& s) { s = raw(count()); }
  void get(std::vector<char>& v) {
    std::string_view s = raw(count());
    v.assign(s.begin(), s.end());
  }
  template <class T>
  void get(std::vector<T>& v) {
    v.resize(count());
    for (T& x : v) get(x);
  }
  template <class T>
  void get(std::optional<T>& x) {
    bool has = false;
    get(has);
    if (has) get(x.emplace());
  }
  void get(Loc& loc) { loc = loc_; }
  template <class T>
  requires std::is_class_v<T>
  void get(T& x) {
    members(x, [this](auto&... m) { (this->get(m), ...); });
  }

  std::string_view bytes_;
  Loc loc_;
};

}  // namespace wavetile::archive
