// Places in shared memory: every element has one of its own, accesses are as wide as they are said to be, and the lanes
// that one pass serves meet in no bank.
#include "codegen/swizzle.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "dsl/error.h"

namespace wavetile {
namespace {

// A layout of a tile of 2^bits elements of two axes: bit i of the list goes to the registers, lanes or warps.
Layout layout_of(const std::vector<std::pair<int, int>>& bits, int reg, int lane, std::vector<int> reps = {1, 1}) {
  Layout l{{0, 1}, std::move(reps), {1, 1}, {}, {}, {}};
  for (size_t i = 0; i < bits.size(); ++i) {
    auto [axis, value] = bits[i];
    Coord c(2, 0);
    if (axis >= 0) {
      c[static_cast<size_t>(axis)] = value;
      l.block[static_cast<size_t>(axis)] *= 2;
    }
    (static_cast<int>(i) < reg ? l.reg : static_cast<int>(i) < reg + lane ? l.lane : l.warp).push_back(c);
  }
  return l;
}

// Cycles beyond one a pass: 32 banks of 4 bytes, as many consecutive lanes as fill them, a dword read once for all.
int conflicts(const Swizzle& s, const Layout& l, int size) {
  const int lanes = 1 << l.lane.size(), served = std::min(lanes, 128 / std::max(4, size * s.vector));
  int cycles = 0;
  for (int w = 0; w < 1 << l.warp.size(); ++w)
    for (int r = 0; r < l.registers(); ++r) {
      if (s.place(l.at(r, 0, 0)) % s.vector) continue;
      for (int first = 0; first < lanes; first += served) {
        std::map<int, std::set<int>> banks;
        for (int lane = first; lane < first + served; ++lane)
          for (int byte = 0; byte < size * s.vector; byte += std::min(4, size * s.vector)) {
            int dword = (s.place(l.at(r, lane, w)) * size + byte) / 4;
            banks[dword % 32].insert(dword);
          }
        size_t most = 0;
        for (const auto& [bank, dwords] : banks) most = std::max(most, dwords.size());
        cycles += static_cast<int>(most) - 1;
      }
    }
  return cycles;
}

void check(const Layout& from, const Layout& to, int size, int vector = 0) {
  Swizzle s = solve_swizzle(from, to, size);
  if (vector) {
    EXPECT_EQ(s.vector, vector);
  }
  std::set<int> places;
  for (int x = 0; x < from.extent(0); ++x)
    for (int y = 0; y < from.extent(1); ++y) {
      int at = s.place({x, y});
      EXPECT_GE(at, 0);
      EXPECT_LT(at, s.elements);
      EXPECT_TRUE(places.insert(at).second) << x << ", " << y;
    }
  for (const Layout* l : {&from, &to}) {
    EXPECT_EQ(static_cast<int>(accesses(s, *l, s.vector).size()) * s.vector, l->registers());
    for (int w = 0; w < 1 << l->warp.size(); ++w)
      for (int lane = 0; lane < 1 << l->lane.size(); ++lane) {
        std::map<int, std::set<int>> groups;
        for (int r = 0; r < l->registers(); ++r) {
          int at = s.place(l->at(r, lane, w));
          groups[at / s.vector].insert(at % s.vector);
        }
        for (const auto& [group, members] : groups) EXPECT_EQ(static_cast<int>(members.size()), s.vector);
      }
  }
  EXPECT_EQ(conflicts(s, from, size), 0);
  EXPECT_EQ(conflicts(s, to, size), 0);
}

constexpr int m = 0, k = 1;

TEST(Swizzle, RowsThatLanesReadAlongTheirWidth) {  // a warp's 16-byte loads of rows, to an operand of GFX11, of CDNA
  Layout loads = layout_of({{k, 1}, {k, 2}, {k, 4}, {k, 8}, {k, 16}, {m, 1}, {m, 2}, {m, 4}, {m, 8}}, 3, 5, {4, 1});
  check(loads,
        layout_of({{k, 1}, {k, 2}, {k, 4}, {k, 8}, {m, 1}, {m, 2}, {m, 4}, {m, 8}, {-1, 0}, {m, 16}}, 4, 5, {2, 2}), 2,
        8);
  Layout wave64 = layout_of({{k, 1}, {k, 2}, {k, 4}, {k, 8}, {k, 16}, {m, 1}, {m, 2}, {m, 4}, {m, 8}}, 3, 6, {4, 1});
  check(wave64,
        layout_of({{k, 1}, {k, 2}, {k, 4}, {m, 1}, {m, 2}, {m, 4}, {m, 8}, {k, 8}, {k, 16}, {m, 16}}, 3, 6, {2, 1}), 2,
        8);
}
TEST(Swizzle, Transposes) {  // what lies along the other axis; both keep some rows in registers
  Layout loads = layout_of({{m, 1}, {m, 2}, {m, 4}, {k, 1}, {k, 2}, {m, 8}, {m, 16}, {k, 4}, {k, 8}, {k, 16}}, 5, 5);
  Layout operand = layout_of({{k, 1}, {k, 2}, {k, 4}, {k, 8}, {m, 1}, {m, 2}, {m, 4}, {m, 8}, {-1, 0}}, 4, 5, {2, 2});
  check(loads, operand, 2, 4);
  Layout f32 =
      layout_of({{m, 1}, {m, 2}, {m, 4}, {m, 8}, {m, 16}, {k, 1}, {k, 2}, {k, 4}, {k, 8}, {k, 16}}, 0, 5, {1, 1});
  Layout turned = layout_of({{k, 1}, {k, 2}, {k, 4}, {k, 8}, {k, 16}, {m, 1}, {m, 2}, {m, 4}, {m, 8}, {m, 16}}, 0, 5);
  check(f32, turned, 4);
}

// Of what lies further apart than the banks: a lane's next elements before those of its next fragment, so that two
// places that are read at a time fill neighbouring registers.
TEST(Swizzle, FragmentsLieTogether) {
  Layout loads = layout_of(
      {{m, 1}, {m, 2}, {k, 1}, {k, 2}, {m, 4}, {m, 8}, {m, 16}, {m, 32}, {m, 64}, {k, 4}, {k, 8}, {k, 16}}, 4, 5);
  Layout operand = layout_of(
      {{k, 1}, {k, 2}, {k, 4}, {k, 8}, {m, 1}, {m, 2}, {m, 4}, {m, 8}, {-1, 0}, {m, 16}, {m, 32}}, 4, 5, {2, 2});
  check(loads, operand, 2, 4);
  Swizzle s = solve_swizzle(loads, operand, 2);
  EXPECT_LT(s.place({0, 4}), s.place({0, 8}));
  EXPECT_LT(s.place({0, 8}), s.place({64, 0}));
}

// Any two layouts whose lanes and registers hold bits in any order.
TEST(Swizzle, AnyTwoLayouts) {
  std::vector<std::pair<int, int>> bits{{m, 1}, {m, 2}, {m, 4}, {k, 1}, {k, 2}, {k, 4}};
  int number = 0;
  do {
    ++number;
    if (number % 7) continue;
    std::vector<std::pair<int, int>> other = bits;
    std::reverse(other.begin() + number % 3, other.end());
    for (int size : {2, 4}) check(layout_of(bits, 1, 4), layout_of(other, 1, 4), size);
    if (HasFailure()) return;
  } while (std::next_permutation(bits.begin(), bits.end()));
}

TEST(Swizzle, AccessesAreWholeOrAnInternalError) {
  Layout rows = layout_of({{k, 1}, {k, 2}, {m, 1}, {m, 2}, {m, 4}, {m, 8}, {m, 16}}, 2, 5),
         columns = layout_of({{m, 1}, {m, 2}, {k, 1}, {k, 2}, {m, 4}, {m, 8}, {m, 16}}, 2, 5);
  const Swizzle s = solve_swizzle(rows, rows, 4);
  ASSERT_EQ(s.vector, 4);
  EXPECT_EQ(accesses(s, rows, 4), (std::vector<std::vector<int>>{{0, 1, 2, 3}}));
  EXPECT_EQ(accesses(s, rows, 1).size(), 4U);
  EXPECT_THROW(accesses(s, columns, 4), InternalError);
}

}  // namespace
}  // namespace wavetile
