// Memory instructions where they are subtle: what is out of range, what overlaps, what EXEC leaves out, how addresses
// of each kind are made, and what monitors are told.
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulator/memory.h"
#include "emulator/monitor.h"
#include "emulator/program.h"

namespace wavetile::emu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using U = std::uint32_t;

// A wave with 64 words of writable memory, whose address is in s[2:3] and, for each lane, in v[2:3].
struct Bench {
  explicit Bench(const char* chip, int lanes_ = 32, unsigned lds = 4096) : lanes(lanes_), lds_bytes(lds) {
    device = find_chip(chip);
    std::iota(words.begin(), words.end(), 100u);
    allocation = memory.add(words.data(), words.size() * 4, "words");
  }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(words.data()); }
  // Assembles, sets the addresses; then the state may be changed before go().
  Wave& make(const std::string& text) {
    fragment = make_fragment(*device, lanes, assemble(*device, lanes, text + "\ns_endpgm"), memory, lds_bytes, 64);
    Wave& w = fragment->wave();
    w.set_scalar64(2, address());
    for (int i = 0; i < lanes; ++i) {
      w.row(2)[i] = static_cast<U>(address());
      w.row(3)[i] = static_cast<U>(address() >> 32);
    }
    return w;
  }
  bool go() { return run_fragment(*fragment); }
  void lds_word(int at, U value) { std::memcpy(fragment->workgroup.lds.data() + at, &value, 4); }
  U lds_word(int at) const {
    U value = 0;
    std::memcpy(&value, fragment->workgroup.lds.data() + at, 4);
    return value;
  }
  // The report that ended the run; an empty one when there is none.
  Report report() const { return fragment->reports.empty() ? Report{} : fragment->reports[0]; }
  std::string kind() const { return report().kind; }

  const Chip* device;
  int lanes;
  unsigned lds_bytes;
  Memory memory;
  std::vector<U> words = std::vector<U>(64);
  const Allocation* allocation;
  std::unique_ptr<Fragment> fragment;
};

void by_four(Wave& w, int row) {
  for (int i = 0; i < w.lanes; ++i) w.row(row)[i] += static_cast<U>(4 * i);
}

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

TEST(ScalarMemory, OffsetsAlignmentAndTheNullRegister) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "s_load_b64 s[4:5], s[2:3], 0x9\n s_load_b32 s6, s[2:3], s0 offset:0x4\n s_load_b32 s7, s[8:9], -0x4\n"
      "s_load_b32 null, s[2:3], 0x0\n s_buffer_load_b128 s[16:19], s[12:15], 0x18");
  w.set_scalar(0, 16);
  w.set_scalar64(8, b.address() + 32);
  w.set_scalar64(12, b.address());
  w.set_scalar(14, 32);
  w.set_scalar(18, 1);
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.s[4], 102u);
  EXPECT_EQ(w.s[5], 103u);
  EXPECT_EQ(w.s[6], 105u);
  EXPECT_EQ(w.s[7], 107u);
  EXPECT_EQ(w.s[kNull], 0u);
  EXPECT_THAT(std::vector<U>(w.s.begin() + 16, w.s.begin() + 20), ElementsAre(106u, 107u, 0u, 0u));
}

// --- what a monitor is told

struct Recorder : Monitor {
  void access(Wave&, const Op&, const Access& a) override {
    accesses.push_back(a);
    addresses.emplace_back(a.address, a.address + 64);
  }
  bool stale() const override { return is_stale; }
  void read(Wave&, const Op&, const Access&, std::uint64_t, void* to, std::uint32_t bytes) override {
    std::memset(to, 0x11, bytes);
  }
  void wait(Wave&, const Op&, const Wait& w) override { waits.push_back({w.vm, w.vs, w.lgkm, w.exp}); }
  void cache(Wave&, const Op&, CacheOp op, bool sc0, bool sc1) override {
    caches.push_back(static_cast<int>(op) * 4 + (sc0 ? 1 : 0) + (sc1 ? 2 : 0));
  }
  void barrier_arrive(Wave&, const Op&) override { ++barriers; }
  bool is_stale = false;
  int barriers = 0;
  std::vector<Access> accesses;
  std::vector<std::vector<std::uint64_t>> addresses;
  std::vector<std::vector<int>> waits;
  std::vector<int> caches;
};

