// Which lane reads which, from the assembly: the instructions that cross lanes are played through as LLVM spells them.
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "codegen/compile.h"
#include "codegen/testing/amdgpu_probe.h"
#include "tests/support/asm.h"

namespace wavetile {
namespace {

using Lanes = std::vector<int>;  // of each lane: the lane it has its value from

// The lane that lane l reads by a swizzle, spelt swizzle(SWAP,16), swizzle(BITMASK_PERM,"01pip"), ...
std::optional<int> swizzled(const std::string& line, int l) {
  std::smatch m;
  if (std::regex_search(line, m, std::regex("swizzle\\(SWAP,(\\d+)\\)"))) return l ^ std::stoi(m[1]);
  if (std::regex_search(line, m, std::regex("swizzle\\(REVERSE,(\\d+)\\)"))) return l ^ (std::stoi(m[1]) - 1);
  if (std::regex_search(line, m, std::regex("swizzle\\(BROADCAST,(\\d+),(\\d+)\\)")))
    return (l & ~(std::stoi(m[1]) - 1)) + std::stoi(m[2]);
  if (!std::regex_search(line, m, std::regex("swizzle\\(BITMASK_PERM, ?\"([01pi]{5})\"\\)"))) return {};
  int from = l;
  for (int bit = 0; bit < 5; ++bit) {
    char c = m[1].str()[static_cast<size_t>(4 - bit)];
    if (c == '0') from &= ~(1 << bit);
    if (c == '1') from |= 1 << bit;
    if (c == 'i') from ^= 1 << bit;
  }
  return from;
}

// The lane that lane l reads by one instruction; nothing where it does not cross lanes, or is one that looks at a
// register (ds_bpermute).
std::optional<int> source(const std::string& line, int l, const std::map<std::string, uint32_t>& scalars) {
  std::smatch m;
  if (std::regex_search(line, m, std::regex("quad_perm:\\[(\\d),(\\d),(\\d),(\\d)\\]")))
    return (l & ~3) + std::stoi(m[1 + static_cast<size_t>(l & 3)]);
  if (std::regex_search(line, m, std::regex("dpp8:\\[([0-7,]+)\\]")))
    return (l & ~7) + (m[1].str()[2 * static_cast<size_t>(l & 7)] - '0');
  if (std::regex_search(line, m, std::regex("row_xmask:(\\d+)"))) return l ^ std::stoi(m[1]);
  if (std::regex_search(line, m, std::regex("row_ror:(\\d+)"))) return (l & ~15) + ((l - std::stoi(m[1])) & 15);
  if (line.find("row_half_mirror") != std::string::npos) return l ^ 7;
  if (line.find("row_mirror") != std::string::npos) return l ^ 15;
  if (std::regex_search(line, m, std::regex("^v_permlane(x?)16_b32 v\\d+, v\\d+, (\\w+), (\\w+)"))) {
    std::string half = l & 8 ? m[3] : m[2];
    uint32_t select = scalars.contains(half) ? scalars.at(half) : static_cast<uint32_t>(std::stoll(half, nullptr, 0));
    return ((l & ~15) ^ (m[1].length() ? 16 : 0)) + static_cast<int>(select >> 4 * (l & 7) & 15);
  }
  if (std::regex_search(line, m, std::regex("^v_readlane_b32 \\w+, \\w+, (\\w+)")))
    return scalars.contains(m[1]) ? static_cast<int>(scalars.at(m[1])) : std::stoi(m[1]);
  if (std::regex_search(line, m, std::regex("^v_readfirstlane"))) return 0;
  if (line.rfind("ds_swizzle", 0) == 0) return swizzled(line, l);
  return {};
}

void expect_shuffle(const std::string& chip, const std::vector<int>& bases, int offset, bool may_fetch) {
  std::string code = instructions_of(shuffle_assembly(chip, bases, offset), "shuffle");
  SCOPED_TRACE(code);
  expect_no_shared_memory(code);
  if (count_cross_lane(code).bpermute) {
    EXPECT_TRUE(may_fetch);
    return;
  }
  int lanes = 1 << bases.size();
  Lanes from;
  for (int l = 0; l < lanes; ++l) from.push_back(l);
  std::map<std::string, uint32_t> scalars;
  std::istringstream in(code);
  for (std::string line; std::getline(in, line);) {
    std::smatch m;
    if (std::regex_search(line, m, std::regex("^s_mov(k_i32|_b32) (\\w+), (-?\\w+)")) && m[3].str()[0] != 'e')
      scalars[m[2]] = static_cast<uint32_t>(std::stoll(m[3], nullptr, 0));
    if (!source(line, 0, scalars)) continue;
    Lanes next;
    for (int l = 0; l < lanes; ++l) next.push_back(from.at(static_cast<size_t>(source(line, l, scalars).value())));
    from = next;
  }
  for (int l = 0; l < lanes; ++l) {
    int expected = offset;
    for (size_t i = 0; i < bases.size(); ++i)
      if (l >> i & 1) expected ^= bases[i];
    ASSERT_EQ(from[static_cast<size_t>(l)], expected) << "lane " << l;
  }
}

class Shuffle : public ::testing::TestWithParam<const char*> {
 protected:
  int lanes() const { return caps_of(*amdgpu_target(GetParam())).lanes; }
  std::vector<int> unit() const {
    std::vector<int> b;
    for (int i = 1; i < lanes(); i *= 2) b.push_back(i);
    return b;
  }
};
INSTANTIATE_TEST_SUITE_P(Amdgpu, Shuffle, ::testing::Values("gfx90a", "gfx942", "gfx1100", "gfx1151", "gfx1201"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Shuffle, ExchangesByEachMask) {
  // Only the two halves of a wave of 64 take the crossbar.
  for (int mask = 1; mask < lanes(); ++mask) expect_shuffle(GetParam(), unit(), mask, mask >= 32);
}
TEST_P(Shuffle, OneLaneForAll) {
  for (int l = 0; l < lanes(); l += 7) expect_shuffle(GetParam(), std::vector<int>(unit().size(), 0), l, false);
}
TEST_P(Shuffle, AnyMapInsideQuadsEightsAndRows) {
  std::mt19937 random(20240607);
  for (int bits : {2, 3, 4})
    for (int i = 0; i < 20; ++i) {
      std::vector<int> bases = unit();
      for (int k = 0; k < bits; ++k) bases[static_cast<size_t>(k)] = static_cast<int>(random() % (1U << bits));
      bool gfx9 = lanes() == 64;
      expect_shuffle(GetParam(), bases, static_cast<int>(random() % (1U << bits)), gfx9 && bits > 2);
    }
}
TEST_P(Shuffle, DroppedBitsReadOneLaneOfTheirGroup) {
  for (int dropped = 1; dropped < 32; ++dropped) {
    std::vector<int> bases = unit();
    for (int& x : bases)
      if (x & dropped) x = 0;
    expect_shuffle(GetParam(), bases, dropped & 21, false);
  }
}

}  // namespace
}  // namespace wavetile
