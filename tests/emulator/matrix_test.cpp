// Matrix instructions against sums over elements, each looked up where AMD's documents place it. The numbers are small
// integers, so that every order of summation gives the same.
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/program.h"

namespace wavetile::emu {
namespace {

constexpr int kA = 64, kB = 96, kC = 128, kIndex = 200;  // first registers; D begins at 0

struct Format {
  int bits;
  std::array<std::uint64_t, 4> codes;  // of 0, 1, 2, 3
  std::uint64_t encode(int v) const {
    const std::uint64_t code = codes[static_cast<std::size_t>(std::abs(v))];
    const std::uint64_t sign = std::uint64_t{1} << (bits - 1);
    return v >= 0 ? code : integer() ? (~code + 1) & (2 * sign - 1) : code | sign;
  }
  bool integer() const { return codes[1] == 1; }
};

const std::map<std::string, Format> kFormats{
    {"f64", {64, {0, 0x3ff0000000000000, 0x4000000000000000, 0x4008000000000000}}},
    {"f32", {32, {0, 0x3f800000, 0x40000000, 0x40400000}}},
    {"xf32", {32, {0, 0x3f800000, 0x40000000, 0x40400000}}},
    {"f16", {16, {0, 0x3c00, 0x4000, 0x4200}}},
    {"bf16", {16, {0, 0x3f80, 0x4000, 0x4040}}},
    {"i8", {8, {0, 1, 2, 3}}},
    {"i4", {4, {0, 1, 2, 3}}},
    {"fp8", {8, {0, 0x40, 0x48, 0x4c}}},
    {"bf8", {8, {0, 0x40, 0x44, 0x46}}},
};

// Element `at` of a lane's registers, `bits` wide.
void store(Wave& w, int reg, int lane, int at, int bits, std::uint64_t code) {
  if (bits == 64) {
    w.row(reg + 2 * at)[lane] = static_cast<std::uint32_t>(code);
    w.row(reg + 2 * at + 1)[lane] = static_cast<std::uint32_t>(code >> 32);
    return;
  }
  const int per_word = 32 / bits, shift = at % per_word * bits;
  std::uint32_t& word = w.row(reg + at / per_word)[lane];
  const auto mask = static_cast<std::uint32_t>(((std::uint64_t{1} << bits) - 1) << shift);
  word = (word & ~mask) | static_cast<std::uint32_t>(code << shift);
}

std::string registers(int first, int count) {
  return count == 1 ? fmt::format("v{}", first) : fmt::format("v[{}:{}]", first, first + count - 1);
}

// Values by lane and element within the lane: of A and B.
using Values = std::vector<std::vector<int>>;
Values fill(Wave& w, int reg, const Format& f, int lanes, int per_lane, std::mt19937& random) {
  Values values(static_cast<std::size_t>(lanes), std::vector<int>(static_cast<std::size_t>(per_lane)));
  for (int lane = 0; lane < lanes; ++lane) {
    for (int at = 0; at < per_lane; ++at) {
      const int v = static_cast<int>(random() % 7) - 3;
      values[static_cast<std::size_t>(lane)][static_cast<std::size_t>(at)] = v;
      store(w, reg, lane, at, f.bits, f.encode(v));
    }
  }
  return values;
}
int get(const Values& v, int lane, int at) { return v[static_cast<std::size_t>(lane)][static_cast<std::size_t>(at)]; }

// A result as it lies in a register: f64's two words, f32, i32.
double load(const Wave& w, const std::string& format, int reg, int lane) {
  if (format == "f64") return std::bit_cast<double>(w.row(reg)[lane] | std::uint64_t{w.row(reg + 1)[lane]} << 32);
  if (format == "i32") return static_cast<std::int32_t>(w.row(reg)[lane]);
  return std::bit_cast<float>(w.row(reg)[lane]);
}
void store_sum(Wave& w, const std::string& format, int reg, int lane, int v) {
  if (format == "f64") return store(w, reg, lane, 0, 64, std::bit_cast<std::uint64_t>(static_cast<double>(v)));
  w.row(reg)[lane] =
      format == "i32" ? static_cast<std::uint32_t>(v) : std::bit_cast<std::uint32_t>(static_cast<float>(v));
}

std::unique_ptr<Fragment> fragment(const char* chip_name, int lanes, const std::string& text, Memory& memory) {
  const Chip& chip = *find_chip(chip_name);
  return make_fragment(chip, lanes, assemble(chip, lanes, text + "\ns_endpgm"), memory);
}

void run(Fragment& f, const std::string& text) {
  // MFMA does not look at EXEC.
  f.wave().set_scalar(kExec, 5);
  const bool done = run_fragment(f);
  ASSERT_TRUE(done) << text << (f.reports.empty() ? "" : f.reports[0].text);
}

// --- MFMA

struct Product {
  std::string sums, a, b;
  int m, k, blocks;
};

std::string mnemonic(const Product& p) {
  const std::string count = p.blocks > 1 ? fmt::format("_{}b", p.blocks) : "";
  const bool both = p.a == "fp8" || p.a == "bf8";
  return fmt::format("v_mfma_{}_{}x{}x{}{}_{}{}", p.sums, p.m, p.m, p.k, count, p.a, both ? "_" + p.b : "");
}

// Register and lane of row i, column j.
std::pair<int, int> sum_place(const Product& p, int block, int i, int j) {
  if (p.sums == "f64")
    return p.m == 16 ? std::pair{2 * (i / 4), 16 * (i % 4) + j} : std::pair{0, 16 * i + 4 * block + j};
  if (p.m == 32) return {16 * block + 4 * (i / 8) + i % 4, 32 * (i / 4 % 2) + j};
  if (p.m == 16) return {4 * block + i % 4, 16 * (i / 4) + j};
  return {i, 4 * block + j};
}

int blgp_lane(int lane, int blgp) {
  const int first[] = {0, 0, 32, 0, 0, 16, 32, 48};
  if (blgp == 0) return lane;
  if (blgp == 3) return (lane + 16) % 64;
  return lane % (blgp < 3 ? 32 : 16) + first[blgp];
}

void check_mfma(const Product& p, int cbsz, int abid, int blgp, int signs) {
  const Format &fa = kFormats.at(p.a), &fb = kFormats.at(p.b);
  const int per_lane = p.m * p.k * p.blocks / 64, words = std::max(1, per_lane * fa.bits / 32);
  const int results = p.m * p.m * p.blocks / 64 * (p.sums == "f64" ? 2 : 1);
  std::string text = fmt::format("{} {}, {}, {}, {}", mnemonic(p), registers(0, results), registers(kA, words),
                                 registers(kB, words), registers(kC, results));
  if (cbsz) text += fmt::format(" cbsz:{} abid:{}", cbsz, abid);
  if (blgp) text += fmt::format(" blgp:{}", blgp);
  if (signs) text += fmt::format(" neg:[{},{},{}]", signs & 1, signs >> 1 & 1, signs >> 2);
  SCOPED_TRACE(text);
  Memory memory;
  auto f = fragment("gfx942", 64, text, memory);
  Wave& w = f->wave();
  std::mt19937 random(3);
  const Values a = fill(w, kA, fa, 64, per_lane, random), b = fill(w, kB, fb, 64, per_lane, random);
  for (int reg = 0; reg < results; reg += p.sums == "f64" ? 2 : 1) {
    for (int lane = 0; lane < 64; ++lane) store_sum(w, p.sums, kC + reg, lane, reg * 64 + lane);
  }
  run(*f, text);
  for (int block = 0; block < p.blocks; ++block) {
    const int source = block / (1 << cbsz) * (1 << cbsz) + abid;
    for (int i = 0; i < p.m; ++i) {
      for (int j = 0; j < p.m; ++j) {
        const auto [reg, lane] = sum_place(p, block, i, j);
        int expected = (reg * 64 + lane) * (signs & 4 ? -1 : 1);
        for (int k = 0; k < p.k; ++k) {
          const int group = k / per_lane, at = k % per_lane;
          const int x = get(a, i + p.m * (source + p.blocks * group), at);
          const int y = get(b, blgp_lane(j + p.m * (block + p.blocks * group), blgp), at);
          expected += x * y * (signs & 1 ? -1 : 1) * (signs & 2 ? -1 : 1);
        }
        ASSERT_EQ(load(w, p.sums, reg, lane), expected) << "block " << block << " row " << i << " column " << j;
      }
    }
  }
}

std::vector<Product> products() {
  std::vector<Product> all;
  for (const auto& [m, k, blocks] : {std::array{32, 1, 2}, {16, 1, 4}, {4, 1, 16}, {32, 2, 1}, {16, 4, 1}}) {
    all.push_back({"f32", "f32", "f32", m, k, blocks});
  }
  for (const char* type : {"f16", "bf16"}) {
    for (const auto& [m, k, blocks] : {std::array{32, 4, 2}, {16, 4, 4}, {4, 4, 16}, {32, 8, 1}, {16, 16, 1}}) {
      all.push_back({"f32", type, type, m, k, blocks});
    }
  }
  for (const auto& [m, k, blocks] : {std::array{32, 4, 2}, {16, 4, 4}, {4, 4, 16}, {32, 16, 1}, {16, 32, 1}}) {
    all.push_back({"i32", "i8", "i8", m, k, blocks});
  }
  for (const auto& [m, k] : {std::array{32, 16}, {16, 32}}) {
    for (const char* a : {"fp8", "bf8"}) {
      for (const char* b : {"fp8", "bf8"}) all.push_back({"f32", a, b, m, k, 1});
    }
  }
  all.push_back({"f32", "xf32", "xf32", 32, 4, 1});
  all.push_back({"f32", "xf32", "xf32", 16, 8, 1});
  return all;
}

TEST(Mfma, Layouts) {
  for (const Product& p : products()) check_mfma(p, 0, 0, 0, 0);
  check_mfma({"f64", "f64", "f64", 16, 4, 1}, 0, 0, 0, 0);
  check_mfma({"f64", "f64", "f64", 4, 4, 4}, 0, 0, 0, 0);
}

TEST(Mfma, BlocksAndLanesAreBroadcast) {
  for (const Product& p : products()) {
    for (int cbsz = 1; 1 << cbsz <= p.blocks; ++cbsz) check_mfma(p, cbsz, (1 << cbsz) - 1, 0, 0);
    for (int blgp = 1; blgp < 8; ++blgp) check_mfma(p, 0, 0, blgp, 0);
  }
}

TEST(Mfma, SignsOfDoubles) {
  for (int signs = 1; signs < 8; ++signs) check_mfma({"f64", "f64", "f64", 16, 4, 1}, 0, 0, 0, signs);
}

// --- SMFMAC

void check_smfmac(const Product& p, int cbsz, int abid) {
  const Format &fa = kFormats.at(p.a), &fb = kFormats.at(p.b);
  const int per_lane = p.m * p.k / 64, stored = per_lane / 2, results = p.m * p.m / 64;
  std::string text = mnemonic(p).replace(2, 4, "smfmac") +
                     fmt::format(" {}, {}, {}, v{}", registers(0, results), registers(kA, 2), registers(kB, 4), kIndex);
  if (cbsz) text += fmt::format(" cbsz:{}", cbsz);
  if (abid) text += fmt::format(" abid:{}", abid);
  SCOPED_TRACE(text);
  Memory memory;
  auto f = fragment("gfx942", 64, text, memory);
  Wave& w = f->wave();
  std::mt19937 random(4);
  const Values a = fill(w, kA, fa, 64, stored, random), b = fill(w, kB, fb, 64, per_lane, random);
  for (int lane = 0; lane < 64; ++lane) {
    w.row(kIndex)[lane] = static_cast<std::uint32_t>(random());
    for (int reg = 0; reg < results; ++reg) store_sum(w, p.sums, reg, lane, reg * 64 + lane);
  }
  run(*f, text);
  const int first = cbsz == 0 ? abid * stored * 2 : 0;
  for (int i = 0; i < p.m; ++i) {
    for (int j = 0; j < p.m; ++j) {
      const auto [reg, lane] = sum_place(p, 0, i, j);
      int expected = reg * 64 + lane;
      for (int four = 0; four < p.k / 4; ++four) {
        for (int which = 0; which < 2; ++which) {
          const int holder = i + p.m * (four * 4 / per_lane), at = four * 4 % per_lane / 2 + which;
          const int k = four * 4 + static_cast<int>(w.row(kIndex)[holder] >> (first + 2 * at) & 3);
          expected += get(a, holder, at) * get(b, j + p.m * (k / per_lane), k % per_lane);
        }
      }
      ASSERT_EQ(load(w, p.sums, reg, lane), expected) << "row " << i << " column " << j;
    }
  }
}

TEST(Smfmac, LayoutsAndIndices) {
  std::vector<Product> all;
  for (const char* type : {"f16", "bf16"}) {
    all.push_back({"f32", type, type, 16, 32, 1});
    all.push_back({"f32", type, type, 32, 16, 1});
  }
  all.push_back({"i32", "i8", "i8", 16, 64, 1});
  all.push_back({"i32", "i8", "i8", 32, 32, 1});
  for (const char* a : {"fp8", "bf8"}) {
    for (const char* b : {"fp8", "bf8"}) {
      all.push_back({"f32", a, b, 16, 64, 1});
      all.push_back({"f32", a, b, 32, 32, 1});
    }
  }
  for (const Product& p : all) {
    check_smfmac(p, 0, 0);
    check_smfmac(p, 0, 1);
    check_smfmac(p, 1, 1);
    if (p.a == "f16") check_smfmac(p, 0, 3);
  }
}

// --- WMMA

struct Wmma {
  std::string sums, type;  // of the name
  std::string format;      // of the factors
};

void check_wmma(const Wmma& p, int lanes, bool upper, bool is_signed) {
  const Format& f = kFormats.at(p.format);
  const int words = 16 * f.bits / 32, rows = lanes / 16, results = 16 / rows;
  std::string text = fmt::format("v_wmma_{}_16x16x16_{} {}, {}, {}, {}", p.sums, p.type, registers(0, results),
                                 registers(kA, words), registers(kB, words), registers(kC, results));
  if (upper) text += " op_sel:[0,0,1]";
  if (is_signed) text += " neg_lo:[1,1,0]";
  SCOPED_TRACE(text);
  Memory memory;
  auto fr = fragment("gfx1151", lanes, text, memory);
  Wave& w = fr->wave();
  std::mt19937 random(5);
  Values a = fill(w, kA, f, 16, 16, random), b = fill(w, kB, f, 16, 16, random);
  for (int reg = 0; reg < words; ++reg) {
    for (int lane = 16; lane < lanes; ++lane) {
      w.row(kA + reg)[lane] = w.row(kA + reg)[lane % 16];
      w.row(kB + reg)[lane] = w.row(kB + reg)[lane % 16];
    }
  }
  const bool half = p.sums == "f16" || p.sums == "bf16";
  for (int reg = 0; reg < results; ++reg) {
    for (int lane = 0; lane < lanes; ++lane) {
      w.row(reg)[lane] = 0x12345678;
      const int c = (reg + lane) % 4;
      if (half) {
        w.row(kC + reg)[lane] = static_cast<std::uint32_t>(kFormats.at(p.sums).encode(c)) << (upper ? 16 : 0);
      } else {
        store_sum(w, p.sums, kC + reg, lane, c);
      }
    }
  }
  run(*fr, text);
  const auto value = [&](const Values& v, int lane, int k) {
    const int x = get(v, lane, k);
    return f.integer() && !is_signed && x < 0 ? x + (1 << f.bits) : x;
  };
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
      const int reg = i / rows, lane = i % rows * 16 + j;
      int expected = (reg + lane) % 4;
      for (int k = 0; k < 16; ++k) expected += value(a, i, k) * value(b, j, k);
      const std::uint32_t word = w.row(reg)[lane];
      double got = load(w, p.sums, reg, lane);
      if (half) {
        ASSERT_EQ(upper ? word & 0xffff : word >> 16, upper ? 0x5678u : 0x1234u) << "the other half";
        const std::uint32_t code = upper ? word >> 16 : word & 0xffff;
        const int exponent = static_cast<int>(code >> 10 & 31), fraction = static_cast<int>(code & 0x3ff);
        got = p.sums == "bf16" ? std::bit_cast<float>(code << 16)
                               : std::ldexp(exponent ? fraction + 1024 : fraction, (exponent ? exponent : 1) - 25) *
                                     (code >> 15 ? -1 : 1);
      }
      ASSERT_EQ(got, expected) << "row " << i << " column " << j;
    }
  }
}

