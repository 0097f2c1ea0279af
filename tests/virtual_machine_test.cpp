// What the virtual machines must not let pass, tried with kernels written by hand.
#include "codegen/testing/virtual_machine.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dsl/error.h"

namespace wavetile {
namespace {

using Context = VirtualContext;
using Body = void (*)(Context*, int64_t block, int64_t warp, int64_t lane);

constexpr uint32_t bytes = 64;
uint64_t load(Context* c, int64_t i) { return c->load(c, static_cast<uint64_t>(4 * i), 4, 1, bytes); }
void store(Context* c, int64_t i, int64_t x) {
  c->store(c, static_cast<uint64_t>(4 * i), static_cast<uint64_t>(x), 4, 1, bytes);
}

// What a run of `blocks` blocks throws; empty if nothing. The first slot is the body.
std::string run(Body body, int warps, int lanes, int64_t blocks = 2) {
  int64_t slots[] = {reinterpret_cast<intptr_t>(body)};
  VirtualEntry entry = [](const int64_t* s, int64_t begin, int64_t, Context* c, int64_t warp, int64_t lane) {
    reinterpret_cast<Body>(s[0])(c, begin, warp, lane);
  };
  try {
    VirtualMachine m("k", entry, warps, lanes, slots);
    for (int64_t b = 0; b < blocks; ++b) m.run_block(b);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(VirtualMachine, ExchangesThroughSharedMemory) {
  static int64_t sum;
  sum = 0;
  EXPECT_EQ(run(
                [](Context* c, int64_t block, int64_t warp, int64_t lane) {
                  for (int i = 0; i < 3; ++i) {
                    store(c, warp * 4 + lane, block + i);
                    c->barrier(c, 1);
                    sum += static_cast<int64_t>(load(c, (1 - warp) * 4 + 3 - lane));
                    c->barrier(c, 2);
                  }
                },
                2, 4, 4),
            "");
  EXPECT_EQ(sum, 8 * (3 * (0 + 1 + 2 + 3) + 4 * 3));
}
TEST(VirtualMachine, Shuffles) {
  static int64_t wrong;
  wrong = 0;
  EXPECT_EQ(run(
                [](Context* c, int64_t, int64_t warp, int64_t lane) {
                  for (uint32_t bit = 1; bit < 8; bit *= 2) {
                    auto other = static_cast<uint32_t>(lane) ^ bit;
                    wrong += c->shuffle(c, static_cast<uint64_t>(warp * 8 + lane), other, bit) !=
                             static_cast<uint64_t>(warp * 8) + other;
                  }
                },
                2, 8),
            "");
  EXPECT_EQ(wrong, 0);
}
TEST(VirtualMachine, SeesWhatNothingWrote) {
  EXPECT_THAT(run([](Context* c, int64_t, int64_t, int64_t) { load(c, 3); }, 1, 1),
              testing::HasSubstr("nothing wrote"));
  // Each block starts anew.
  EXPECT_THAT(run([](Context* c, int64_t block, int64_t, int64_t) { block ? void(load(c, 0)) : store(c, 0, 1); }, 1, 1),
              testing::HasSubstr("block 1, warp 0: reads byte 0"));
}
TEST(VirtualMachine, SeesMissingBarriers) {
  EXPECT_THAT(run(
                  [](Context* c, int64_t, int64_t warp, int64_t) {
                    store(c, warp, 1);
                    if (warp == 1) load(c, 0);
                  },
                  2, 1),
              testing::HasSubstr("warp 1: reads byte 0 of shared memory, which warp 0 wrote since the last barrier"));
  EXPECT_THAT(run([](Context* c, int64_t, int64_t warp, int64_t) { store(c, 0, warp); }, 2, 1),
              testing::HasSubstr("overwrites byte 0"));
  EXPECT_THAT(run(
                  [](Context* c, int64_t, int64_t warp, int64_t) {
                    store(c, warp, 1);
                    c->barrier(c, 1);
                    warp ? store(c, 1, 2) : void(load(c, 1));
                  },
                  2, 1),
              testing::HasSubstr("read since the last barrier"));
  EXPECT_EQ(run([](Context* c, int64_t, int64_t, int64_t) { store(c, 0, 7); }, 2, 4), "");  // replicas agree
}
TEST(VirtualMachine, SeesAccessesOutOfBounds) {
  EXPECT_THAT(run([](Context* c, int64_t, int64_t, int64_t) { store(c, 16, 1); }, 1, 1),
              testing::HasSubstr("byte 64 of 64"));
  EXPECT_THAT(run([](Context* c, int64_t, int64_t, int64_t) { load(c, -1); }, 1, 1),
              testing::HasSubstr("byte -4 of 64"));
  EXPECT_THAT(run([](Context* c, int64_t, int64_t, int64_t) { c->store(c, 2, 1, 4, 1, bytes); }, 1, 1),
              testing::HasSubstr("misaligned"));
  EXPECT_EQ(run([](Context* c, int64_t, int64_t, int64_t) { c->store(c, 1000, 1, 4, 0, bytes); }, 1, 1), "");  // masked
}
TEST(VirtualMachine, SeesLanesAndWarpsPartWays) {
  EXPECT_THAT(run(
                  [](Context* c, int64_t, int64_t, int64_t lane) {
                    if (lane != 2) c->shuffle(c, 0, 0, 5);
                  },
                  1, 4),
              testing::HasSubstr("lanes 0 and 2 of warp 0 part ways"));
  EXPECT_THAT(run([](Context* c, int64_t, int64_t, int64_t lane) { c->shuffle(c, 0, 0, lane == 1 ? 6 : 5); }, 1, 4),
              testing::HasSubstr("one waits at shuffle 5, the other waits at shuffle 6"));
  EXPECT_THAT(run(
                  [](Context* c, int64_t, int64_t warp, int64_t) {
                    if (warp == 0) c->barrier(c, 9);
                  },
                  2, 4),
              testing::HasSubstr("warps 0 and 1 part ways: one waits at barrier 9, the other has ended"));
  EXPECT_THAT(run([](Context* c, int64_t, int64_t warp, int64_t) { c->barrier(c, static_cast<uint32_t>(warp)); }, 2, 1),
              testing::HasSubstr("part ways"));
  EXPECT_THAT(run([](Context* c, int64_t, int64_t, int64_t) { c->shuffle(c, 0, 4, 1); }, 1, 4),
              testing::HasSubstr("reads lane 4 of 4"));
}

}  // namespace
}  // namespace wavetile
