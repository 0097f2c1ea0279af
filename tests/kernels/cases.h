// Random cases of the library's kernels (checks/) on all machines.
#pragma once

#include <gtest/gtest.h>

#include "checks/library.h"
#include "tests/support/run_kernel.h"

namespace wavetile {

/// 200 cases on the cpu, some on the levels below and on the virtual machines, with 1, 2 and 4 warps; a few on a
/// device.
inline void check_subject(const Subject& subject) {
  for (const Machine& m : machines()) {
    Rounds rounds{.variants = 3, .cases = 8};
    if (m.name == "cpu")
      rounds = {.variants = 12, .cases = 17};
    else if (m.is_virtual || m.device)
      rounds = {.variants = m.is_virtual ? 6 : 3, .cases = 2, .budget = 3000};
    for (const std::string& line : differences(m, subject, rounds)) ADD_FAILURE() << line;
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace wavetile
