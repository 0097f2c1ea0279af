// Layouts of dots on matrix instructions, for every row of every chip: what an instruction is given, and what it
// leaves.
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "codegen/compile.h"

namespace wavetile {
namespace {

struct Tiles {
  int m, n, k, warps;
  bool whole = false;  // ranges of exactly these extents, which may overhang
};

template <class T>
Kernel product(const Tiles& t) {
  return Kernel("product", {"A", "B", "C"}, [=](Tensor<T> A, Tensor<T> B, Tensor<f32> C) {
    Range m = parallel("m", A.dim(0)), n = t.whole ? whole("n", t.n) : parallel("n", B.dim(1));
    if (t.whole) {
      Range k = whole("k", t.k);
      C(m, n) = dot(A(m, k), B(k, n), k);
    } else {
      C(m, n) =
          fold(serial("k", A.dim(1)), fill(0, m, n), [=](Range k, Tile acc) { return acc + dot(A(m, k), B(k, n), k); });
    }
  });
}

LaidOut laid_out(const Graph& g, const Tiles& t, const Caps& caps) {
  Schedule s;
  s.tile = {{"m", t.m}};
  if (!t.whole) s.tile.insert({{"n", t.n}, {"k", t.k}});
  s.warps = t.warps;
  Signature sig(3);
  for (size_t i = 0; i < 3; ++i) sig[i] = {g.tensors[i].dtype, {{}, {}}, {{}, 1}, 16};
  Graph x = simplify(apply_schedule(simplify(specialise(g, sig)), s, sig, caps));
  return assign_layouts(walk_whole(x, caps), sig, s, caps);
}

// Runs the instruction on coordinates: in each warp, the product that register r of lane l ends with has to be that of
// its own row and column, over each k once.
void check(const LaidOut& laid, int dot, const MatrixUse& use, const Caps& caps, const Tiles& t) {
  const Op& op = laid.graph.ops[static_cast<size_t>(dot)];
  const MatrixUnit& u = *use.unit;
  const Layout &result = laid.of({dot, 0}), &a = laid.of(op.args[use.a]), &b = laid.of(op.args[1 - use.a]);
  auto axis = [](const Layout& l, RangeId r) { return static_cast<size_t>(l.position(r)); };
  const int na = 1 << u.a.reg.size(), nb = 1 << u.b.reg.size(), nc = 1 << u.c.reg.size();
  ASSERT_EQ(result.registers() % nc, 0);
  std::map<Coord, int> held;  // by how many (register, lane, warp)
  for (int w = 0; w < t.warps; ++w)
    for (int first = 0; first < result.registers(); first += nc) {
      // The fragments whose rows, or columns, are the result's.
      std::map<std::pair<int, int>, std::set<int>> rows, columns;  // (row of the instruction, its k) -> k of the tile
      auto collect = [&](const Layout& l, const Layout& unit, int n, RangeId own, auto& to) {
        int steps = 0, at = result.at(first, 0, w)[axis(result, own)];
        for (int f = 0; f < l.registers(); f += n) {
          if (l.at(f, 0, w)[axis(l, own)] != at) continue;
          for (int lane = 0; lane < caps.lanes; ++lane)
            for (int r = 0; r < n; ++r) {
              Coord in = unit.at(r, lane, 0), c = l.at(f + r, lane, w);
              ASSERT_EQ(c[axis(l, own)], at + in[0]);
              to[{in[0], in[1] + steps * u.depth()}].insert(c[axis(l, op.range)]);
            }
          ++steps;
        }
        ASSERT_EQ(steps * u.depth(), l.extent(op.range));
      };
      collect(a, u.a, na, use.rows, rows);
      collect(b, u.b, nb, use.columns, columns);
      for (int lane = 0; lane < caps.lanes; ++lane)
        for (int r = 0; r < nc; ++r) {
          Coord in = u.c.at(r, lane, 0), c = result.at(first + r, lane, w), origin = result.at(first, 0, w);
          ASSERT_EQ(c[axis(result, use.rows)] - origin[axis(result, use.rows)], in[0]);
          ASSERT_EQ(c[axis(result, use.columns)] - origin[axis(result, use.columns)], in[1]);
          ++held[c];
          std::set<int> seen;
          for (int k = 0; k < a.extent(op.range); ++k) {
            const auto &x = rows[{in[0], k}], &y = columns[{in[1], k}];
            ASSERT_EQ(x.size(), 1U);  // lanes that hold the same k of the instruction hold the same element
            ASSERT_EQ(x, y);
            ASSERT_TRUE(seen.insert(*x.begin()).second);
          }
          ASSERT_EQ(*seen.rbegin() + 1, a.extent(op.range));
        }
    }
  ASSERT_EQ(static_cast<int>(held.size()), result.extent(use.rows) * result.extent(use.columns));
  for (const auto& [c, n] : held) ASSERT_EQ(n, held.begin()->second);
}

class MatrixLayouts : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Amdgpu, MatrixLayouts, ::testing::Values("gfx90a", "gfx942", "gfx1100", "gfx1151", "gfx1201"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(MatrixLayouts, PairEveryKOnceForEveryElement) {
  auto target = amdgpu_target(GetParam());
  const Caps& caps = caps_of(*target);
  for (const Tiles& t : {Tiles{16, 16, 16, 1},
                         {16, 16, 32, 1},
                         {64, 32, 16, 1},
                         {32, 64, 64, 2},
                         {64, 64, 32, 4},
                         {128, 64, 32, 8},
                         {16, 16, 16, 4},
                         {48, 80, 48, 4},
                         {32, 24, 40, 2, true},
                         {16, 64, 64, 4, true},
                         {16, 50, 21, 1, true}})
    for (const Graph& g : {product<bf16>(t).graph(), product<f16>(t).graph()}) {
      if (std::none_of(caps.matrix.begin(), caps.matrix.end(),
                       [&](const MatrixUnit& u) { return u.factor == g.tensors[0].dtype; }))
        continue;  // MI200's would drop denormal halves
      SCOPED_TRACE(testing::Message() << t.m << "x" << t.n << "x" << t.k << ", " << t.warps << " warps");
      LaidOut laid = laid_out(g, t, caps);
      ASSERT_EQ(laid.matrix.size(), 1U);
      check(laid, laid.matrix.begin()->first, laid.matrix.begin()->second, caps, t);
      if (HasFatalFailure()) return;
    }
}

// Factors that the rows do not name, and tiles that their shapes do not divide, are left to multiply-adds.
TEST_P(MatrixLayouts, WhatFitsNoRowIsLeftAlone) {
  auto target = amdgpu_target(GetParam());
  const Caps& caps = caps_of(*target);
  EXPECT_TRUE(laid_out(product<f32>({}).graph(), {32, 32, 16, 1}, caps).matrix.empty());
  for (const Tiles& t : {Tiles{1, 64, 32, 1}, {8, 64, 16, 1}, {32, 40, 16, 1}, {32, 32, 8, 1}, {16, 12, 16, 1, true}})
    EXPECT_TRUE(laid_out(product<bf16>(t).graph(), t, caps).matrix.empty());
}

// A lane reads 16 bytes of k at a time where nothing else decides how k is dealt out.
TEST_P(MatrixLayouts, OperandsAreReadIn16Bytes) {
  auto target = amdgpu_target(GetParam());
  const Tiles t{32, 32, 32, 1};
  LaidOut laid = laid_out(product<bf16>(t).graph(), t, caps_of(*target));
  const Op& op = laid.graph.ops[static_cast<size_t>(laid.matrix.begin()->first)];
  for (size_t i : {0, 1}) {
    const Layout& l = laid.of(op.args[i]);
    for (int r = 0; r < 8; ++r) EXPECT_EQ(l.at(r, 0, 0)[static_cast<size_t>(l.position(op.range))], r);
  }
}

// Where AMD's Matrix Instruction Calculator (github.com/ROCm/amd_matrix_instruction_calculator, -g) puts elements of A
// [row, k], B [column, k] and D [row, column]: in half `half` (0 where elements have 32 bits) of register `reg`.
struct Point {
  char matrix;
  int first, second;
  int reg, half, lane;
};
struct Published {
  std::vector<const char*> chips;
  std::vector<Point> points;
  bool rows_in_order = true, k_in_order = true;  // as the row here numbers them
};
const std::vector<Published>& published() {
  static const std::vector<Published> all{
      {{"gfx90a", "gfx942"},  // v_mfma_f32_16x16x16bf16_1k, v_mfma_f32_16x16x16_f16, v_mfma_f32_16x16x16_bf16
       {{'A', 0, 0, 0, 0, 0},
        {'A', 3, 1, 0, 1, 3},
        {'A', 6, 6, 1, 0, 22},
        {'A', 5, 9, 0, 1, 37},
        {'A', 15, 15, 1, 1, 63},
        {'B', 3, 1, 0, 1, 3},
        {'B', 6, 6, 1, 0, 22},
        {'B', 5, 9, 0, 1, 37},
        {'D', 0, 0, 0, 0, 0},
        {'D', 1, 2, 1, 0, 2},
        {'D', 3, 7, 3, 0, 7},
        {'D', 10, 4, 2, 0, 36},
        {'D', 15, 15, 3, 0, 63}}},
      // v_wmma_f32_16x16x16_f16, v_wmma_f32_16x16x16_bf16, 32 lanes. D's rows lie in the halves of the lanes in turn;
      // the row here gives each half eight neighbours, which A has alike.
      {{"gfx1100", "gfx1151"},
       {{'A', 0, 0, 0, 0, 0},
        {'A', 0, 0, 0, 0, 16},
        {'A', 3, 1, 0, 1, 3},
        {'A', 3, 1, 0, 1, 19},
        {'A', 6, 6, 3, 0, 22},
        {'A', 5, 9, 4, 1, 21},
        {'A', 15, 15, 7, 1, 31},
        {'B', 3, 1, 0, 1, 19},
        {'B', 6, 6, 3, 0, 6},
        {'B', 6, 6, 3, 0, 22},
        {'B', 5, 9, 4, 1, 21},
        {'D', 0, 0, 0, 0, 0},
        {'D', 1, 2, 0, 0, 18},
        {'D', 3, 7, 1, 0, 23},
        {'D', 10, 4, 5, 0, 4},
        {'D', 15, 15, 7, 0, 31}},
       false},
      // The same for RDNA4, whose lanes take k by fours; the row here deals it by eights, which both factors do alike.
      {{"gfx1201"},
       {{'A', 0, 0, 0, 0, 0},
        {'A', 3, 1, 0, 1, 3},
        {'A', 6, 6, 1, 0, 22},
        {'A', 5, 9, 2, 1, 5},
        {'A', 15, 15, 3, 1, 31},
        {'B', 3, 1, 0, 1, 3},
        {'B', 6, 6, 1, 0, 22},
        {'B', 5, 9, 2, 1, 5},
        {'D', 0, 0, 0, 0, 0},
        {'D', 1, 2, 1, 0, 2},
        {'D', 3, 7, 3, 0, 7},
        {'D', 10, 4, 2, 0, 20},
        {'D', 15, 15, 7, 0, 31}},
       true,
       false}};
  return all;
}

TEST(MatrixRows, HoldTheirElementsWhereAmdSays) {
  for (const Published& p : published())
    for (const char* chip : p.chips) {
      const auto target = amdgpu_target(chip);
      ASSERT_FALSE(caps_of(*target).matrix.empty());
      for (const MatrixUnit& u : caps_of(*target).matrix) {
        std::map<int, int> rows, k;  // AMD's, and the row's
        for (const Point& x : p.points) {
          SCOPED_TRACE(testing::Message()
                       << chip << " " << u.name << ": " << x.matrix << "[" << x.first << "][" << x.second << "]");
          const Layout& l = x.matrix == 'A' ? u.a : x.matrix == 'B' ? u.b : u.c;
          const bool factor = x.matrix != 'D';
          const Coord c = l.at(factor ? 2 * x.reg + x.half : x.reg, x.lane, 0);
          auto same = [](std::map<int, int>* other, int amd, int row) {
            EXPECT_EQ(other ? other->emplace(amd, row).first->second : amd, row);
          };
          same(x.matrix != 'B' && !p.rows_in_order ? &rows : nullptr, x.first, c[0]);
          same(factor && !p.k_in_order ? &k : nullptr, x.second, c[1]);
        }
        for (const auto& numbers : {rows, k}) {
          std::set<int> different;
          for (const auto& [amd, row] : numbers) different.insert(row);
          EXPECT_EQ(different.size(), numbers.size());
        }
      }
    }
}

}  // namespace
}  // namespace wavetile
