// Debian's rocminfo, a program that nobody here wrote, on the HSA library.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

struct Ran {
  int status = -1;
  std::string out;
};

Ran run_rocminfo(const char* options) {
  const std::string folder = std::filesystem::path(WAVETILE_HSA_LIBRARY).parent_path();
  const std::string command = fmt::format("LD_LIBRARY_PATH='{}' LD_PRELOAD='{}' WAVETILE_EMULATOR='{}' rocminfo 2>&1",
                                          folder, WAVETILE_KFD_SHIM, options);
  Ran result;
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return result;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) result.out.append(buffer.data(), n);
  result.status = pclose(pipe);
  return result;
}

TEST(HsaRocminfo, Runs) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitized library cannot be loaded by a program that is not sanitized";
#endif
  if (std::system("command -v rocminfo > /dev/null") != 0)
    GTEST_SKIP() << "rocminfo is not installed (package rocminfo)";
  if (std::system("command -v lsmod > /dev/null") != 0) GTEST_SKIP() << "rocminfo needs lsmod (package kmod)";
  for (const char* chip : {"gfx1151", "gfx1100", "gfx942"}) {
    SCOPED_TRACE(chip);
    const Ran ran = run_rocminfo(chip);
    EXPECT_EQ(ran.status, 0);
    EXPECT_THAT(ran.out, testing::ContainsRegex(fmt::format("Name: +{} *\n", chip)));
    EXPECT_THAT(ran.out, testing::ContainsRegex(fmt::format("Name: +amdgcn-amd-amdhsa--{}", chip)));
    EXPECT_THAT(ran.out, HasSubstr("KERNARG, FINE GRAINED"));
    EXPECT_THAT(ran.out, HasSubstr("COARSE GRAINED"));
    EXPECT_THAT(ran.out, testing::ContainsRegex("Segment: +GROUP"));
    EXPECT_THAT(ran.out, testing::ContainsRegex("Size: +16777216\\(0x1000000\\) KB"));
    EXPECT_THAT(ran.out, testing::ContainsRegex("Device Type: +CPU"));
    EXPECT_THAT(ran.out, testing::ContainsRegex("Device Type: +GPU"));
    EXPECT_THAT(ran.out, HasSubstr("Done"));
    EXPECT_THAT(ran.out, testing::Not(HasSubstr("not freed")));
  }
}

}  // namespace
}  // namespace wavetile::emu
