// Memory instructions where they are subtle: what is out of range, what overlaps, what EXEC leaves out, how addresses
// of each kind are made.
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulator/memory.h"
#include "emulator/monitor.h"
#include "tests/emulator/wave_bench.h"

namespace wavetile::emu::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using U = std::uint32_t;

TEST(GlobalOps, LoadsOfEveryWidthAtEveryAlignment) {
  Bench b("gfx1151");
  b.words[0] = 0x83828180;
  b.words[1] = 0x07068584;
  Wave& w = b.make(
      "global_load_u8 v4, v[2:3], off offset:1\n global_load_i8 v5, v[2:3], off offset:1\n"
      "global_load_u16 v6, v[2:3], off offset:3\n global_load_i16 v7, v[2:3], off offset:3\n"
      "global_load_b32 v8, v[2:3], off offset:2\n global_load_b64 v[10:11], v[2:3], off offset:3\n"
      "global_load_d16_u8 v12, v[2:3], off offset:1\n global_load_d16_hi_i8 v13, v[2:3], off offset:1\n"
      "global_load_d16_hi_b16 v14, v[2:3], off offset:1\n global_load_b96 v[16:18], v[2:3], off\n"
      "global_load_b32 v20, v[2:3], off offset:5");
  for (int r : {12, 13, 14}) w.row(r)[0] = 0xaaaabbbb;
  w.set_scalar(kExec, 1);
  ASSERT_TRUE(b.go());
  auto v = [&](int r) { return w.row(r)[0]; };
  EXPECT_EQ(v(4), 0x81u);
  EXPECT_EQ(v(5), 0xffffff81u);
  EXPECT_EQ(v(6), 0x8483u);
  EXPECT_EQ(v(7), 0xffff8483u);
  EXPECT_EQ(v(8), 0x85848382u);
  EXPECT_EQ(v(10), 0x06858483u);
  EXPECT_EQ(v(11), 0x00006607u);  // 102 is 0x66
  EXPECT_EQ(v(12), 0xaaaa0081u);
  EXPECT_EQ(v(13), 0xff81bbbbu);
  EXPECT_EQ(v(14), 0x8281bbbbu);
  EXPECT_THAT(std::vector<U>({v(16), v(17), v(18)}), ElementsAre(0x83828180u, 0x07068584u, 102u));
  EXPECT_EQ(v(20), 0x66070685u);
}

TEST(GlobalOps, AddressesOfEachForm) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "global_load_b32 v4, v1, s[2:3] offset:8\n global_load_b32 v5, v[2:3], off offset:-8\n"
      "global_load_addtid_b32 v6, s[2:3] offset:12\n global_store_d16_hi_b16 v1, v7, s[2:3] offset:66\n"
      "global_load_b64 v[2:3], v[2:3], off");
  for (int i = 0; i < 32; ++i) {
    w.row(1)[i] = static_cast<U>(4 * i);
    w.row(2)[i] += 128;
    w.row(7)[i] = 0xabcd0000u + static_cast<U>(i);
  }
  ASSERT_TRUE(b.go());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(w.row(4)[i], static_cast<U>(102 + i));
    EXPECT_EQ(w.row(5)[i], 130u);
    EXPECT_EQ(w.row(6)[i], static_cast<U>(103 + i));
    EXPECT_EQ(w.row(2)[i], 0xabcd0000u + 132) << "the destination is the address";
    EXPECT_EQ(b.words[16 + i], 0xabcd0000u + 116 + static_cast<U>(i));
  }
}

