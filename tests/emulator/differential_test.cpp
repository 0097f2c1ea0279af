// Random programs, compiled by LLVM for the host and for the chips, give the same bits; and the fuzzer itself finds and
// reduces what differs. WAVETILE_SEED chooses the programs.
#include <gtest/gtest.h>

#include <cstdlib>

#include <fmt/format.h>

#include "emulator/fuzz/generate.h"
#include "emulator/fuzz/harness.h"
#include "emulator/fuzz/reduce.h"
#include "emulator/fuzz/session.h"

namespace wavetile::fuzz {
namespace {

constexpr std::uint64_t kPrograms = 800, kPart = 40;

std::uint64_t seed() {
  const char* s = std::getenv("WAVETILE_SEED");
  return s ? std::strtoull(s, nullptr, 10) : 1;
}

void expect_agreement(std::uint64_t first, bool checks) {
  Settings s;
  s.seed = seed(), s.first = first, s.programs = kPart, s.configurations = kAllChips, s.checks = checks,
  s.reduce = false;
  fmt::print("WAVETILE_SEED={}, programs {} to {}\n", s.seed, first, first + kPart - 1);
  const Summary sum = fuzz(s, [](std::uint64_t) {});
  EXPECT_EQ(sum.programs, kPart);
  for (const Failure& f : sum.failures)
    if (f.kind != "llvm")
      ADD_FAILURE() << fmt::format(
          "wavetile-emu-fuzz --seed {} --first {} --programs 1 --chip {} --level {}{} --out DIR: {}", s.seed, f.number,
          f.configuration, f.level, checks ? " --checks" : "", f.words);
}

class Differential : public testing::TestWithParam<std::uint64_t> {};
TEST_P(Differential, ProgramsGiveTheHostsBits) { expect_agreement(GetParam() * kPart, false); }
INSTANTIATE_TEST_SUITE_P(Part, Differential, testing::Range(std::uint64_t{0}, kPrograms / kPart));

class DifferentialChecked : public testing::TestWithParam<std::uint64_t> {};
TEST_P(DifferentialChecked, CorrectProgramsGiveNoReport) { expect_agreement(kPrograms + GetParam() * kPart, true); }
INSTANTIATE_TEST_SUITE_P(Part, DifferentialChecked, testing::Range(std::uint64_t{0}, std::uint64_t{5}));

bool holds(const Block& block, std::string_view name) {
  for (const Statement& s : block.body) {
    if (s.operation->name == name) return true;
    for (const Block& inner : s.blocks)
      if (holds(inner, name)) return true;
  }
  return false;
}

int statements(const Block& block) {
  int n = 0;
  for (const Statement& s : block.body) {
    ++n;
    for (const Block& inner : s.blocks) n += statements(inner);
  }
  return n;
}

TEST(Fuzzer, ReducesToWhatFails) {
  int tried = 0;
  for (std::uint64_t number = 0; tried < 5; ++number) {
    const Program p = generate(7, number);
    auto fails = [](const Program& q) { return holds(q.body, "loop") && holds(q.body, "mul"); };
    if (!fails(p)) continue;
    ASSERT_LT(number, 100u) << "hardly any program could be reduced";
    // Where nothing depends on the loop or the product, they go with the dead code, and there is nothing to reduce.
    bool live = false;
    const Program small = reduce(p, [&](const Program& q) { return fails(q) && (live = true); });
    if (!live) continue;
    ++tried;
    EXPECT_TRUE(fails(small));
    EXPECT_LT(statements(small.body), 16) << write({&small}, Side::host);
  }
}

// The host's code at two levels of optimisation: the reference does not depend on LLVM's optimiser, and programs have
// no undefined behaviour that it would use.
TEST(Fuzzer, ReferenceIsTheSameOptimised) {
  std::vector<Program> programs;
  std::vector<const Program*> pointers;
  for (std::uint64_t i = 0; i < 40; ++i) programs.push_back(generate(seed() + 1, i));
  for (const Program& p : programs) pointers.push_back(&p);
  std::vector<Result> results;
  for (int level : {0, 2}) {
    Harness h(false);
    h.prepare(pointers, level);
    for (std::size_t i = 0; i < programs.size(); ++i) {
      const Result r = h.expected(programs[i], make_data(programs[i]), configurations()[i % 5]);
      if (level == 0) {
        results.push_back(r);
      } else {
        EXPECT_EQ(difference(programs[i], results[i], r), "") << "program " << i;
      }
    }
  }
}

TEST(Fuzzer, OneWrongBitIsADifference) {
  const Program p = generate(3, 5);
  ASSERT_FALSE(p.output.empty());
  Result a{std::vector<std::uint8_t>(std::size_t{kItems} * kOutputBytes), {}, {}}, b = a;
  EXPECT_EQ(difference(p, a, b), "");
  b.out[static_cast<std::size_t>(77 * kOutputBytes + p.output.back().offset)] ^= 1;
  EXPECT_NE(difference(p, a, b), "");
}

}  // namespace
}  // namespace wavetile::fuzz
