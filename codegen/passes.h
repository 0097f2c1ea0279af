// The passes from a recorded graph to one that can be lowered, in order. Each takes a verified graph and gives one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/layout.h"
#include "codegen/matrix.h"
#include "dsl/ir.h"
#include "dsl/schedule.h"

namespace wavetile {

/// What a compiled kernel may assume of a tensor; what is not given is read at launch.
struct TensorSpec {
  DType dtype = DType::f32;
  std::vector<std::optional<int64_t>> extents, strides;  // elements
  int alignment = 0;                                     // of the data in bytes; 0: the element's own
  bool operator==(const TensorSpec&) const = default;
};
using Signature = std::vector<TensorSpec>;

struct Caps;

/// Dimensions that the signature gives become constants.
Graph specialise(const Graph& g, const Signature& s);

/// Folds scalar constants, shares equal pure ops, drops unused ones, turns acc + dot into dot with an accumulator,
/// and numbers what remains by its use (so that the order in which a C++ compiler evaluates operands does not show).
Graph simplify(const Graph& g);

/// Gives every range its block size: the schedule's, else a default for the machine. Errors name the kernel's line.
Graph apply_schedule(const Graph& g, const Schedule& s, const Signature& sig, const Caps& caps);

/// A fold that the schedule splits into parts becomes two graphs: one that runs the parts as blocks of their own and
/// leaves their states in workspace tensors (appended to the parameters), one that merges them in order and goes on.
struct Workspace {  // it follows the kernel's own tensors in graph.tensors
  DType dtype;
  std::vector<RangeId> axes;  // extents: [parts] + those of these ranges
  int parts = 1;
};
struct Split {
  std::vector<Graph> stages;  // to be run in order
  std::vector<Workspace> workspaces;
};
Split split_across_blocks(const Graph& g, const Schedule& s);
/// Whether merging two states of a fold is adding them: then parts start from zero instead of the fold's own start.
bool merge_adds(const Graph& g, const Op& fold);

/// `whole` ranges whose tiles exceed the registers are walked: each reduction over one becomes a fold, and so do the
/// stores; what both need is computed in each.
Graph walk_whole(const Graph& g, const Caps& caps);

/// A dot whose result has too few elements for the machine's lanes becomes a product and a sum over the lanes.
Graph spread_small_dots(const Graph& g, const Caps& caps);

/// Where lanes are threads: loads that depend on nothing come first, as far as the registers allow, so that all of them
/// are on their way before anything waits. What has no room beside a loop, and is used after it alone, comes after it.
Graph issue_loads_early(const Graph& g, const Caps& caps);

/// Which axis moves through memory one element at a time, an access: how layouts know what to put in the lanes.
/// Scores by range: the number of accesses in which it is innermost.
std::vector<int> contiguity(const Graph& g, const Signature& sig, const Schedule& s);

/// Where the digits of a packed dimension lie.
struct Digits {
  int block = 1;      // elements of a block; 1: the dimension is not packed
  int64_t inner = 0;  // stride inside a block
  int streams = 1;    // runs that the blocks are dealt to
};
Digits digits_of(const Schedule& s, const std::string& tensor, int dim);

/// A graph whose every value has a layout; `convert` ops stand where two differ.
struct LaidOut {
  Graph graph;
  std::vector<std::vector<Layout>> layouts;  // of each op's results
  std::map<int, MatrixUse> matrix;           // dots that a matrix instruction does
  const Layout& of(Value v) const { return layouts[static_cast<size_t>(v.op)][static_cast<size_t>(v.result)]; }
};
LaidOut assign_layouts(const Graph& g, const Signature& sig, const Schedule& s, const Caps& caps);

/// The tiled loop nest as text: what maps to blocks, warps, lanes and registers.
std::string describe_nest(const LaidOut& l, const Caps& caps, const Schedule& schedule);

}  // namespace wavetile