TEST(GlobalOps, LanesThatAreOffNeitherReadNorWrite) {
  Bench b("gfx942", 64);
  Wave& w = b.make("global_load_dword v4, v[2:3], off\n global_store_dword v[2:3], v5, off");
  for (int i = 0; i < 64; ++i) {
    w.row(4)[i] = 7;
    w.row(5)[i] = 1000 + static_cast<U>(i);
    if (i % 3 != 0) w.row(3)[i] = 0xdeadbeef;  // nothing lies there
  }
  by_four(w, 2);
  std::uint64_t mask = 0;
  for (int i = 0; i < 64; i += 3) mask |= std::uint64_t{1} << i;
  w.set_scalar64(kExec, mask);
  ASSERT_TRUE(b.go());
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(w.row(4)[i], i % 3 == 0 ? 100u + static_cast<U>(i) : 7u) << i;
    EXPECT_EQ(b.words[i], (i % 3 == 0 ? 1000u : 100u) + static_cast<U>(i)) << i;
  }
}

TEST(GlobalOps, LanesMayBeInDifferentAllocations) {
  Bench b("gfx1100");
  std::vector<U> other(8, 55);
  b.memory.add(other.data(), 32, "other");
  Wave& w = b.make("global_load_b32 v4, v[2:3], off\n global_load_b32 v5, v[2:3], off");
  const auto at = reinterpret_cast<std::uint64_t>(other.data());
  for (int i = 1; i < 32; i += 2) {
    w.row(2)[i] = static_cast<U>(at);
    w.row(3)[i] = static_cast<U>(at >> 32);
  }
  ASSERT_TRUE(b.go());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(w.row(5)[i], i % 2 == 1 ? 55u : 100u);
}

TEST(GlobalOps, WhatIsOutsideStopsTheWave) {
  struct Case {
    const char* text;
    int offset;
    const char* kind;
  };
  for (const Case& c : {Case{"global_load_b64 v[4:5], v[2:3], off", 252, "out-of-bounds"},
                        Case{"global_load_b32 v4, v[2:3], off", -1, "out-of-bounds"},
                        Case{"global_store_b128 v[2:3], v[4:7], off", 244, "out-of-bounds"},
                        Case{"global_atomic_add_u32 v[2:3], v4, off", 256, "out-of-bounds"},
                        Case{"global_atomic_add_u32 v[2:3], v4, off", 2, "misaligned-atomic"},
                        Case{"global_atomic_add_u64 v[2:3], v[4:5], off", 4, "misaligned-atomic"}}) {
    Bench b("gfx1151");
    Wave& w = b.make(c.text);
    w.row(2)[5] += static_cast<U>(c.offset);
    EXPECT_FALSE(b.go()) << c.text;
    EXPECT_EQ(b.kind(), c.kind) << c.text;
    EXPECT_EQ(b.report().lane, 5);
    EXPECT_EQ(b.report().data, b.address() + static_cast<std::uint64_t>(c.offset));
  }
  Bench b("gfx1151");
  const std::vector<U> constant(64);
  b.memory.add(constant.data(), 256, "constant", false);
  b.make("global_store_b32 v[2:3], v4, off");
  for (int i = 0; i < 32; ++i) {
    b.fragment->wave().row(2)[i] = static_cast<U>(reinterpret_cast<std::uint64_t>(constant.data()));
    b.fragment->wave().row(3)[i] = static_cast<U>(reinterpret_cast<std::uint64_t>(constant.data()) >> 32);
  }
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "read-only-write");
  b.make("global_load_b32 v4, v[2:3], off");
  b.memory.remove(b.words.data());
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "use-after-free");
}

// A freed range must not be reached through the wave's memory of where it was last.
TEST(GlobalOps, TheLastAllocationIsForgottenWhenItGoes) {
  Bench b("gfx1151");
  Wave& w = b.make("global_load_b32 v4, v[2:3], off");
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.last, b.allocation);
  b.memory.remove(b.words.data());
  w.pc = 0;
  w.status = Status::ready;
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "use-after-free");
}

