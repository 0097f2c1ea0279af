// Every instruction of tests/emulator/instructions against what AMD's documents say, written down there as bits.
#include <array>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/emulator/state_cases.h"
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

void PrintTo(const Target& t, std::ostream* out) { *out << t.chip << " wave" << t.lanes; }
void PrintTo(const VectorShard& s, std::ostream* out) { *out << s.file << " " << s.target.chip << " " << s.shard; }

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

class StateInstructions : public ::testing::TestWithParam<std::tuple<const char*, Target>> {};

TEST_P(StateInstructions, GiveWhatTheDocumentsSay) {
  const auto& [file, target] = GetParam();
  const Chip& chip = *find_chip(target.chip);
  std::vector<Experiment> experiments;
  std::vector<std::string> texts;
  for (const StateLine& line : read_state_lines(data(file))) {
    if (!line.fits(chip, target.lanes)) continue;
    experiments.push_back(experiment(line, chip, target.lanes));
    texts.push_back(experiments.back().text);
  }
  const auto code = assemble_all(chip, target.lanes, texts);
  Failures failures;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_FALSE(code[i].empty()) << experiments[i].where << ": no instruction of " << chip.name << ": " << texts[i];
    if (!code[i].empty()) failures.add_run({experiments[i], code[i]});
  }
  failures.check();
}

constexpr std::array<Target, 4> kAllTargets{{{"gfx1151", 32}, {"gfx1151", 64}, {"gfx1100", 32}, {"gfx942", 64}}};

INSTANTIATE_TEST_SUITE_P(All, StateInstructions,
                         ::testing::Combine(::testing::Values("state_scalar", "state_lanes", "state_control",
                                                              "state_memory"),
                                            ::testing::ValuesIn(kAllTargets)),
                         [](const auto& info) {
                           const Target& target = std::get<1>(info.param);
                           return fmt::format("{}_{}_wave{}", std::get<0>(info.param), target.chip, target.lanes);
                         });
INSTANTIATE_TEST_SUITE_P(All, VectorInstructions, ::testing::ValuesIn(vector_shards()), [](const auto& info) {
  return fmt::format("{}_{}_wave{}_{}", info.param.file, info.param.target.chip, info.param.target.lanes,
                     info.param.shard);
});

}  // namespace
}  // namespace wavetile::emu::testing
