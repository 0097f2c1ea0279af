// The narrow interface between the common lowering and a machine. If a new machine needs an edit in the lowering, a
// hook here is wrong.
//
// A machine runs blocks; a block is `warps` warps of `lanes` lanes. Targets differ in how a lane shows in LLVM IR:
//  - explicit lanes (caps.simd): one thread of control runs a warp, a register is a vector <lanes x T>;
//  - implicit lanes: every lane is a thread, a register is a T, the lane's number is a run-time value.
// A tile whose lanes all hold the same is a plain T on both.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "codegen/caps.h"
#include "codegen/layout.h"

namespace wavetile {

using Builder = llvm::IRBuilder<>;

/// What a kernel's body sees on entry.
struct Entry {
  llvm::Function* function = nullptr;
  std::vector<llvm::Value*> args;  // i64 slots; see Abi in compile.h
};

/// What a reduction carries, and how two of them combine: in either order, with the same result.
using LaneValues = std::vector<llvm::Value*>;
using LaneCombine = std::function<LaneValues(const LaneValues&, const LaneValues&)>;

class Target {
 public:
  virtual ~Target() = default;
  virtual const Caps& caps() const = 0;
  /// What decides the code that comes out: name, CPU, features.
  virtual std::string identity() const = 0;

  /// Triple and data layout.
  virtual void prepare(llvm::Module& m) const = 0;
  /// Makes the kernel's function with `slots` arguments of 64 bits and leaves the builder in its entry block.
  virtual Entry begin_kernel(llvm::Module& m, Builder& b, const std::string& symbol, int slots, int warps) const = 0;
  /// Emits `body` for each block that this invocation has to run, then returns from the function.
  virtual void run_blocks(Builder& b, const Entry& e, const std::function<void(llvm::Value* block)>& body) const = 0;

  virtual llvm::Value* lane_id(Builder& b) const = 0;  // i32; implicit lanes only
  virtual llvm::Value* warp_id(Builder& b) const = 0;  // i32, the same in all lanes
  /// Lane l of the result is lane map(l) of v.
  virtual llvm::Value* shuffle(Builder& b, llvm::Value* v, const LaneMap& map) const = 0;
  /// Combines the values of all lanes that differ in `bits` of their number only; each of them gets the result.
  virtual LaneValues reduce_lanes(Builder& b, const LaneValues& v, int bits, const LaneCombine& combine) const {
    LaneValues x = v;
    for (int bit = 1; bit < caps().lanes; bit *= 2) {
      if ((bits & bit) == 0) continue;
      LaneMap other{{}, bit};
      for (int i = 1; i < caps().lanes; i *= 2) other.bases.push_back(i);
      LaneValues moved;
      for (llvm::Value* one : x) moved.push_back(shuffle(b, one, other));
      x = combine(x, moved);
    }
    return x;
  }
  /// All warps of the block arrive before any goes on; what was written before to shared memory, or to all memory, is
  /// seen after, and what was read before is not what is written after.
  enum class Memory { shared, all };
  virtual void barrier(Builder& b, Memory what = Memory::shared) const = 0;
  /// What the lanes of a warp did to memory before is seen by all of them after: machines run them in step, so that
  /// only the compiler is to be told.
  virtual void warp_barrier(Builder& b) const {
    b.CreateFence(llvm::AtomicOrdering::AcquireRelease, llvm::SyncScope::SingleThread);
  }
  /// What was loaded before is asked for before anything that comes after: such loads are not moved to where they are
  /// used. No instruction.
  virtual void keep_loads_early(Builder& b) const {
    b.CreateFence(llvm::AtomicOrdering::AcquireRelease, llvm::SyncScope::SingleThread);
  }
  /// The block's shared memory, `bytes` of it, 16-byte aligned.
  virtual llvm::Value* shared_memory(llvm::Module& m, Builder& b, int bytes) const = 0;
  virtual unsigned global_address_space() const { return 0; }
  /// The same i32, of which LLVM is not to know where it comes from: what is computed of it stays where it is, and is
  /// computed anew elsewhere. No instruction.
  virtual llvm::Value* fresh(Builder&, llvm::Value* v) const { return v; }
  /// Implicit lanes: `base`, the same in all of them, and `bytes` behind it (an i32 without a sign), a lane's own.
  virtual llvm::Value* lane_address(Builder& b, llvm::Value* base, llvm::Value* bytes) const {
    return b.CreateGEP(b.getInt8Ty(), base, b.CreateZExt(bytes, b.getInt64Ty()));
  }
  /// Whether the code says which line of the kernel each instruction comes from.
  virtual bool line_tables() const { return false; }

  /// An elementwise function of f32 as the machine does it, within what runtime/tolerance.h allows; null: by
  /// codegen/vec.h.
  virtual llvm::Value* function(Builder&, Fn, const std::vector<llvm::Value*>& /*args*/) const { return nullptr; }

  /// Sum of products of two adjacent elements of `type` and an f32: acc + a0*b0 + a1*b1; null where the machine has
  /// none that pays. a's may be uniform (scalars) where b's are not, and the other way round.
  virtual llvm::Value* dot2(Builder&, DType, llvm::Value* /*acc*/, llvm::Value* /*a0*/, llvm::Value* /*a1*/,
                            llvm::Value* /*b0*/, llvm::Value* /*b1*/) const {
    return nullptr;
  }
  /// One of the rows of caps().matrix: c + a * b. Operands are vectors of a lane's registers, floats of 16 bits as i16.
  virtual llvm::Value* matrix(Builder&, const MatrixUnit& unit, llvm::Value* /*a*/, llvm::Value* /*b*/,
                              llvm::Value* /*c*/) const {
    throw InternalError(caps().name + " lacks " + unit.name);
  }

  /// Optimises, in place.
  virtual void optimise(llvm::Module& m) const = 0;
  virtual std::string assembly(llvm::Module& m) const = 0;
  /// A relocatable object (cpu) or a linked code object (GPUs).
  virtual std::vector<char> object(llvm::Module& m) const = 0;
};

}  // namespace wavetile
