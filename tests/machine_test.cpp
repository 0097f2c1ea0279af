// The probes at a tiny size: plausible figures, the right loops, errors for bad options. How fast the machine is, is
// not tested.
#include "bench/machine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "bench/machine_loops.h"
#include "dsl/error.h"

namespace wavetile {
namespace {

MachineOptions tiny() {
  MachineOptions options;
  options.read_bytes = std::size_t{1} << 20;
  options.compute_seconds = 1e-4;
  options.launches = 10;
  options.repetitions = 3;
  return options;
}

void expect_plausible(const Measurement& m, double least, double most) {
  EXPECT_EQ(m.repetitions, 3);
  EXPECT_FALSE(m.loop.empty());
  EXPECT_GT(m.lowest, least) << m.loop;
  EXPECT_LT(m.highest, most) << m.loop;
  EXPECT_LE(m.lowest, m.median);
  EXPECT_LE(m.median, m.highest);
}

TEST(Machine, ProbesGivePlausibleFigures) {
  MachineLimits machine(tiny());
  for (int threads : {1, 2, 5}) {
    for (int round = 0; round < 2; ++round) {  // the second reuses buffer, threads and choice of reader
      expect_plausible(machine.read_bandwidth(threads), 1e-5, 1e5);
      expect_plausible(machine.peak_f32(threads), 1e-4, 1e5);
      if (const auto m = machine.peak_bf16_dot(threads)) expect_plausible(*m, 1e-4, 1e6);
      if (const auto m = machine.peak_i8_dot(threads)) expect_plausible(*m, 1e-4, 1e6);
      expect_plausible(machine.launch_overhead(threads), 0, 1e6);
    }
  }
}

TEST(Machine, ReadersReadAlmostEverythingOnce) {
  ASSERT_GE(readers().size(), 8u);
  std::vector<std::uint64_t> words((std::size_t{4} << 20) / 8 + 8);
  const std::size_t offset = (64 - reinterpret_cast<std::uintptr_t>(words.data()) % 64) / 8 % 8;
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = i * 0x9e3779b97f4a7c15u;
  for (const MachineLimits::Reader& reader : readers()) {
    for (std::size_t bytes : {0, 64, 4096, 61 * 64, 4 << 20}) {
      std::uint64_t sum = 0;
      const auto* data = reinterpret_cast<const std::byte*>(words.data() + offset);
      const std::size_t read = reader.read(data, bytes, sum);
      EXPECT_LE(read, bytes) << reader.name;
      EXPECT_EQ(read % 64, 0u) << reader.name;
      EXPECT_GE(read, bytes >= 4096 ? bytes / 8 * 7 : 0) << reader.name;
      std::uint64_t expected = 0;  // streams follow one another, so what is read is the front of the data
      for (std::size_t i = 0; i < read / 8; ++i) expected += words[offset + i];
      EXPECT_EQ(sum, expected) << reader.name << ", " << bytes << " bytes";
    }
  }
}

TEST(Machine, ComputeLoopsStayFinite) {
  for (const auto& loops : {f32_loops(), bf16_dot_loops(), i8_dot_loops()}) {
    for (const MachineLimits::Compute& loop : loops) {
      EXPECT_TRUE(std::isfinite(loop.compute(1000))) << loop.name;
      EXPECT_GT(loop.ops_per_round, 0) << loop.name;
    }
  }
  EXPECT_FALSE(f32_loops().empty());
}

TEST(Machine, F32LoopsComputeTheirRecurrence) {
  for (const MachineLimits::Compute& loop : f32_loops()) {  // a -> a/2 + 1/2 tends to 1 in each accumulator
    EXPECT_FLOAT_EQ(std::fmod(loop.compute(200), 1.0f), 0.0f) << loop.name;
    EXPECT_GE(loop.compute(200), 12.0f) << loop.name;
  }
}

TEST(Machine, BadOptionsNameTheirValue) {
  const auto text = [](MachineOptions options) -> std::string {
    try {
      MachineLimits machine(options);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  MachineOptions options = tiny();
  options.read_bytes = 100;
  EXPECT_NE(text(options).find("read_bytes = 100"), std::string::npos);
  options = tiny();
  options.repetitions = 0;
  EXPECT_NE(text(options).find("repetitions = 0"), std::string::npos);
  options = tiny();
  for (std::size_t bytes : {std::size_t{1} << 60, ~std::size_t{0}}) {
    options.read_bytes = bytes;
    MachineLimits machine(options);
    EXPECT_THROW(machine.read_bandwidth(1), Error) << bytes;
    EXPECT_THROW(machine.read_bandwidth(0), Error) << bytes;
  }
}

TEST(Machine, CpuHasAName) { EXPECT_FALSE(cpu_name().empty()); }

}  // namespace
}  // namespace wavetile