TEST(Wmma, Layouts) {
  for (const int lanes : {32, 64}) {
    check_wmma({"f32", "f16", "f16"}, lanes, false, false);
    check_wmma({"f32", "bf16", "bf16"}, lanes, false, false);
    for (const bool upper : {false, true}) {
      check_wmma({"f16", "f16", "f16"}, lanes, upper, false);
      check_wmma({"bf16", "bf16", "bf16"}, lanes, upper, false);
    }
    for (const bool is_signed : {false, true}) {
      check_wmma({"i32", "iu8", "i8"}, lanes, false, is_signed);
      check_wmma({"i32", "iu4", "i4"}, lanes, false, is_signed);
    }
  }
}

TEST(Wmma, IntegersWrapOrSaturate) {
  for (const auto& [modifier, expected] : {std::pair{"", 0x7fffffffu + 16 * 9}, {" clamp", 0x7fffffffu}}) {
    const std::string text =
        std::string("v_wmma_i32_16x16x16_iu8 v[0:7], v[64:67], v[64:67], v[0:7] neg_lo:[1,1,0]") + modifier;
    Memory memory;
    auto f = fragment("gfx1151", 32, text, memory);
    Wave& w = f->wave();
    for (int lane = 0; lane < 32; ++lane) {
      for (int reg = 0; reg < 8; ++reg) w.row(reg)[lane] = 0x7fffffff;
      for (int reg = 0; reg < 4; ++reg) w.row(kA + reg)[lane] = 0xfdfdfdfd;  // -3
    }
    run(*f, text);
    EXPECT_EQ(w.row(7)[31], expected) << text;
  }
}

