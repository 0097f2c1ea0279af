// LDS, exchanges between lanes, and buffers where they are subtle.
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

TEST(LdsOps, OutOfRangeReadsZeroAndWritesNothing) {
  Bench b("gfx1151", 32, 64);
  Wave& w = b.make("ds_load_b64 v[4:5], v1\n ds_store_b32 v6, v7 offset:4\n ds_add_rtn_u32 v8, v9, v7");
  for (int i = 0; i < 16; ++i) b.lds_word(4 * i, 70 + static_cast<U>(i));
  for (int i = 0; i < 32; ++i) {
    w.row(1)[i] = static_cast<U>(4 * i);
    w.row(4)[i] = w.row(5)[i] = w.row(8)[i] = 9;
    w.row(6)[i] = i == 0 ? 0xfffffffcu : 64u;  // -4 + 4: the sum has 32 bits
    w.row(7)[i] = 1;
    w.row(9)[i] = i == 0 ? 0 : 1u << 31;
  }
  ASSERT_TRUE(b.go());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(w.row(4)[i], i < 15 ? 70 + static_cast<U>(i) : 0u) << i;
    EXPECT_EQ(w.row(5)[i], i < 15 ? 71 + static_cast<U>(i) : 0u) << i;
    EXPECT_EQ(w.row(8)[i], i == 0 ? 1u : 0u);
  }
  EXPECT_EQ(b.lds_word(0), 2u);
}

TEST(LdsOps, TwoPlacesAtOnce) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "ds_read2st64_b32 v[0:1], v0 offset0:1 offset1:2\n ds_write2_b64 v4, v[6:7], v[8:9] offset0:20 offset1:22\n"
      "ds_wrxchg2_rtn_b32 v[10:11], v4, v10, v11 offset0:1 offset1:3");
  w.set_scalar64(kExec, 1);
  b.lds_word(256, 5);
  b.lds_word(512, 6);
  b.lds_word(4, 14);
  b.lds_word(12, 15);
  for (int k = 6; k < 12; ++k) w.row(k)[0] = static_cast<U>(k);
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.row(0)[0], 5u);
  EXPECT_EQ(w.row(1)[0], 6u) << "the address was overwritten before the second read";
  EXPECT_EQ(b.lds_word(160), 6u);
  EXPECT_EQ(b.lds_word(164), 7u);
  EXPECT_EQ(b.lds_word(180), 9u);
  EXPECT_EQ(w.row(10)[0], 14u);
  EXPECT_EQ(w.row(11)[0], 15u);
  EXPECT_EQ(b.lds_word(4), 10u);
  EXPECT_EQ(b.lds_word(12), 11u);
}

TEST(LdsOps, TheComparandsPlaceIsTheGenerations) {
  for (const char* chip : {"gfx1151", "gfx942"}) {
    Bench b(chip, 64);
    const bool rdna = b.device->family == Family::rdna3;
    // RDNA3: new value, comparand; CDNA3: comparand, new value.
    Wave& w = b.make(rdna ? "ds_cmpstore_rtn_b32 v4, v1, v5, v6" : "ds_cmpst_rtn_b32 v4, v1, v6, v5");
    w.set_scalar64(kExec, 1);
    b.lds_word(0, 33);
    w.row(5)[0] = 44;
    w.row(6)[0] = 33;
    ASSERT_TRUE(b.go());
    EXPECT_EQ(w.row(4)[0], 33u);
    EXPECT_EQ(b.lds_word(0), 44u);
  }
}

TEST(LdsOps, FloatAdditionKeepsOrFlushesDenormals) {
  for (const int kept : {3, 0}) {
    Bench b("gfx1151");
    Wave& w = b.make(fmt::format("s_denorm_mode {}\n ds_add_f32 v1, v4", 12 + kept));
    w.set_scalar(kExec, 1);
    b.lds_word(0, 0x00000003);
    w.row(4)[0] = 0x00000004;
    ASSERT_TRUE(b.go());
    EXPECT_EQ(b.lds_word(0), kept == 3 ? 7u : 0u);
  }
}

