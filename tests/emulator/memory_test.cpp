#include "emulator/memory.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

const void* pointer(std::uint64_t address) { return reinterpret_cast<const void*>(address); }

TEST(Memory, FindsWhatLiesWhollyInside) {
  Memory m;
  const Allocation* a = m.add(pointer(0x10000), 0x100, "a");
  const Allocation* b = m.add(pointer(0x10100), 0x100, "b", false, true);
  EXPECT_EQ(m.find(0x10000, 0x100), a);
  EXPECT_EQ(m.find(0x100ff, 1), a);
  EXPECT_EQ(m.find(0x100ff, 2), nullptr);  // half of it in the neighbour
  EXPECT_EQ(m.find(0x10100, 4), b);
  EXPECT_EQ(m.find(0x101fd, 4), nullptr);
  EXPECT_EQ(m.find(0x10200, 1), nullptr);
  EXPECT_EQ(m.find(0xffff, 1), nullptr);
  EXPECT_EQ(m.find(0x10000, ~std::size_t{0}), nullptr);
  EXPECT_EQ(m.find(~std::uint64_t{0}, 8), nullptr);
  EXPECT_TRUE(a->writable);
  EXPECT_FALSE(b->writable);
  EXPECT_TRUE(b->initialised);
  EXPECT_LT(a->serial, b->serial);
  EXPECT_EQ(m.live().size(), 2u);
}

TEST(Memory, RefusesOverlapsAndEmptyRanges) {
  Memory m;
  m.add(pointer(0x10000), 0x100, "a");
  for (const auto& [begin, bytes] : {std::pair{0x10000, 0x100}, {0x0ff01, 0x100}, {0x100ff, 1}, {0x0ff00, 0x1000}}) {
    EXPECT_THROW(m.add(pointer(begin), bytes, "b"), std::logic_error) << begin;
  }
  EXPECT_THROW(m.add(pointer(0x20000), 0, "b"), std::logic_error);
  EXPECT_THROW(m.add(nullptr, 4, "b"), std::logic_error);
  EXPECT_THROW(m.add(pointer(~std::uint64_t{0} - 2), 4, "b"), std::logic_error);
  EXPECT_EQ(m.live().size(), 1u);
  m.add(pointer(0x0ff00), 0x100, "before");
  m.add(pointer(0x10100), 0x100, "after");
}

TEST(Memory, RemembersWhatWasFreed) {
  Memory m;
  const Allocation* a = m.add(pointer(0x10000), 0x100, "global memory");
  const std::uint64_t before = m.version();
  EXPECT_FALSE(m.remove(pointer(0x10010)));
  EXPECT_EQ(m.version(), before);
  EXPECT_TRUE(m.remove(pointer(0x10000)));
  EXPECT_NE(m.version(), before);
  EXPECT_FALSE(m.remove(pointer(0x10000)));
  EXPECT_EQ(m.find(0x10000, 4), nullptr);
  EXPECT_TRUE(a->freed);
  EXPECT_EQ(a->what, "global memory");
  EXPECT_THAT(m.explain(0x10020, 4), HasSubstr("32 bytes inside 256 bytes of global memory"));
  EXPECT_THAT(m.explain(0x10020, 4), HasSubstr("freed"));
  // Another range takes its place, in part: what was freed is forgotten.
  m.add(pointer(0x10080), 0x100, "new");
  EXPECT_THAT(m.explain(0x10020, 4), Not(HasSubstr("freed")));
  EXPECT_THAT(m.explain(0x10020, 4), HasSubstr("96 bytes before 256 bytes of new"));
}

TEST(Memory, ExplainsByTheNearestRange) {
  Memory m;
  EXPECT_THAT(m.explain(0x50000, 4), HasSubstr("there is none"));
  m.add(pointer(0x10000), 0x100, "a");
  m.add(pointer(0x20000), 0x100, "b");
  EXPECT_THAT(m.explain(0, 4), HasSubstr("null pointer"));
  EXPECT_THAT(m.explain(0x10104, 4), HasSubstr("4 bytes past the end of 256 bytes of a"));
  EXPECT_THAT(m.explain(0x1fff0, 4), HasSubstr("16 bytes before 256 bytes of b"));
  EXPECT_THAT(m.explain(0x100fe, 4), HasSubstr("2 bytes past the end of 256 bytes of a"));
  EXPECT_THAT(m.explain(0x90000, 4), HasSubstr("past the end of 256 bytes of b"));
  EXPECT_THAT(m.explain(0x10010, 4), HasSubstr("16 bytes inside 256 bytes of a"));
}

// A shadow belongs to its range and goes with it, though not at once.
TEST(Memory, FreedRangesLoseTheirShadowInTime) {
  Memory m;
  const Allocation* a = m.add(pointer(0x10000), 0x100, "a");
  std::weak_ptr<void> shadow;
  {
    auto made = std::make_shared<int>(1);
    shadow = made;
    a->shadow = made;
  }
  m.remove(pointer(0x10000));
  EXPECT_FALSE(shadow.expired());
  for (int i = 0; i < 64; ++i) {
    m.add(pointer(0x10000), 0x100, "b");
    m.remove(pointer(0x10000));
  }
  EXPECT_TRUE(shadow.expired());
}

TEST(Memory, ReadersSeeWholeTablesWhileItChanges) {
  Memory m;
  const Allocation* fixed = m.add(pointer(0x100000), 0x1000, "fixed");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        if (m.find(0x100800, 16) != fixed) ++wrong;
        const Allocation* other = m.find(0x8000, 4);
        if (other && other->begin != 0x8000) ++wrong;
      }
    });
  }
  for (int i = 0; i < 500; ++i) {
    m.add(pointer(0x8000), 0x1000, "moving");
    m.add(pointer(0x200000 + i * 0x100), 0x100, "more");
    ASSERT_TRUE(m.remove(pointer(0x8000)));
  }
  stop = true;
  for (auto& r : readers) r.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace wavetile::emu