TEST(GlobalOps, AtomicsTakeLanesInOrder) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "global_atomic_add_u32 v4, v[2:3], v5, off glc\n global_atomic_inc_u32 v6, v[2:3], v7, off offset:4 glc\n"
      "global_atomic_dec_u32 v8, v[2:3], v9, off offset:8 glc\n"
      "global_atomic_cmpswap_b32 v12, v[2:3], v[10:11], off offset:12 glc\n"
      "global_atomic_csub_u32 v13, v[2:3], v5, off offset:16 glc\n global_atomic_max_i32 v[2:3], v14, off offset:20");
  b.words[1] = 0;
  b.words[2] = 1;
  b.words[3] = 10;
  b.words[4] = 40;
  b.words[5] = 0xffffffff;
  for (int i = 0; i < 32; ++i) {
    w.row(5)[i] = static_cast<U>(i);
    w.row(7)[i] = 2;                        // 0 1 2 0 1 2 ...
    w.row(9)[i] = 5;                        // 1 0 5 4 3 2 1 0 5
    w.row(10)[i] = static_cast<U>(11 + i);  // each lane waits for what the one before it wrote
    w.row(11)[i] = static_cast<U>(10 + i);
    w.row(14)[i] = 0x80000000u + static_cast<U>(i);
  }
  ASSERT_TRUE(b.go());
  U sum = 100, clamped = 40;
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(w.row(4)[i], sum);
    sum += static_cast<U>(i);
    EXPECT_EQ(w.row(6)[i], static_cast<U>(i % 3));
    EXPECT_EQ(w.row(8)[i], i == 0 ? 1u : 5 - static_cast<U>((i + 4) % 6));
    EXPECT_EQ(w.row(12)[i], static_cast<U>(10 + i));
    EXPECT_EQ(w.row(13)[i], clamped);
    clamped = clamped >= static_cast<U>(i) ? clamped - static_cast<U>(i) : 0;
  }
  EXPECT_EQ(b.words[3], 42u);
  EXPECT_EQ(b.words[5], 0xffffffffu);
}

TEST(GlobalOps, FloatAtomics) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "global_atomic_pk_add_f16 v[2:3], v4, off\n global_atomic_pk_add_bf16 v[2:3], v5, off offset:4\n"
      "global_atomic_add_f64 v[2:3], v[6:7], off offset:8\n global_atomic_min_f64 v[2:3], v[8:9], off offset:16\n"
      "global_atomic_add_f32 v[2:3], v10, off offset:24");
  w.set_scalar64(kExec, 1);
  b.words[0] = 0x7bff3c00;   // 65504, 1
  w.row(4)[0] = 0x4c001400;  // 16, 2^-10: to infinity at a tie, 1 + 2^-10
  b.words[1] = 0x3f803f80;
  w.row(5)[0] = 0x3b803b81;  // a tie to even, and just above
  const double one = 1.5, other = 2.25, nan = NAN;
  std::memcpy(&b.words[2], &one, 8);
  std::memcpy(&b.words[4], &nan, 8);
  for (int k = 0; k < 2; ++k) {
    w.row(6 + k)[0] = static_cast<U>(std::bit_cast<std::uint64_t>(other) >> 32 * k);
    w.row(8 + k)[0] = static_cast<U>(std::bit_cast<std::uint64_t>(other) >> 32 * k);
  }
  b.words[6] = 1;  // denormals are kept in memory
  w.row(10)[0] = 2;
  ASSERT_TRUE(b.go());
  EXPECT_EQ(b.words[0], 0x7c003c01u);
  EXPECT_EQ(b.words[1], 0x3f803f81u);
  double sum = 0, least = 0;
  std::memcpy(&sum, &b.words[2], 8);
  std::memcpy(&least, &b.words[4], 8);
  EXPECT_EQ(sum, 3.75);
  EXPECT_EQ(least, 2.25);
  EXPECT_EQ(b.words[6], 3u);
}