TEST(MonitorCalls, AccessesAreDescribedExactly) {
  Bench b("gfx1151");
  Recorder r;
  Wave& w = b.make(
      "global_load_d16_hi_b16 v4, v[2:3], off offset:6 glc\n ds_load_2addr_b64 v[4:7], v1 offset0:1 offset1:3\n"
      "global_atomic_add_u64 v[8:9], v[2:3], v[10:11], off glc slc\n scratch_store_b96 off, v[12:14], off offset:4\n"
      "s_load_b128 s[4:7], s[2:3], 0x20\n global_store_b8 v[2:3], v4, off dlc");
  w.set_scalar(kExec, 0x6);
  b.fragment->launch.monitor = &r;
  ASSERT_TRUE(b.go());
  ASSERT_EQ(r.accesses.size(), 7u);
  auto check = [&](std::size_t i, Space space, AccessKind kind, std::uint64_t mask, std::uint64_t at, U bytes,
                   int row) {
    const Access& a = r.accesses[i];
    EXPECT_EQ(a.space, space) << i;
    EXPECT_EQ(a.kind, kind) << i;
    EXPECT_EQ(a.mask, mask) << i;
    EXPECT_EQ(r.addresses[i][space == Space::constant ? 0 : 1], at) << i;
    EXPECT_EQ(a.bytes, bytes) << i;
    EXPECT_EQ(a.row, row) << i;
  };
  check(0, Space::global, AccessKind::load, 6, b.address() + 6, 2, 4);
  EXPECT_EQ(r.accesses[0].half, Half::high);
  EXPECT_EQ(r.accesses[6].half, Half::low);
  EXPECT_TRUE(r.accesses[0].glc && !r.accesses[0].slc && !r.accesses[0].returns);
  check(1, Space::lds, AccessKind::load, 6, 8, 8, 4);
  check(2, Space::lds, AccessKind::load, 6, 24, 8, 6);
  check(3, Space::global, AccessKind::atomic, 6, b.address(), 8, 8);
  EXPECT_TRUE(r.accesses[3].returns && r.accesses[3].glc && r.accesses[3].slc);
  check(4, Space::scratch, AccessKind::store, 6, 4, 12, 12);
  check(5, Space::constant, AccessKind::load, 1, b.address() + 32, 16, 4);
  check(6, Space::global, AccessKind::store, 6, b.address(), 1, 4);
  EXPECT_TRUE(r.accesses[6].dlc);
}

TEST(MonitorCalls, StaleReadsReplaceMemory) {
  Bench b("gfx1151");
  Recorder r;
  r.is_stale = true;
  Wave& w = b.make("global_load_b64 v[4:5], v[2:3], off\n s_load_b64 s[4:5], s[2:3], 0\n ds_load_b32 v6, v1");
  b.fragment->launch.monitor = &r;
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.row(5)[31], 0x11111111u);
  EXPECT_EQ(w.s[5], 0x11111111u);
  EXPECT_EQ(w.row(6)[0], 0u);
}

TEST(MonitorCalls, LdsOutOfBoundsIsReported) {
  Bench b("gfx1151", 32, 64);
  Recorder r;
  Wave& w = b.make("ds_load_b32 v4, v1");
  w.row(1)[9] = 61;
  b.fragment->launch.monitor = &r;
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "lds-out-of-bounds");
  EXPECT_EQ(b.report().lane, 9);
  EXPECT_TRUE(r.accesses.empty());
}

TEST(MonitorCalls, WaitsAreDecoded) {
  Recorder rdna, cdna;
  Bench b("gfx1151"), c("gfx942", 64);
  b.make(
      "s_waitcnt vmcnt(5)\n s_waitcnt lgkmcnt(0) expcnt(2)\n s_waitcnt_vscnt null, 0x3\n s_waitcnt_vmcnt null, 0x0\n"
      "s_wait_idle\n s_barrier\n buffer_gl0_inv\n s_dcache_inv");
  b.fragment->launch.monitor = &rdna;
  ASSERT_TRUE(b.go());
  EXPECT_THAT(rdna.waits, ElementsAre(ElementsAre(5, -1, -1, -1), ElementsAre(-1, -1, 0, 2), ElementsAre(-1, 3, -1, -1),
                                      ElementsAre(0, -1, -1, -1), ElementsAre(0, 0, 0, 0)));
  EXPECT_THAT(rdna.caches,
              ElementsAre(static_cast<int>(CacheOp::gl0_inv) * 4, static_cast<int>(CacheOp::dcache_inv) * 4));
  EXPECT_EQ(rdna.barriers, 1);
  c.make("s_waitcnt vmcnt(37) lgkmcnt(4)\n s_waitcnt vmcnt(63)\n buffer_inv sc1\n buffer_wbl2 sc0 sc1");
  c.fragment->launch.monitor = &cdna;
  ASSERT_TRUE(c.go());
  EXPECT_THAT(cdna.waits, ElementsAre(ElementsAre(37, -1, 4, -1), ElementsAre(-1, -1, -1, -1)));
  EXPECT_THAT(cdna.caches, ElementsAre(static_cast<int>(CacheOp::buffer_inv) * 4 + 2,
                                       static_cast<int>(CacheOp::buffer_wbl2) * 4 + 3));
}

// --- MODE and messages