// D over A, signs of A's odd k and of C, a constant C.
TEST(Wmma, OverlapAndSigns) {
  Memory memory;
  const std::string text =
      "v_wmma_f32_16x16x16_f16 v[0:7], v[0:7], v[8:15], v[16:23] neg_lo:[0,0,1] neg_hi:[1,0,1]\n"
      "v_wmma_f32_16x16x16_f16 v[24:31], v[8:15], v[8:15], 1.0";
  auto f = fragment("gfx1151", 32, text, memory);
  Wave& w = f->wave();
  for (int lane = 0; lane < 32; ++lane) {
    for (int reg = 0; reg < 8; ++reg) {
      w.row(reg)[lane] = 0x3c004000;       // 2, 1
      w.row(8 + reg)[lane] = 0x3c003c00;   // 1, 1
      w.row(16 + reg)[lane] = 0xc0400000;  // -3
    }
  }
  run(*f, text);
  EXPECT_EQ(std::bit_cast<float>(w.row(0)[0]), 8 * (2 - 1) - 3);
  EXPECT_EQ(std::bit_cast<float>(w.row(7)[31]), 8 * (2 - 1) - 3);
  EXPECT_EQ(std::bit_cast<float>(w.row(24)[0]), 17);
}

}  // namespace
}  // namespace wavetile::emu