TEST(LdsOps, AppendCountsEnabledLanes) {
  Bench b("gfx1151");
  Wave& w = b.make("ds_append v4 offset:4\n ds_consume v5 offset:4");
  w.set_scalar(kM0, 8);
  w.set_scalar(kExec, 0xf0f0);
  b.lds_word(12, 50);
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.row(4)[4], 50u);
  EXPECT_EQ(w.row(4)[0], 0u);
  EXPECT_EQ(w.row(5)[15], 58u);
  EXPECT_EQ(b.lds_word(12), 50u);
}

TEST(LaneExchange, PermutesSeeExec) {
  for (const char* chip : {"gfx1151", "gfx942"}) {
    Bench b(chip, 64);
    const bool rdna = b.device->family == Family::rdna3;
    Wave& w = b.make("ds_bpermute_b32 v4, v1, v5 offset:4\n ds_permute_b32 v6, v7, v5");
    const std::uint64_t exec = ~(std::uint64_t{1} << 3 | std::uint64_t{1} << 40);
    w.set_scalar64(kExec, exec);
    for (int i = 0; i < 64; ++i) {
      w.row(1)[i] = static_cast<U>(4 * (i + 1));  // with the offset: two lanes on
      w.row(5)[i] = 1000 + static_cast<U>(i);
      w.row(7)[i] = static_cast<U>(4 * (i / 2)) + 4096;  // pairs of lanes to one: the later one stays
      w.row(4)[i] = w.row(6)[i] = 1;
    }
    ASSERT_TRUE(b.go());
    const int half = rdna ? 32 : 64;
    std::vector<U> sent(64);
    for (int i = 0; i < 64; ++i) {
      if ((exec >> i & 1) != 0) sent[(i / 2) % half + (i & ~(half - 1))] = 1000 + static_cast<U>(i);
    }
    for (int i = 0; i < 64; ++i) {
      const bool on = (exec >> i & 1) != 0;
      const int from = (i + 2) % half + (i & ~(half - 1));
      EXPECT_EQ(w.row(4)[i], !on ? 1u : (exec >> from & 1) == 0 ? 0u : 1000 + static_cast<U>(from)) << chip << i;
      EXPECT_EQ(w.row(6)[i], on ? sent[i] : 1u) << chip << ' ' << i;
    }
  }
}

TEST(LaneExchange, EverySwizzle) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "ds_swizzle_b32 v4, v1 offset:swizzle(QUAD_PERM, 3,1,0,2)\n ds_swizzle_b32 v5, v1 offset:swizzle(SWAP, 4)\n"
      "ds_swizzle_b32 v6, v1 offset:swizzle(REVERSE, 8)\n ds_swizzle_b32 v7, v1 offset:swizzle(BROADCAST, 16, 5)\n"
      "ds_swizzle_b32 v8, v1 offset:swizzle(BITMASK_PERM, \"01pip\")\n ds_swizzle_b32 v9, v1 offset:0xc060\n"
      "ds_swizzle_b32 v10, v1 offset:0xc461\n ds_swizzle_b32 v11, v1 offset:0xe000\n ds_swizzle_b32 v12, v1 "
      "offset:0xe01f\n"
      "ds_swizzle_b32 v13, v1 offset:0xe010");
  for (int i = 0; i < 64; ++i) w.row(1)[i] = static_cast<U>(i);
  ASSERT_TRUE(b.go());
  for (int i = 0; i < 64; ++i) {
    const int low = i & 31, block = i & 32;
    int reversed = 0;
    for (int k = 0; k < 5; ++k) reversed |= (low >> k & 1) << (4 - k);
    const int expected[] = {(i & ~3) + std::array{3, 1, 0, 2}[i & 3],
                            i ^ 4,
                            (i & ~7) + 7 - (i & 7),
                            (i & ~15) + 5,
                            block | 8 | ((low & 4) | (~low & 2) | (low & 1)),
                            block | ((low + 3) & 31),
                            block | (low & 1) | ((low - 3) & 30),
                            block | reversed,
                            i,
                            block | (reversed >> 1) | (low & 16)};
    for (int k = 0; k < 10; ++k)
      EXPECT_EQ(w.row(4 + k)[i], static_cast<U>(expected[k])) << "v" << 4 + k << " lane " << i;
  }
}