TEST(HardwareRegisters, ModeIsReadAndWrittenByFields) {
  Bench b("gfx1151");
  Wave& w = b.make(
      "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 2, 2), 3\n s_round_mode 0x9\n s_denorm_mode 0x4\n"
      "s_getreg_b32 s4, hwreg(HW_REG_MODE, 0, 8)\n s_mov_b32 s5, 0xff\n s_setreg_b32 hwreg(HW_REG_MODE, 4, 2), s5\n"
      "s_getreg_b32 s6, hwreg(HW_REG_MODE, 4, 4)\n s_getreg_b32 s7, hwreg(HW_REG_SH_MEM_BASES)");
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.s[4], 0x49u);
  EXPECT_EQ(w.s[6], 0x7u);
  EXPECT_EQ(w.mode.round32, 1);
  EXPECT_EQ(w.mode.round64, 2);
  EXPECT_EQ(w.mode.denorm32, 3);
  EXPECT_EQ(w.mode.denorm64, 1);
  EXPECT_FALSE(w.mode_plain);
  EXPECT_TRUE(w.mode.ieee);
  EXPECT_EQ(w.s[7], 0x01000200u);
}

TEST(HardwareRegisters, WhatIsNotEmulatedStopsTheWave) {
  for (const auto& [text, kind] : {std::pair{"s_setreg_imm32_b32 hwreg(HW_REG_MODE, 23, 1), 1", "unsupported-mode"},
                                   {"s_getreg_b32 s0, hwreg(HW_REG_TRAPSTS)", "unknown-instruction"},
                                   {"s_sendmsg sendmsg(MSG_INTERRUPT)", "unknown-instruction"},
                                   {"s_sethalt 1", "halt"},
                                   {"s_trap 2", "trap"},
                                   {"s_code_end", "code-end"},
                                   {"s_mov_b64 s[4:5], 0x40\n s_setpc_b64 s[4:5]", "bad-jump"}}) {
    Bench b("gfx1151");
    b.make(text);
    EXPECT_FALSE(b.go()) << text;
    EXPECT_EQ(b.kind(), kind) << text;
  }
  Bench b("gfx1151");
  b.make("s_trap 3\n s_sendmsg sendmsg(MSG_DEALLOC_VGPRS)");
  EXPECT_TRUE(b.go());
}

TEST(ControlOps, CallsComeBack) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "s_mov_b32 s4, 0\n s_call_b64 s[6:7], 6\n s_add_u32 s4, s4, 16\n s_getpc_b64 s[8:9]\n s_add_u32 s8, s8, 16\n"
      "s_addc_u32 s9, s9, 0\n s_swappc_b64 s[6:7], s[8:9]\n s_branch 2\n"
      "s_add_u32 s4, s4, 1\n s_setpc_b64 s[6:7]\n s_nop 0");
  ASSERT_TRUE(b.go());
  EXPECT_EQ(w.s[4], 18u);
}

TEST(ControlOps, BranchesLookAtTheWavesLanesOnly) {
  for (const int lanes : {32, 64}) {
    Bench b("gfx1151", lanes);
    Wave& w = b.make("s_mov_b32 s4, 1\n s_cbranch_vccz 1\n s_mov_b32 s4, 2\n s_nop 0");
    w.set_scalar(kVcc + 1, 1);
    ASSERT_TRUE(b.go());
    EXPECT_EQ(w.s[4], lanes == 32 ? 1u : 2u);
  }
}

TEST(RegisterIndex, ShiftsMovesUntilItIsOff) {
  Bench b("gfx942", 64);
  Wave& w = b.make(
      "s_set_gpr_idx_on s0, gpr_idx(SRC0)\n v_mov_b32 v4, v10\n s_set_gpr_idx_idx s1\n v_mov_b32 v5, v10\n"
      "s_set_gpr_idx_off\n v_mov_b32 v6, v10\n s_set_gpr_idx_on s0, gpr_idx(DST)\n v_mov_b32 v20, v4\n"
      "s_set_gpr_idx_off\n s_set_gpr_idx_on s2, gpr_idx(SRC0)\n v_mov_b32 v7, v10");
  w.set_scalar(0, 3);
  w.set_scalar(1, 1);
  w.set_scalar(2, 250);
  for (int k = 10; k < 24; ++k) w.row(k)[63] = static_cast<U>(k);
  EXPECT_FALSE(b.go());
  EXPECT_EQ(b.kind(), "register-out-of-range");
  EXPECT_EQ(w.row(4)[63], 13u);
  EXPECT_EQ(w.row(5)[63], 11u);
  EXPECT_EQ(w.row(6)[63], 10u);
  EXPECT_EQ(w.row(20)[63], 20u);
  EXPECT_EQ(w.row(23)[63], 13u);
}

}  // namespace
}  // namespace wavetile::emu
