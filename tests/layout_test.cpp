// Layouts and conversions, exhaustively over small ones, by moving coordinates about on the host.
#include "codegen/layout.h"

#include <algorithm>
#include <functional>
#include <map>

#include <gtest/gtest.h>

namespace wavetile {
namespace {

Graph two_ranges() {
  Graph g;
  g.ranges.push_back({"a", RangeKind::whole, {}, {}, {}, 0});
  g.ranges.push_back({"b", RangeKind::whole, {}, {}, {}, 0});
  return g;
}

// Every layout of a tile of odd[i] * 2^bits[i] elements: each bit goes to the registers, lanes, warps or (the highest
// ones) into the repetitions; lane and warp bits that are left replicate.
std::vector<Layout> layouts(const std::vector<int>& odd, const std::vector<int>& bits, int lane_bits, int warp_bits) {
  std::vector<Layout> all;
  size_t axes = odd.size();
  Layout l;
  for (size_t a = 0; a < axes; ++a) {
    l.axes.push_back(static_cast<int>(a));
    l.reps.push_back(odd[a]);
    l.block.push_back(1);
  }
  auto finish = [&](Layout x) {
    x.lane.resize(static_cast<size_t>(lane_bits), Coord(axes, 0));
    x.warp.resize(static_cast<size_t>(warp_bits), Coord(axes, 0));
    // Replicas may stand anywhere among the bits.
    std::sort(x.lane.begin(), x.lane.end());
    do {
      std::sort(x.warp.begin(), x.warp.end());
      do all.push_back(x);
      while (std::next_permutation(x.warp.begin(), x.warp.end()));
    } while (std::next_permutation(x.lane.begin(), x.lane.end()));
  };
  std::function<void(Layout, size_t, int)> choose = [&](Layout x, size_t axis, int bit) {
    if (axis == axes) return finish(x);
    if (bit == bits[axis]) return choose(x, axis + 1, 0);
    Coord unit(axes, 0);
    unit[axis] = 1 << bit;
    Layout rest = x;  // what remains of the axis repeats
    rest.reps[axis] *= 1 << (bits[axis] - bit);
    choose(rest, axis + 1, 0);
    x.block[axis] *= 2;
    for (Bases* to : {&x.reg, &x.lane, &x.warp}) {
      size_t room = to == &x.reg ? 2 : static_cast<size_t>(to == &x.lane ? lane_bits : warp_bits);
      if (to->size() == room) continue;
      to->push_back(unit);
      choose(x, axis, bit + 1);
      to->pop_back();
    }
  };
  choose(l, 0, 0);
  return all;
}

std::vector<Coord> elements(const Layout& l) {
  std::vector<Coord> all{{}};
  for (size_t a = 0; a < l.axes.size(); ++a) {
    std::vector<Coord> next;
    for (const Coord& c : all)
      for (int i = 0; i < l.reps[a] * l.block[a]; ++i) {
        next.push_back(c);
        next.back().push_back(i);
      }
    all = std::move(next);
  }
  return all;
}

TEST(Layout, PlacesEveryElementOnceAReplica) {
  for (const Layout& l : layouts({3, 1}, {1, 2}, 2, 1)) {
    std::map<Coord, int> count;
    for (int w = 0; w < 1 << l.warp.size(); ++w)
      for (int t = 0; t < 1 << l.lane.size(); ++t)
        for (int r = 0; r < l.registers(); ++r) ++count[l.at(r, t, w)];
    int replicas = 1;
    for (int mask : {l.replicas(l.lane), l.replicas(l.warp)})
      replicas <<= __builtin_popcount(static_cast<unsigned>(mask));
    ASSERT_EQ(count.size(), elements(l).size()) << l.text(two_ranges());
    for (const auto& [c, n] : count) ASSERT_EQ(n, replicas) << l.text(two_ranges());
    ASSERT_EQ(l.lane_uniform(), l.replicas(l.lane) == (1 << l.lane.size()) - 1);
  }
}

TEST(Layout, FindsRegisters) {
  for (const Layout& l : layouts({3, 1}, {1, 2}, 2, 1)) {
    std::map<Coord, int> mine;
    for (int r = 0; r < l.registers(); ++r) mine[l.at(r, 0, 0)] = r;
    for (const Coord& c : elements(l))
      ASSERT_EQ(l.register_at(c), mine.contains(c) ? mine[c] : -1) << l.text(two_ranges());
    ASSERT_EQ(l.register_at({l.extent(0), 0}), -1);
  }
}

TEST(Layout, RestrictedKeepsCoordinates) {
  for (const Layout& l : layouts({3, 1}, {1, 2}, 2, 1))
    for (int axis : {0, 1}) {
      Layout part = l.without(axis);
      int kept = 1 - axis;
      ASSERT_EQ(part.axes, Axes{kept});
      ASSERT_EQ(part.extent(kept), l.extent(kept));
      for (int w = 0; w < 1 << l.warp.size(); ++w)
        for (int t = 0; t < 1 << l.lane.size(); ++t)
          for (int r = 0; r < l.registers(); ++r) {
            int at = part.register_at({l.at(r, 0, 0)[static_cast<size_t>(kept)]});
            ASSERT_GE(at, 0);
            ASSERT_EQ(part.at(at, t, w)[0], l.at(r, t, w)[static_cast<size_t>(kept)])
                << l.text(two_ranges()) << " " << part.text(two_ranges());
          }
    }
}

TEST(Layout, WithRegistersAddsAnAxisThatLanesShare) {
  for (const Layout& l : layouts({3}, {2}, 2, 1)) {
    Layout wide = l.with_registers(1, 5);
    ASSERT_EQ(wide.extent(1), 5);
    ASSERT_EQ(wide.registers(), 5 * l.registers());
    for (int r = 0; r < l.registers(); ++r)
      for (int k = 0; k < 5; ++k) {
        Coord c = l.at(r, 0, 0);
        int at = wide.register_at({c[0], k});
        ASSERT_GE(at, 0);
        for (int t = 0; t < 4; ++t)
          for (int w = 0; w < 2; ++w) ASSERT_EQ(wide.at(at, t, w), (Coord{l.at(r, t, w)[0], k}));
      }
  }
}

TEST(LaneMap, IsAffine) {
  LaneMap m{{2, 1, 4}, 4};
  EXPECT_EQ(m(0), 4);
  EXPECT_EQ(m(1), 6);
  EXPECT_EQ(m(7), 3);
  EXPECT_FALSE(m.identity());
  EXPECT_TRUE((LaneMap{{1, 2, 4}, 0}.identity()));
  EXPECT_FALSE((LaneMap{{1, 2, 4}, 1}.identity()));
}

// Does with coordinates what the lowering does with values.
void check_conversion(const Layout& from, const Layout& to) {
  Conversion plan = plan_conversion(from, to);
  if (plan.kind == Conversion::shared) return;  // any element can be read there
  if (plan.kind == Conversion::identity) {
    ASSERT_EQ(from, to);
    return;
  }
  ASSERT_EQ(plan.sources.size(), static_cast<size_t>(to.registers()));
  for (int w = 0; w < 1 << to.warp.size(); ++w)
    for (int r = 0; r < to.registers(); ++r) {
      const auto& sources = plan.sources[static_cast<size_t>(r)];
      for (int l = 0; l < 1 << to.lane.size(); ++l) {
        Coord got = from.at(sources[0].reg, sources[0].from(l), w);
        for (size_t s = 1; s < sources.size(); ++s)
          if (sources[s].lanes[static_cast<size_t>(l)]) got = from.at(sources[s].reg, sources[s].from(l), w);
        ASSERT_LT(sources[0].from(l), 1 << to.lane.size());
        ASSERT_EQ(got, to.at(r, l, w)) << from.text(two_ranges()) << " -> " << to.text(two_ranges());
        if (plan.kind == Conversion::registers) {
          ASSERT_EQ(sources[0].from(l), l);
        }
      }
      // A uniform result is read from one lane.
      if (to.lane_uniform()) {
        ASSERT_EQ(from.at(sources[0].reg, sources[0].from(0), w), to.at(r, 0, w));
      }
    }
}
void check_all(const std::vector<Layout>& all) {
  for (const Layout& from : all)
    for (const Layout& to : all) {
      check_conversion(from, to);
      if (testing::Test::HasFatalFailure()) return;
    }
}
TEST(Conversion, OneAxisOneWarp) {
  for (int lane_bits : {1, 2, 3}) check_all(layouts({3}, {3}, lane_bits, 0));
}
TEST(Conversion, OneAxisWithWarps) {
  check_all(layouts({1}, {3}, 2, 1));
  check_all(layouts({3}, {2}, 1, 2));
}
TEST(Conversion, TwoAxes) {
  check_all(layouts({1, 3}, {1, 2}, 2, 0));
  check_all(layouts({1, 1}, {1, 2}, 1, 1));
}

TEST(Conversion, TakesTheCheapestWay) {
  Layout lanes{{0}, {3}, {4}, {}, {{1}, {2}}, {}};
  Layout swapped{{0}, {3}, {4}, {}, {{2}, {1}}, {}};
  Layout regs{{0}, {12}, {1}, {}, {{0}, {0}}, {}};
  Layout bits{{0}, {3}, {4}, {{2}, {1}}, {{0}, {0}}, {}};
  EXPECT_EQ(plan_conversion(lanes, lanes).kind, Conversion::identity);
  EXPECT_EQ(plan_conversion(lanes, swapped).kind, Conversion::lanes);
  EXPECT_EQ(plan_conversion(lanes, regs).kind, Conversion::lanes);  // each lane gathers all
  EXPECT_EQ(plan_conversion(regs, lanes).kind, Conversion::lanes);  // and each keeps its own: selects
  EXPECT_EQ(plan_conversion(regs, bits).kind, Conversion::registers);
  Layout warps{{0}, {3}, {4}, {}, {{1}, {0}}, {{2}}}, replicated{{0}, {3}, {4}, {}, {{1}, {2}}, {{0}}};
  EXPECT_EQ(plan_conversion(warps, replicated).kind, Conversion::shared);
}

}  // namespace
}  // namespace wavetile
