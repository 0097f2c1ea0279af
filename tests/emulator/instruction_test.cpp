// Every instruction of tests/emulator/instructions against what AMD's documents say, written down there as bits.
#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/emulator/vector_cases.h"

namespace wavetile::emu::testing {
namespace {

struct Target {
  const char* chip;
  int lanes;
};
constexpr std::array<Target, 3> kTargets{{{"gfx1151", 32}, {"gfx1151", 64}, {"gfx942", 64}}};
constexpr int kShards = 4;

std::string data(const std::string& name) {
  return std::string(WAVETILE_SOURCE_DIR "/tests/emulator/instructions/") + name + ".txt";
}

class Failures {
 public:
  void add(const std::string& text) {
    if (text.empty()) return;
    if (++count_ <= 20) text_ += text;
  }
  void add_run(const Ready& r) {
    ++runs_;
    add(run(r.experiment, r.code));
  }
  void check() const {
    EXPECT_GT(runs_, 0);
    EXPECT_EQ(count_, 0) << "of " << runs_ << "; the first are\n" << text_;
  }

 private:
  std::string text_;
  int count_ = 0, runs_ = 0;
};

struct VectorShard {
  const char* file;
  Target target;
  int shard;
};

class VectorInstructions : public ::testing::TestWithParam<VectorShard> {};

TEST_P(VectorInstructions, GiveWhatTheDocumentsSay) {
  const VectorShard p = GetParam();
  const Chip& chip = *find_chip(p.target.chip);
  Failures failures;
  int number = 0;
  for (const Block& block : read_blocks(data(p.file))) {
    if (number++ % kShards != p.shard) continue;
    for (const std::string& mnemonic : block.mnemonics) {
      for (const Ready& r : expand(block, mnemonic, chip, p.target.lanes)) failures.add_run(r);
    }
  }
  failures.check();
}

std::vector<VectorShard> vector_shards() {
  std::vector<VectorShard> out;
  for (const char* file : {"vector_float", "vector_int", "vector_convert"}) {
    for (const Target& target : kTargets) {
      for (int shard = 0; shard < kShards; ++shard) out.push_back({file, target, shard});
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, VectorInstructions, ::testing::ValuesIn(vector_shards()), [](const auto& info) {
  return fmt::format("{}_{}_wave{}_{}", info.param.file, info.param.target.chip, info.param.target.lanes, info.param.shard);
});

}  // namespace
}  // namespace wavetile::emu::testing