TEST(GlobalOps, AtomicsOfThreadsLoseNothing) {
  Bench b("gfx1151");
  b.words[0] = 0;
  b.words[1] = 0;
  constexpr int kThreads = 4, kRounds = 5000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const std::string text = fmt::format(
          "s_movk_i32 s0, {}\n v_mov_b32 v4, 1\n v_mov_b32 v5, 1.0\n"
          "again: global_atomic_add_u32 v[2:3], v4, off\n global_atomic_add_f32 v[2:3], v5, off offset:4\n"
          "global_load_b32 v6, v[2:3], off\n global_store_b32 v[2:3], v4, off offset:8\n"
          "s_add_i32 s0, s0, -1\n s_cmp_lg_u32 s0, 0\n s_cbranch_scc1 again\n s_endpgm",
          kRounds);
      auto f = make_fragment(*b.device, 32, assemble(*b.device, 32, text), b.memory);
      for (int i = 0; i < 32; ++i) {
        f->wave().row(2)[i] = static_cast<U>(b.address());
        f->wave().row(3)[i] = static_cast<U>(b.address() >> 32);
      }
      EXPECT_TRUE(run_fragment(*f));
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(b.words[0], U{kThreads * kRounds * 32});
  EXPECT_EQ(std::bit_cast<float>(b.words[1]), kThreads * kRounds * 32.0f);
}

TEST(FlatOps, AnAddressChoosesItsSpace) {
  for (const char* chip : {"gfx1151", "gfx942"}) {
    Bench b(chip, 64);
    const bool rdna = b.device->family == Family::rdna3;
    Wave& w = b.make(rdna ? "flat_load_b32 v4, v[2:3] offset:4\n flat_store_b32 v[2:3], v5\n"
                            "scratch_load_b32 v6, off, off offset:8"
                          : "flat_load_dword v4, v[2:3] offset:4\n flat_store_dword v[2:3], v5\n"
                            "scratch_load_dword v6, off, off offset:8");
    b.lds_word(20, 7777);
    for (int i = 0; i < 64; ++i) {
      w.row(5)[i] = 500 + static_cast<U>(i);
      if (i % 4 == 1) w.row(2)[i] = 16, w.row(3)[i] = kSharedApertureHigh;
      if (i % 4 == 2) w.row(2)[i] = 8, w.row(3)[i] = kPrivateApertureHigh;
      const U own = 9000 + static_cast<U>(i);
      std::memcpy(w.scratch + i * 64 + 12, &own, 4);
    }
    ASSERT_TRUE(b.go());
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(w.row(4)[i], i % 4 == 1 ? 7777u : i % 4 == 2 ? 9000 + static_cast<U>(i) : 101u);
      EXPECT_EQ(w.row(6)[i], i % 4 == 2 ? 500 + static_cast<U>(i) : 0u);
    }
    EXPECT_EQ(b.lds_word(16), 561u);
    EXPECT_EQ(b.words[0], 563u);
  }
}

TEST(ScratchOps, IsTheLanesOwn) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "scratch_store_b64 v1, v[4:5], off offset:8\n scratch_store_b32 off, v6, s0 offset:4\n"
      "scratch_load_b32 v7, v1, s1 offset:-4\n scratch_load_b32 v8, v9, off");
  w.set_scalar(0, 4);
  w.set_scalar(1, 12);
  for (int i = 0; i < 32; ++i) {
    w.row(1)[i] = 8;
    for (int k = 4; k < 7; ++k) w.row(k)[i] = static_cast<U>(100 * k + i);
    w.row(9)[i] = i == 31 ? 64u : 60u;  // one past the lane's own: the next lane's, were it not checked
  }
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "scratch-out-of-bounds");
  EXPECT_EQ(b.report().lane, 31);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(w.row(7)[i], static_cast<U>(400 + i));
    U word = 0;
    std::memcpy(&word, w.scratch + 64 * i + 8, 4);
    EXPECT_EQ(word, static_cast<U>(600 + i));
  }
}

}  // namespace
}  // namespace wavetile::emu::testing
