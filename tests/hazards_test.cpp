// Which launches wait for which, by the bytes that they touch.
#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "runtime/hazards.h"

namespace wavetile {
namespace {

Stage stage_of(const std::vector<TensorParam>& tensors) {
  Stage s;
  s.graph.tensors = tensors;
  return s;
}

TEST(Touched, OnlyWhatIsReadOrWritten) {
  float memory[32];
  const auto at = [&](size_t i) { return reinterpret_cast<uintptr_t>(memory + i); };
  const Stage s = stage_of({{"X", DType::f32, 1, true, false},
                            {"Unused", DType::f32, 1, false, false},
                            {"Y", DType::f32, 1, false, true},
                            {"T", DType::f32, 1, true, true}});
  const std::vector<TensorView> views{{DType::f32, memory, {4}, {1}},
                                      {DType::f32, memory + 4, {4}, {1}},
                                      {DType::f32, memory + 8, {3}, {2}},
                                      {DType::f32, memory + 31, {4}, {-5}}};
  const std::vector<Touched> all = touched_by(s, views, {});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(std::tuple(all[0].begin, all[0].end, all[0].written), std::tuple(at(0), at(4), false));
  EXPECT_EQ(std::tuple(all[1].begin, all[1].end, all[1].written), std::tuple(at(8), at(13), true));
  EXPECT_EQ(std::tuple(all[2].begin, all[2].end, all[2].written), std::tuple(at(16), at(32), true));
}

TEST(Touched, NothingOfAnEmptyTensor) {
  float x = 0;
  for (const std::vector<int64_t>& extents : {std::vector<int64_t>{0, 3}, {3, 0}}) {
    const std::vector<Touched> all = touched_by(stage_of({{"X", DType::f32, 2, false, true}}),
                                                std::vector{TensorView{DType::f32, &x, extents, {3, 1}}}, {});
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].begin, all[0].end);
    Hazards hazards;
    hazards.waits({});
    hazards.waits({{reinterpret_cast<uintptr_t>(&x) - 64, reinterpret_cast<uintptr_t>(&x) + 64, true}});
    EXPECT_FALSE(hazards.waits(all));
  }
}

// From the first byte of an element to the last one of an element, in whatever order they lie.
TEST(Touched, FromTheFirstElementToTheLast) {
  std::mt19937_64 random(1);
  auto number = [&](int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random); };
  std::vector<char> memory(1 << 20);
  for (int i = 0; i < 500; ++i) {
    const DType type = i % 2 ? DType::bf16 : DType::f32;
    TensorView v{type, memory.data() + memory.size() / 2, {}, {}};
    Schedule schedule;
    const auto rank = static_cast<size_t>(number(1, 3));
    for (size_t d = 0; d < rank; ++d) v.extents.push_back(number(1, 9));
    if (i % 3 == 0) {
      Packing p;
      for (size_t d = 0; d < rank && p.blocks.size() < 2; ++d)
        if (number(0, 1)) p.blocks.push_back({static_cast<int>(d), static_cast<int>(number(1, 3)) * 2});
      p.streams = p.blocks.empty() ? 1 : static_cast<int>(number(1, 3));
      v.strides = packed_strides(v.extents, p);
      schedule.packing["X"] = p;
    } else {
      for (size_t d = 0; d < rank; ++d) v.strides.push_back(number(-20, 20));
    }
    const Packing packing = schedule.packing.contains("X") ? schedule.packing["X"] : Packing{};
    int64_t lo = INT64_MAX, hi = INT64_MIN;
    std::vector<int64_t> c(rank, 0);
    for (bool more = true; more;) {
      int64_t place = 0;
      for (size_t d = 0; d < rank; ++d) place += packed_place(v.extents, v.strides, packing, d, c[d]);
      lo = std::min(lo, place);
      hi = std::max(hi, place);
      more = false;
      for (size_t d = rank; d-- > 0 && !more;) {
        more = ++c[d] < v.extents[d];
        if (!more) c[d] = 0;
      }
    }
    const auto base = reinterpret_cast<uintptr_t>(v.data);
    const int64_t size = size_of(type);
    const std::vector<Touched> all =
        touched_by(stage_of({{"X", type, static_cast<int>(rank), true, false}}), std::vector{v}, schedule);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].begin, base + static_cast<uintptr_t>(lo * size)) << i;
    EXPECT_EQ(all[0].end, base + static_cast<uintptr_t>((hi + 1) * size)) << i;
  }
}

// Against the definition: launches between two that wait never meet, and none waits without one before it to meet.
TEST(Hazards, RandomListsOfLaunches) {
  std::mt19937_64 random(1);
  auto number = [&](int below) { return static_cast<uintptr_t>(random() % static_cast<uint64_t>(below)); };
  for (int list = 0; list < 300; ++list) {
    Hazards hazards;
    std::vector<std::vector<Touched>> since;
    for (int i = 0; i < 30; ++i) {
      std::vector<Touched> launch;
      for (uintptr_t n = 1 + number(3); n > 0; --n) {
        const uintptr_t begin = number(60);
        launch.push_back({begin, begin + number(6), number(3) == 0});
      }
      bool meets = since.empty();
      for (const auto& before : since)
        for (const Touched& a : before)
          for (const Touched& b : launch)
            for (uintptr_t byte = a.begin; byte < a.end; ++byte)
              meets |= (a.written || b.written) && byte >= b.begin && byte < b.end;
      ASSERT_EQ(hazards.waits(launch), meets) << "list " << list << ", launch " << i;
      if (meets) since.clear();
      since.push_back(launch);
    }
  }
}

}  // namespace
}  // namespace wavetile
