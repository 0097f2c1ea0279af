// Matrix instructions: each element of A and of B alone, and random small integers, against plain arithmetic.
#include <string>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/emulator/matrix_cases.h"

namespace wavetile::emu::testing {
namespace {

std::vector<std::byte> code_of(const MatrixOp& op, const Chip& chip, int lanes, bool accumulation = false) {
  std::string why;
  auto code = assemble_all(chip, lanes, {matrix_text(op, lanes, accumulation)}, &why)[0];
  EXPECT_FALSE(code.empty()) << why;
  return code;
}

// One factor has a single 1 in each row of A, or in each column of B, which are independent of each other; the other
// factor's elements tell k and column (row) apart. In as many runs as K is deep, each element is the 1 of its row once.
std::string lit_alone(const MatrixOp& op, const Chip& chip, int lanes) {
  const auto code = code_of(op, chip, lanes);
  const auto mark = [](int k, int other) { return (k + 3 * other) % 7 + 1; };
  for (int shift = 0; shift < op.k; ++shift) {
    for (const bool left : {true, false}) {
      Matrices m = zero_matrices(op);
      for (int block = 0; block < op.blocks; ++block) {
        for (int row = 0; row < op.m; ++row) {
          const int lit = (5 * row + block + shift) % op.k;
          for (int k = 0; k < op.k; ++k) {
            if (left) {
              m.at_b(op, block, k, row) = mark(k, row);
            } else if (!op.sparse || k % 2 == 1) {  // stored are 1 and 3 of each four
              m.at_a(op, block, row, k) = mark(k, row);
            }
          }
          if (left) {
            m.at_a(op, block, row, op.sparse ? lit | 1 : lit) = 1;
          } else {
            m.at_b(op, block, lit, row) = 1;
          }
        }
      }
      const std::string wrong = run(matrix_experiment(op, chip, lanes, m), code);
      if (!wrong.empty()) return fmt::format("{} lit, shift {}:\n{}", left ? "A" : "B", shift, wrong);
    }
  }
  return "";
}

using Shape = std::tuple<const char*, int, std::size_t>;  // chip, lanes, which operation
class MatrixInstructions : public ::testing::TestWithParam<Shape> {
 protected:
  const Chip& chip() const { return *find_chip(std::get<0>(GetParam())); }
  int lanes() const { return std::get<1>(GetParam()); }
  MatrixOp op() const { return matrix_ops(chip()).at(std::get<2>(GetParam())); }
};

TEST_P(MatrixInstructions, PutEachElementInItsPlace) {
  if (op().wmma || op().modifiers.empty()) {
    EXPECT_EQ(lit_alone(op(), chip(), lanes()), "");
  }
}

TEST_P(MatrixInstructions, MultiplyRandomIntegers) {
  std::mt19937 random(1);
  for (const bool accumulation : {false, true}) {
    if (accumulation && (chip().family == Family::rdna3 || op().sparse)) continue;
    const auto code = code_of(op(), chip(), lanes(), accumulation);
    for (int i = 0; i < 20; ++i) {
      Matrices m = random_matrices(op(), random);
      ASSERT_EQ(run(matrix_experiment(op(), chip(), lanes(), m, accumulation), code), "");
    }
  }
}

std::vector<Shape> shapes() {
  std::vector<Shape> out;
  for (const auto& [name, lanes] : {std::tuple{"gfx1151", 32}, {"gfx1151", 64}, {"gfx942", 64}}) {
    for (std::size_t i = 0; i < matrix_ops(*find_chip(name)).size(); ++i) out.emplace_back(name, lanes, i);
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, MatrixInstructions, ::testing::ValuesIn(shapes()), [](const auto& info) {
  const auto& name = std::get<0>(info.param);
  std::string text = fmt::format("{}_wave{}_{}", name, std::get<1>(info.param),
                                 matrix_ops(*find_chip(name)).at(std::get<2>(info.param)).mnemonic.substr(2));
  return text + "_" + std::to_string(std::get<2>(info.param));
});

}  // namespace
}  // namespace wavetile::emu::testing
