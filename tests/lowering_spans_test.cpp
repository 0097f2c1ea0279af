// Comparisons with a fold's index that come out alike for whole blocks: written in every way, at bounds that are
// aligned to nothing, lie outside of the range, or leave i32.
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/asm.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

constexpr double most = std::numeric_limits<int32_t>::max(), least = std::numeric_limits<int32_t>::min();
const std::vector<double> starts{0,  1,  2,    3,    7,        8,        20,        61,    64,        1000,      -1,
                                 -4, -9, -200, most, most - 1, most - 6, most - 40, least, least + 3, least + 64};
constexpr int64_t rows = 9, columns = 61;

using Mask = std::function<Tile(Tile m, Tile t, Scalar start)>;
/// Sums of what a mask leaves of each row (or, reversed, of what it does not), for each start.
Kernel masked(const Mask& mask, bool reversed = false) {
  return Kernel("masked", {"X", "Start", "Y"}, [=](Tensor<f32> X, Tensor<i32> Start, Tensor<f32> Y) {
    Range n = single("start", Start.dim(0)), m = parallel("m", X.dim(0));
    Scalar start = Start(first(n));
    State s = fold(
        serial("t", X.dim(1)), State{fill(0, n, m)},
        [=](Range t, const State& s) {
          Tile in = mask(index(m), index(t), start), x = X(m, t);
          return State{s[0] + sum(reversed ? where(in, 0, x) : where(in, x, 0), t)};
        },
        [](const State& a, const State& b) { return State{a[0] + b[0]}; });
    Y(n, m) = s[0];
  });
}
Schedule blocks(int m, int t) {
  Schedule s;
  s.tile = {{"m", m}, {"t", t}};
  return s;
}
std::vector<HostTensor> tensors(int64_t t = columns) {
  const auto n = static_cast<int64_t>(starts.size());
  return {random_tensor(DType::f32, {rows, t}), tensor_of(DType::i32, {n}, starts), output(DType::f32, {n, rows})};
}
void check(const Mask& mask, bool reversed = false) {
  check_everywhere(masked(mask, reversed), blocks(4, 8), tensors(), summation(columns), {}, {.extents = reversed});
}

TEST(LoweringSpans, UpToTheDiagonal) {
  check([](Tile m, Tile t, Scalar start) { return t <= m + start; });
  check([](Tile m, Tile t, Scalar start) { return t < start + m; });
  check([](Tile m, Tile t, Scalar start) { return m - start >= t; });
  check([](Tile m, Tile t, Scalar start) { return start - m > t; });
}
TEST(LoweringSpans, FromTheDiagonalOn) {
  check([](Tile m, Tile t, Scalar start) { return t >= m + start; });
  check([](Tile m, Tile t, Scalar start) { return start + m < t; });
}
TEST(LoweringSpans, MasksOfWhatIsLeftOut) {
  check([](Tile m, Tile t, Scalar start) { return t > m + start; }, true);
  check([](Tile m, Tile t, Scalar start) { return t <= m + start; }, true);
  check([](Tile m, Tile t, Scalar start) { return (t < m - start) | (m + start < t); }, true);
}
TEST(LoweringSpans, Windows) {
  check([](Tile m, Tile t, Scalar start) { return (t <= m + start) & (t > m + start - 13); });
  check([](Tile m, Tile t, Scalar start) { return (t <= m + start) & (t > m + start - 40); });
  check([](Tile m, Tile t, Scalar start) { return (t >= 5) & (t < min(m + start, 40)); });
}
TEST(LoweringSpans, Distances) {
  check([](Tile m, Tile t, Scalar start) { return t - m <= start; });
  check([](Tile m, Tile t, Scalar start) { return t - m > start; });
  check([](Tile m, Tile t, Scalar start) { return (t - 3 < start) & (m < 7); });
  check([](Tile, Tile t, Scalar start) { return start + 2 <= t - 3; });
}
// Nothing is known of these before the loop.
TEST(LoweringSpans, OtherComparisons) {
  check([](Tile m, Tile t, Scalar start) { return t + m <= start; });
  check([](Tile m, Tile t, Scalar start) { return t % 3 <= m + start; });
  check([](Tile m, Tile t, Scalar start) { return (t <= m + start) == (t > 20); });
}

// Blocks that fit, ranges shorter than one, and folds that are split, shared out and loaded ahead.
TEST(LoweringSpans, EveryKindOfFold) {
  const Kernel k = masked([](Tile m, Tile t, Scalar start) { return (t <= m + start) & (t > m + start - 40); });
  for (int64_t t : {int64_t{64}, int64_t{5}, int64_t{0}})
    check_everywhere(k, blocks(4, 8), tensors(t), summation(columns));
  Schedule split = blocks(4, 8), shared = blocks(4, 8), ahead = blocks(1, 32);
  split.split = {{"t", 3}};
  check_everywhere(k, split, tensors(), summation(columns));
  shared.share = "t";
  check_everywhere(k, shared, tensors(), summation(columns));
  for (int stages : {2, 3}) {
    ahead.stages = stages;
    check_everywhere(k, ahead, tensors(500), summation(500));
  }
}

}  // namespace
}  // namespace wavetile
