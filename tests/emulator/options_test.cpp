#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulator/emulator.h"

namespace wavetile::emu {
namespace {

TEST(Options, Words) {
  const Options none = Options::parse("");
  EXPECT_EQ(none.chip->name, "gfx1151");
  EXPECT_EQ(none.memory_bytes, std::uint64_t{16} << 30);
  EXPECT_FALSE(none.checks || none.stale || none.counters || none.strict);
  const Options all = Options::parse(
      "gfx942,cus=4,memory=8G,checks,stale,counters,threads=2,max-instructions=99,seed=7,reorder,strict");
  EXPECT_EQ(all.chip->name, "gfx942");
  EXPECT_EQ(all.compute_units, 4);
  EXPECT_EQ(all.memory_bytes, std::uint64_t{8} << 30);
  EXPECT_EQ(all.threads, 2);
  EXPECT_EQ(all.max_instructions, 99u);
  EXPECT_EQ(all.seed, 7u);
  EXPECT_TRUE(all.checks && all.stale && all.counters && all.reorder && all.strict);
  EXPECT_FALSE(none.deadlock_seconds.has_value());
  Options never = Options::parse("deadlock=0");
  EXPECT_EQ(never.deadlock_seconds, 0u);
  never.let_host_answer();  // the word is stronger
  EXPECT_TRUE(never.deadlock_seconds == 0u && !never.waiting);
  EXPECT_EQ(Options::parse("memory=1024K").memory_bytes, 1u << 20);
  EXPECT_EQ(Options::parse("memory=3M").memory_bytes, 3u << 20);
  EXPECT_EQ(Options::parse("memory=1048577").memory_bytes, (1u << 20) + 1);
}

TEST(Options, RefusesAndSaysWhatThereIs) {
  for (const char* text : {"gfx906",
                           "cus",
                           "cus=",
                           "cus=0",
                           "cus=-1",
                           "cus=4x",
                           "cus=99999999999999999999",
                           "memory=1",
                           "memory=G",
                           "memory=1P",
                           "memory=99999999T",
                           "threads=0",
                           "checks=1",
                           "deadlock",
                           "deadlock=-1",
                           "stale",
                           "gfx942,gfx942",
                           "gfx942,gfx1151",
                           "checks,checks",
                           ",",
                           "checks,,counters",
                           " checks",
                           "Checks",
                           "seed=",
                           "cus=2,cus=2",
                           "gfx942=1"}) {
    try {
      Options::parse(text);
      ADD_FAILURE() << text;
    } catch (const std::invalid_argument& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr("gfx1151, gfx1100, gfx942, cus=N")) << text;
    }
  }
}

}  // namespace
}  // namespace wavetile::emu
