// AMD GPUs, as far as the code object. Every lane is a work-item of a one-dimensional workgroup: work-items l of warp w
// have the number w * lanes + l.
#pragma once

#include <memory>
#include <string>

#include <llvm/Target/TargetMachine.h>

#include "codegen/target.h"

namespace wavetile {

struct AmdChip {
  const char* name;
  int generation;  // 9: GCN and CDNA, 11: RDNA 3, 12: RDNA 4
  int lanes;
  int compute_units;
  bool half_denormals = true;  // whether its matrix and dot instructions keep denormal factors in f16
};

class AmdgpuTarget : public Target {
 public:
  explicit AmdgpuTarget(const AmdChip& chip);
  const Caps& caps() const override { return caps_; }
  std::string identity() const override;
  void prepare(llvm::Module& m) const override;
  Entry begin_kernel(llvm::Module& m, Builder& b, const std::string& symbol, int slots, int warps) const override;
  void run_blocks(Builder& b, const Entry& e, const std::function<void(llvm::Value*)>& body) const override;
  llvm::Value* lane_id(Builder& b) const override;
  llvm::Value* warp_id(Builder& b) const override;
  llvm::Value* shuffle(Builder& b, llvm::Value* v, const LaneMap& map) const override;
  LaneValues reduce_lanes(Builder& b, const LaneValues& v, int bits, const LaneCombine& combine) const override;
  llvm::Value* function(Builder& b, Fn fn, const std::vector<llvm::Value*>& args) const override;
  llvm::Value* dot2(Builder& b, DType type, llvm::Value* acc, llvm::Value* a0, llvm::Value* a1, llvm::Value* b0,
                    llvm::Value* b1) const override;
  llvm::Value* matrix(Builder& b, const MatrixUnit& unit, llvm::Value* first, llvm::Value* second,
                      llvm::Value* c) const override;
  void barrier(Builder& b, Memory what) const override;
  void keep_loads_early(Builder& b) const override;
  llvm::Value* shared_memory(llvm::Module& m, Builder& b, int bytes) const override;
  unsigned global_address_space() const override { return 1; }
  llvm::Value* fresh(Builder& b, llvm::Value* v) const override;
  llvm::Value* lane_address(Builder& b, llvm::Value* base, llvm::Value* bytes) const override;
  bool line_tables() const override { return true; }
  void optimise(llvm::Module& m) const override;
  std::string assembly(llvm::Module& m) const override;
  std::vector<char> object(llvm::Module& m) const override;

 private:
  // A data-parallel primitive: each lane reads another of its row of 16, as the control word says.
  llvm::Value* dpp(Builder& b, llvm::Value* v, int control) const;
  llvm::Value* move(Builder& b, llvm::Value* word, const LaneMap& map) const;
  llvm::Value* move_in_row(Builder& b, llvm::Value* word, const std::vector<int>& from) const;
  llvm::Value* swizzle(Builder& b, llvm::Value* word, const LaneMap& map) const;
  llvm::Value* fetch(Builder& b, llvm::Value* word, const LaneMap& map) const;
  std::unique_ptr<llvm::TargetMachine> machine() const;

  AmdChip chip_;
  Caps caps_;
  std::string features_;
};

/// A relocatable object as the shared object that the HSA runtime loads.
std::vector<char> link_code_object(const std::vector<char>& relocatable);

/// Refuses kernels that do not fit the registers, by what the object's metadata says of scratch memory and spills.
/// Errors name the kernel and what to change.
void check_resources(const std::vector<char>& relocatable, const Caps& caps);

}  // namespace wavetile
