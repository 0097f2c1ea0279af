// The tile IR: what tracing a kernel gives, what passes rewrite, what codegen lowers.
//
// Invariants (verify.cpp is the specification and runs after every pass):
//  - a Graph is a list of regions of ops in execution order; an op uses only values defined before it in its own
//    region or in one that encloses it;
//  - a value is a tile: an element type and a sorted set of axes (ranges). A tile without axes is a scalar.
//    Extents are not part of a type: a range's block size comes from the schedule;
//  - axes are matched by identity, so broadcasting, keep-dims and transposes need no ops;
//  - barriers, shuffles and shared memory do not appear here: they belong to lowering.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dsl/dtype.h"
#include "dsl/error.h"

namespace wavetile {

using RangeId = int;
using Axes = std::vector<RangeId>;  // sorted, no duplicates

enum class OpKind : uint8_t { param, constant, iota, map, reduce, dot, load, store, fold, yield, convert };

enum class Fn : uint8_t {
#define FN(name, arity, rule, expr) name,
#include "dsl/functions.def"
#undef FN
  cast,     // to the op's own element type: floats round to nearest even, float -> int truncates and saturates
  bitcast,  // f32 <-> i32
};
enum class Rule : uint8_t { arith, real, cmp, bits, ints, pick, convert };
struct FnInfo {
  std::string_view name;
  int arity;
  Rule rule;
};
const FnInfo& info(Fn fn);

/// What `reduce` combines with; argmax takes the coordinate of the first greatest element (a NaN is the greatest).
enum class Reduction : uint8_t { sum, max, min, argmax };
std::string_view name_of(Reduction r);
double identity_of(Reduction r);  // of an f32 reduction; i32 clamps it to its own limits

struct Value {
  int op = -1;
  int result = 0;
  explicit operator bool() const { return op >= 0; }
  auto operator<=>(const Value&) const = default;
};

struct Type {
  DType dtype = DType::f32;
  Axes axes;
  bool operator==(const Type&) const = default;
};

/// One dimension of an access: coordinate = (range's coordinate, if any) + (offset, if any). An offset with axes
/// is a gather or scatter. Coordinates that an offset takes outside the tensor read 0 and store nothing.
struct Index {
  RangeId range = -1;
  Value offset;
};

struct Region {
  std::vector<Value> params;  // carried values, defined by `param` ops
  std::vector<int> ops;       // the last one is the yield
};

enum class ParamKind : uint8_t { dim, scalar, carried };
enum class IotaKind : uint8_t { coordinate, first, last };  // last: of the block's valid elements

struct Op {
  OpKind kind;
  std::vector<Value> args;
  std::vector<Type> types;  // of the results
  Loc loc;
  Fn fn = Fn::add;                       // map
  Reduction reduction = Reduction::sum;  // reduce
  RangeId range = -1;                    // iota, reduce, dot, fold
  IotaKind iota = IotaKind::coordinate;  // iota
  ParamKind param = ParamKind::dim;      // param
  int tensor = -1;                       // load, store, param dim; param scalar: its number
  int dim = -1;                          // param dim
  double constant = 0;                   // constant (exact for i32 and bool too)
  std::vector<Index> index = {};         // load, store
  Region body = {}, merge = {};          // fold: merge is empty where the author gave none
  std::string note = {};                 // convert: the layouts, for the printer
};

enum class RangeKind : uint8_t { parallel, whole, serial };
struct RangeInfo {
  std::string name;
  RangeKind kind;
  Value lo, hi;  // i32 scalars; no lo means 0
  Loc loc;
  int tile = 0;  // elements of a block; 0 until the schedule sets it, 1 from the start where the kernel says so
};

struct TensorParam {
  std::string name;
  DType dtype;
  int rank = 0;
  bool read = false, written = false;
};
struct ScalarParam {
  std::string name;
  DType dtype;
};

struct Graph {
  std::string name;
  Loc loc;
  std::vector<Op> ops;
  Region body;
  std::vector<TensorParam> tensors;
  std::vector<ScalarParam> scalars;
  std::vector<RangeInfo> ranges;

  const Op& at(Value v) const { return ops[static_cast<size_t>(v.op)]; }
  const Type& type(Value v) const { return at(v).types[static_cast<size_t>(v.result)]; }
  const RangeInfo& range(RangeId r) const { return ranges[static_cast<size_t>(r)]; }
  RangeInfo& range(RangeId r) { return ranges[static_cast<size_t>(r)]; }

  /// The value of a scalar built of constants only, if it is one.
  std::optional<double> constant(Value v) const;
  /// hi - lo where both are constants.
  std::optional<int64_t> extent(RangeId r) const;
  std::string axes_text(const Axes& axes) const;  // "[row, col]"
};

Axes united(const Axes& a, const Axes& b);
Axes without(Axes a, RangeId r);
bool contains(const Axes& a, RangeId r);

/// The text of a graph, one op a line, names instead of numbers where there are names; locations left out unless
/// asked for, so that texts can be compared and hashed.
std::string print(const Graph& g, bool locations = false);

/// Throws InternalError naming `pass`, the rule that is broken and the op, with the printed graph.
void verify(const Graph& g, std::string_view pass);

/// Rewrites a graph by copying it op by op. `hook` may copy an op in its own way (returning the values that replace
/// its results) or decline (nullopt), and the op is copied with its operands renamed.
class Rewriter {
 public:
  using Hook = std::function<std::optional<std::vector<Value>>(Rewriter&, const Op&, int id)>;
  explicit Rewriter(const Graph& in, Hook hook = {});

  Graph run();
  Value map(Value v) const;  // the copy of an input value
  void bind(Value from, Value to) { renamed_[from] = to; }
  std::vector<Value> emit(Op op);  // appends to the region being written
  Value emit1(Op op) { return emit(std::move(op))[0]; }
  std::vector<Value> copy(int id);  // copies an op of the input here, through the hook
  Region copy_region(const Region& r);
  Region write_region(const std::vector<Type>& params, Loc loc,
                      const std::function<std::vector<Value>(const std::vector<Value>&)>& body);
  const Graph& in() const { return in_; }
  Graph& out() { return out_; }

 private:
  const Graph& in_;
  Graph out_;
  Hook hook_;
  std::vector<int>* ops_ = nullptr;
  struct Map {
    std::vector<std::vector<Value>> slots;
    Value& operator[](const Value& v);
    const Value* find(const Value& v) const;
  } renamed_;
};

}  // namespace wavetile
