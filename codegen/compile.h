// From a recorded kernel to machine code. No LLVM in this header: what includes it builds quickly.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codegen/caps.h"
#include "codegen/passes.h"
#include "dsl/dsl.h"
#include "dsl/schedule.h"
#include "dsl/tensor_view.h"

namespace wavetile {

class Target;
using TargetPtr = std::shared_ptr<const Target>;

/// The machine that this process runs on, with all of its features. `level` narrows them, for tests and comparisons:
/// "" (all, the bf16 dot where it pays), "avx512bf16" (with the dot), "avx512", "avx2", "baseline" (what every x86-64
/// has); an error where the machine lacks it.
TargetPtr cpu_target(const std::string& level = "");
/// An AMD GPU by its name: gfx1151, gfx1100, gfx942, ... The code object is for the HSA runtime.
TargetPtr amdgpu_target(const std::string& chip);
const Caps& caps_of(const Target& t);
/// Everything that decides what code comes out of this target: name, CPU, features, LLVM version.
std::string identity_of(const Target& t);

/// One launch. Its arguments are slots of 64 bits: for each tensor of graph.tensors in order its address, extents and
/// strides (elements), then each scalar's bits.
struct Stage {
  Graph graph;          // specialised and scheduled
  Signature signature;  // of graph.tensors
  std::string symbol;
  int warps = 1;
};
struct CompiledKernel {
  std::string name;
  Graph graph;  // as recorded
  Signature signature;
  Schedule schedule;
  std::vector<Stage> stages;  // run in order
  std::vector<Workspace> workspaces;
  std::vector<char> object;  // cpu: a relocatable object; GPUs: a linked code object
};

/// Writes every stage of a compilation to a directory, numbered: graph after each pass, loop nest, layouts, LLVM IR
/// before and after optimisation, assembly (of an AMD GPU with the kernel's lines between the instructions and the
/// metadata at its end), and the object.
struct DumpTo {
  std::string directory;  // empty: nothing
};

CompiledKernel compile(const Graph& g, const Signature& sig, const Schedule& s, const Target& t,
                       const DumpTo& dump = {});
inline CompiledKernel compile(const Kernel& k, const Signature& sig, const Schedule& s, const Target& t,
                              const DumpTo& dump = {}) {
  return compile(k.graph(), sig, s, t, dump);
}
/// The assembly that compile() would write.
std::string assembly_of(const Graph& g, const Signature& sig, const Schedule& s, const Target& t);

/// What a launch on these tensors may assume: their types, extents and strides, and alignment as far as the addresses
/// show it. Reset what other launches of the same kernel will change.
Signature signature_of(std::span<const TensorView> tensors);

/// The arguments of a stage's launch. `tensors` are the kernel's, and its workspaces.
std::vector<int64_t> arguments_of(const Stage& s, std::span<const TensorView> tensors, std::span<const double> scalars);
/// The blocks of a stage's grid, for the tensors and scalars of a launch.
int64_t grid_of(const Stage& s, std::span<const TensorView> tensors, std::span<const double> scalars);
/// hi - lo of a range whose bounds are made of constants, dimensions and scalar parameters.
int64_t extent_of(const Graph& g, RangeId r, std::span<const TensorView> tensors, std::span<const double> scalars);

/// Default strides of a tensor kept in blocks: those of each dimension's block number. Packed dimensions are outermost,
/// in the order of the packing.
std::vector<int64_t> packed_strides(const std::vector<int64_t>& extents, const Packing& p);
/// How far from its address coordinate `c` of dimension `dim` lies, in elements; an element's place is the sum over the
/// dimensions. A stride of a packed dimension steps from block to block of a run.
int64_t packed_place(const std::vector<int64_t>& extents, const std::vector<int64_t>& strides, const Packing& p,
                     size_t dim, int64_t c);
/// Elements of memory that it takes, padding included.
int64_t packed_elements(const std::vector<int64_t>& extents, const Packing& p);

/// Machine code of the cpu target in this process.
class Code {
 public:
  virtual ~Code() = default;
  virtual void* symbol(const std::string& name) const = 0;
};
std::unique_ptr<Code> load_code(std::span<const char> object);

/// A kernel's entry point on the cpu target: runs blocks [begin, end) of the grid.
using CpuEntry = void (*)(const int64_t* slots, int64_t begin, int64_t end);

}  // namespace wavetile
