#include "tests/support/run_kernel.h"

#include <cstdlib>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codegen/testing/virtual_target.h"

namespace wavetile {
namespace {

Machine virtual_machine(const std::string& name, const TargetPtr& target) {
  auto run = [target](const Code& code, const Stage& stage, const int64_t* slots, int64_t grid) {
    run_virtual(*target, code, stage, slots, grid);
  };
  return {name, target, true, nullptr, run};
}

}  // namespace

const std::vector<Machine>& machines() {
  static const std::vector<Machine> all = [] {
    std::vector<Machine> m;
    if (const char* chip = std::getenv("WAVETILE_TEST_CHIP")) {
      // A report, or anything that is left at the end, makes the process fail.
      setenv("WAVETILE_EMULATOR", fmt::format("{},checks,strict", chip).c_str(), 1);
      m.push_back({chip, amdgpu_target(chip), false, Device::open("hsa:emulated")});
      return m;
    }
    m.push_back({"cpu", cpu_target(), false, nullptr});
    for (const char* level : {"avx2", "baseline"}) try {
        m.push_back({std::string("cpu-") + level, cpu_target(level), false, nullptr});
      } catch (const Error&) {  // this machine lacks it
      }
    m.push_back(virtual_machine("virtual 8 explicit", virtual_target(8, true)));
    m.push_back(virtual_machine("virtual 64 implicit", virtual_target(64, false)));
    m.push_back(virtual_machine("virtual 32 implicit", virtual_target(32, false)));
    return m;
  }();
  return all;
}

void check_kernel(const Machine& m, const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors,
                  const Tolerance& tolerance, const std::vector<double>& scalars, const Known& known) {
  SCOPED_TRACE(describe_case(m, k, s, tensors, known));
  for (const std::string& line : differences(m, k, s, tensors, tolerance, scalars, known)) ADD_FAILURE() << line;
}

void check_everywhere(const Kernel& k, Schedule s, const std::vector<HostTensor>& tensors, const Tolerance& tolerance,
                      const std::vector<double>& scalars, const Known& known) {
  for (const Machine& m : machines())
    for (int warps : {1, 2, 4}) {
      if (warps > caps_of(*m.target).max_warps) break;
      s.warps = warps;
      check_kernel(m, k, s, tensors, tolerance, scalars, known);
    }
}

}  // namespace wavetile
