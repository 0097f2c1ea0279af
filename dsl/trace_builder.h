// The graph being recorded on this thread, and what every word of dsl.h does with its operands first. Not installed:
// trace.cpp and trace_fold.cpp alone use it.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "dsl/dsl.h"

namespace wavetile::recording {

struct Builder {
  Graph graph;
  std::vector<Region*> regions{&graph.body};
  std::vector<int> scopes{0};          // ids of the open regions, outermost first
  std::vector<Loc> scope_locs{Loc{}};  // where each region ever opened begins, by id
  std::vector<int> scope_of;           // the region of each op
  std::vector<Loc> first_access;       // of each tensor
  std::set<RangeId> open;              // serial ranges being walked
  std::vector<std::string> names;

  int open_scope(Loc loc) {
    scope_locs.push_back(loc);
    return static_cast<int>(scope_locs.size()) - 1;
  }
  std::vector<Value> emit(Op op) {
    int id = static_cast<int>(graph.ops.size());
    std::vector<Value> results;
    for (size_t i = 0; i < op.types.size(); ++i) results.push_back({id, static_cast<int>(i)});
    graph.ops.push_back(std::move(op));
    scope_of.push_back(scopes.back());
    regions.back()->ops.push_back(id);
    return results;
  }
};

inline thread_local Builder* current = nullptr;

inline Builder& builder(Loc loc) {
  if (!current) throw Error(loc, "tiles, ranges and tensors exist only inside a Kernel's lambda");
  return *current;
}

inline Op make(OpKind kind, Loc loc, Type type) {
  Op op{.kind = kind, .args = {}, .types = {std::move(type)}, .loc = loc};
  return op;
}

inline Value constant(double x, DType dtype, Loc loc, Axes axes = {}) {
  Op op = make(OpKind::constant, loc, {dtype, std::move(axes)});
  op.constant = x;
  return builder(loc).emit(std::move(op))[0];
}

inline std::string describe(const Type& t) {
  return fmt::format("{}{}", name_of(t.dtype), current->graph.axes_text(t.axes));
}

// A value may be used in its own region and in those inside it.
inline Value checked(const Tile& t, Loc loc) {
  Builder& b = builder(loc);
  Value v = t.value();
  if (!v) throw Error(loc, "this tile was declared but never given a value");
  if (v.op >= static_cast<int>(b.graph.ops.size())) throw Error(loc, "this tile belongs to another kernel");
  int scope = b.scope_of[static_cast<size_t>(v.op)];
  if (std::find(b.scopes.begin(), b.scopes.end(), scope) == b.scopes.end())
    throw Error(loc,
                fmt::format("this tile was made at {} inside the fold that begins at {}, and is used outside of it; "
                            "return it from the fold's body to carry it out",
                            b.graph.at(v).loc.str(), b.scope_locs[static_cast<size_t>(scope)].str()));
  return v;
}

inline void check_bounds(const RangeInfo& r, Loc loc) {
  for (Value v : {r.lo, r.hi}) {
    if (!v) continue;
    int scope = current->scope_of[static_cast<size_t>(v.op)];
    if (std::find(current->scopes.begin(), current->scopes.end(), scope) == current->scopes.end())
      throw Error(loc,
                  fmt::format("range '{}' was made at {} inside the fold that begins at {}, and is used outside of it; "
                              "make it before the fold",
                              r.name, r.loc.str(), current->scope_locs[static_cast<size_t>(scope)].str()));
  }
}

inline const RangeInfo& checked(Range r, Loc loc) {
  Builder& b = builder(loc);
  if (r.id() < 0 || r.id() >= static_cast<int>(b.graph.ranges.size()))
    throw Error(loc, "this range was declared but never given: make it with parallel, whole or serial");
  const RangeInfo& info = b.graph.range(r.id());
  if (info.kind == RangeKind::serial && !b.open.contains(r.id()))
    throw Error(loc, fmt::format("serial range '{}' (made at {}) is used outside of the fold that walks it", info.name,
                                 info.loc.str()));
  check_bounds(info, loc);
  return info;
}

inline Value emit_map(Fn fn, std::vector<Value> args, DType dtype, Loc loc) {
  Builder& b = builder(loc);
  Axes axes;
  for (Value v : args) axes = united(axes, b.graph.type(v).axes);
  Op op = make(OpKind::map, loc, {dtype, std::move(axes)});
  op.fn = fn;
  op.args = std::move(args);
  return b.emit(std::move(op))[0];
}

inline Value convert(Value v, DType to, Loc loc) {
  return builder(loc).graph.type(v).dtype == to ? v : emit_map(Fn::cast, {v}, to, loc);
}
inline Value computable(Value v, Loc loc) {  // storage types are computed with as f32 or i32
  DType t = builder(loc).graph.type(v).dtype;
  if (t == DType::f16 || t == DType::bf16) return convert(v, DType::f32, loc);
  if (t == DType::i8 || t == DType::u8) return convert(v, DType::i32, loc);
  return v;
}
inline Value value_of(const Arg& a, DType dtype) {
  if (!a.is_number()) return computable(checked(a.tile(), a.loc()), a.loc());
  if (dtype == DType::i32 && (a.number() != std::trunc(a.number()) || std::abs(a.number()) > 4294967295.0))
    throw Error(a.loc(), fmt::format("the number {} is combined with an i32 tile; cast<f32>(tile) first", a.number()));
  double x = a.number();
  if (dtype == DType::i32) x = static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(x)));
  return constant(x, dtype, a.loc());
}
inline Value scalar_of(const Arg& a, std::string_view what) {
  Value v = value_of(a, DType::i32);
  const Type& t = current->graph.type(v);
  if (!t.axes.empty() || t.dtype != DType::i32)
    throw Error(a.loc(), fmt::format("{} must be an i32 scalar, this is {}", what, describe(t)));
  return v;
}

}  // namespace wavetile::recording
