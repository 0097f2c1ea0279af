// Kernel calls gathered before they enter a program, so that all their kernels compile side by side.
#pragma once

#include <functional>
#include <future>
#include <string>
#include <vector>

#include "runtime/compiler.h"
#include "runtime/program.h"

namespace wavetile {

/// A tensor of a call. `any` is the dimension whose extent differs from one recording of the same kernel to the next,
/// and is therefore read at launch; -1: there is none.
struct Operand {
  TensorView view;
  int any = -1;

  Operand(TensorView v, int dimension = -1) : view(std::move(v)), any(dimension) {}
};

class Recorder {
 public:
  /// `change`, when given, makes each call's schedule another one: for comparisons.
  explicit Recorder(Compiler& compiler, std::function<Schedule(const Schedule&)> change = {})
      : compiler_(compiler), change_(std::move(change)) {}

  /// Asks for the kernel, and remembers the call. Without `work` it is taken to move its tensors once, whole.
  void call(const Kernel& kernel, const std::vector<Operand>& tensors, const Schedule& schedule,
            const std::string& label);
  void call(const Kernel& kernel, const std::vector<Operand>& tensors, const Schedule& schedule,
            const std::string& label, Work work) {
    call(kernel, tensors, schedule, label, [work] { return work; });
  }
  /// The same for work that differs from run to run.
  void call(const Kernel& kernel, const std::vector<Operand>& tensors, const Schedule& schedule,
            const std::string& label, std::function<Work()> work);
  /// Waits for the kernels and appends the calls to the program.
  void finish(Program& program);

 private:
  struct Call {
    std::shared_future<ModulePtr> module;
    std::vector<TensorView> tensors;
    std::string label;
    std::function<Work()> work;
  };
  Compiler& compiler_;
  std::function<Schedule(const Schedule&)> change_;
  std::vector<Call> calls_;
};

}  // namespace wavetile