TEST(BufferOps, RawRangesAreCheckedByDwords) {
  for (const char* chip : {"gfx1151", "gfx942"}) {
    Bench b(chip, 64);
    const bool rdna = b.device->family == Family::rdna3;
    Wave& wave = b.make(rdna ? "buffer_load_b128 v[4:7], v1, s[8:11], s0 offen offset:4\n"
                               "buffer_store_b64 v[8:9], v1, s[8:11], s0 offen"
                             : "buffer_load_dwordx4 v[4:7], v1, s[8:11], s0 offen offset:4\n"
                               "buffer_store_dwordx2 v[8:9], v1, s[8:11], s0 offen");
    wave.set_scalar(0, 8);  // counts against the size
    wave.set_scalar64(8, b.address());
    wave.set_scalar(10, 48);
    wave.set_scalar(11, rdna ? 3u << 28 : 0);
    for (int i = 0; i < 64; ++i) {
      wave.row(1)[i] = i == 63 ? 0xffffffffu : static_cast<U>(4 * i);
      for (int k = 4; k < 8; ++k) wave.row(k)[i] = 7;
      for (int k = 8; k < 10; ++k) wave.row(k)[i] = 1;
    }
    ASSERT_TRUE(b.go()) << chip;
    for (int i = 0; i < 64; ++i) {
      for (int k = 0; k < 4; ++k) {
        const bool inside = 4 * i + 4 + 4 * k + 4 <= 40 && i < 63;
        EXPECT_EQ(wave.row(4 + k)[i], inside ? 103u + static_cast<U>(i + k) : 0u) << chip << i << ' ' << k;
      }
    }
    EXPECT_EQ(b.words[1], 101u);
    for (int k = 2; k < 12; ++k) EXPECT_EQ(b.words[k], 1u) << k;
    EXPECT_EQ(b.words[12], 112u);
  }
}

TEST(BufferOps, RecordsAndSwizzles) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "buffer_load_b32 v4, v1, s[8:11], 0 idxen offset:4\n buffer_load_b32 v5, v[6:7], s[12:15], 0 idxen offen\n"
      "buffer_atomic_add_u32 v8, v1, s[8:11], 0 idxen glc");
  w.set_scalar64(8, b.address() | std::uint64_t{16} << 48);  // records of 16 bytes, 5 of them, structured
  w.set_scalar(10, 5);
  w.set_scalar64(12, b.address() | std::uint64_t{8} << 48 | std::uint64_t{1} << 62);  // 4 bytes of 8 records in turn
  w.set_scalar(14, 16);
  for (int i = 0; i < 32; ++i) {
    w.row(1)[i] = static_cast<U>(i);
    w.row(6)[i] = static_cast<U>(i);
    w.row(7)[i] = 4;
    w.row(8)[i] = 1;
  }
  ASSERT_TRUE(b.go());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(w.row(4)[i], i < 5 ? 101u + static_cast<U>(4 * i) : 0u);
    EXPECT_EQ(w.row(5)[i], i < 16 ? 100u + static_cast<U>(i / 8 * 16 + 8 + i % 8) : 0u) << i;
    EXPECT_EQ(w.row(8)[i], i < 5 ? 100u + static_cast<U>(4 * i) : 0u);
  }
  EXPECT_EQ(b.words[16], 117u);
  EXPECT_EQ(b.words[20], 120u);
}

TEST(BufferOps, LoadsIntoLds) {
  Bench b("gfx942", 64);
  for (const char* text :
       {"buffer_load_dword v1, s[8:11], 0 offen offset:4 lds", "global_load_lds_ubyte v1, s[2:3] offset:16"}) {
    Wave& w = b.make(text);
    w.set_scalar64(8, b.address());
    w.set_scalar(10, 64);
    w.set_scalar(kM0, 256);
    w.set_scalar64(kExec, 0xffffffff);
    for (int i = 0; i < 64; ++i) w.row(1)[i] = static_cast<U>(4 * i);
    b.lds_word(260 + 4 * 20, 1);
    ASSERT_TRUE(b.go());
    for (int i = 0; i < 32; ++i) {
      const U value = static_cast<U>(i);
      if (std::string_view(text).starts_with("buffer")) {
        EXPECT_EQ(b.lds_word(260 + 4 * i), i < 15 ? 101 + value : 0);
      } else {
        EXPECT_EQ(b.lds_word(272 + 4 * i), 104 + value);
      }
    }
    EXPECT_EQ(b.lds_word(272 + 4 * 32), 0u);
  }
}

}  // namespace
}  // namespace wavetile::emu::testing
