#include "codegen/testing/dropping_target.h"

#include "codegen/target.h"

namespace wavetile {
namespace {

using LValue = llvm::Value;

class DroppingTarget : public Target {
 public:
  DroppingTarget(TargetPtr inner, int n, std::shared_ptr<int> emitted)
      : inner_(std::move(inner)), dropped_(n), emitted_(std::move(emitted)) {}

  void barrier(Builder& b, Memory what) const override {
    if ((*emitted_)++ != dropped_) inner_->barrier(b, what);
  }
  void keep_loads_early(Builder& b) const override { inner_->keep_loads_early(b); }

  const Caps& caps() const override { return inner_->caps(); }
  std::string identity() const override { return inner_->identity(); }
  void prepare(llvm::Module& m) const override { inner_->prepare(m); }
  Entry begin_kernel(llvm::Module& m, Builder& b, const std::string& symbol, int slots, int warps) const override {
    return inner_->begin_kernel(m, b, symbol, slots, warps);
  }
  void run_blocks(Builder& b, const Entry& e, const std::function<void(LValue*)>& body) const override {
    inner_->run_blocks(b, e, body);
  }
  LValue* lane_id(Builder& b) const override { return inner_->lane_id(b); }
  LValue* warp_id(Builder& b) const override { return inner_->warp_id(b); }
  LValue* shuffle(Builder& b, LValue* v, const LaneMap& map) const override { return inner_->shuffle(b, v, map); }
  LaneValues reduce_lanes(Builder& b, const LaneValues& v, int bits, const LaneCombine& combine) const override {
    return inner_->reduce_lanes(b, v, bits, combine);
  }
  LValue* shared_memory(llvm::Module& m, Builder& b, int bytes) const override {
    return inner_->shared_memory(m, b, bytes);
  }
  unsigned global_address_space() const override { return inner_->global_address_space(); }
  bool line_tables() const override { return inner_->line_tables(); }
  LValue* function(Builder& b, Fn fn, const std::vector<LValue*>& args) const override {
    return inner_->function(b, fn, args);
  }
  LValue* lane_address(Builder& b, LValue* base, LValue* bytes) const override {
    return inner_->lane_address(b, base, bytes);
  }
  void warp_barrier(Builder& b) const override { inner_->warp_barrier(b); }
  LValue* dot2(Builder& b, DType type, LValue* acc, LValue* a0, LValue* a1, LValue* b0, LValue* b1) const override {
    return inner_->dot2(b, type, acc, a0, a1, b0, b1);
  }
  LValue* matrix(Builder& b, const MatrixUnit& unit, LValue* a, LValue* x, LValue* c) const override {
    return inner_->matrix(b, unit, a, x, c);
  }
  void optimise(llvm::Module& m) const override { inner_->optimise(m); }
  std::string assembly(llvm::Module& m) const override { return inner_->assembly(m); }
  std::vector<char> object(llvm::Module& m) const override { return inner_->object(m); }

 private:
  TargetPtr inner_;
  int dropped_;
  std::shared_ptr<int> emitted_;
};

}  // namespace

Dropping dropping_target(TargetPtr inner, int n) {
  auto emitted = std::make_shared<int>(0);
  return {std::make_shared<DroppingTarget>(std::move(inner), n, emitted), emitted};
}

}  // namespace wavetile
