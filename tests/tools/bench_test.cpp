// What the programs of bench/ say where they are given what they cannot use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"

namespace wavetile {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(BenchPrograms, AChipThatIsNotKnown) {
  for (const char* chips : {"gfx803", "gfx1151,gfx803"}) {
    const ProcessResult r = run_process({WAVETILE_REPORT, "--chips", chips, "--kernels", "^add$"});
    EXPECT_EQ(r.code, 1);
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err,
                AllOf(HasSubstr("wavetile-report: AMD GPU 'gfx803' is not known"), HasSubstr("gfx942, gfx1100")));
  }
}

TEST(BenchPrograms, CountersThatAreNone) {
  const ProcessResult r = run_process({"/bin/sh", "-c", "echo '{}' | " WAVETILE_PEER " estimate"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err,
            "wavetile-peer: standard input: counters: field /kernel is missing; it has to be what `wavetile-emu "
            "--counters json` prints\n");
}

}  // namespace
}  // namespace wavetile
