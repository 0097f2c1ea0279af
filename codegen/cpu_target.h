// The cpu target's class, for the machines that are built on it (codegen/testing).
#pragma once

#include <memory>
#include <string>

#include "codegen/target.h"

namespace llvm {
class TargetMachine;
}

namespace wavetile {

class CpuTarget : public Target {
 public:
  explicit CpuTarget(const std::string& level);
  const Caps& caps() const override { return caps_; }
  std::string identity() const override;
  void prepare(llvm::Module& m) const override;
  Entry begin_kernel(llvm::Module& m, Builder& b, const std::string& symbol, int slots, int warps) const override;
  void run_blocks(Builder& b, const Entry& e, const std::function<void(llvm::Value*)>& body) const override;
  llvm::Value* lane_id(Builder& b) const override;
  llvm::Value* warp_id(Builder& b) const override;
  llvm::Value* shuffle(Builder& b, llvm::Value* v, const LaneMap& map) const override;
  void barrier(Builder& b, Memory what) const override;
  llvm::Value* shared_memory(llvm::Module& m, Builder& b, int bytes) const override;
  llvm::Value* dot2(Builder& b, DType type, llvm::Value* acc, llvm::Value* a0, llvm::Value* a1, llvm::Value* b0,
                    llvm::Value* b1) const override;
  void optimise(llvm::Module& m) const override;
  std::string assembly(llvm::Module& m) const override;
  std::vector<char> object(llvm::Module& m) const override;

 protected:
  /// Parameter types of a kernel's function, the first three being slots, begin and end.
  virtual std::vector<llvm::Type*> parameters(llvm::Type* pointer, llvm::Type* i64) const {
    return {pointer, i64, i64};
  }
  std::unique_ptr<llvm::TargetMachine> machine() const;

  Caps caps_;
  std::string triple_, cpu_, features_;
};

}  // namespace wavetile
