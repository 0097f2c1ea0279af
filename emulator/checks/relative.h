// Registers that an index chooses when the instruction runs: by M0 those of v_movrel*, v_swaprel and s_movrel*, and by
// s_set_gpr_idx_on those of the moves up to s_set_gpr_idx_off. There is a plan for each index that occurs.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "emulator/checks/plan.h"

namespace wavetile::emu::checks {

class RelativePlans {
 public:
  void clear() { plans_.clear(); }
  /// Of an instruction as it runs now. `indexed`: s_set_gpr_idx_on shifts it, and not its own meaning. Registers that
  /// the kernel did not allocate are left out: the instruction itself reports them.
  const Plan& plan(const Wave& w, const Op& op, bool indexed);

 private:
  struct Shifted {
    Instruction instruction;
    Op op;
    std::unique_ptr<Plan> plan;
  };
  std::map<std::tuple<const Op*, std::uint32_t, std::uint32_t>, std::unique_ptr<Shifted>> plans_;
};

}  // namespace wavetile::emu::checks
