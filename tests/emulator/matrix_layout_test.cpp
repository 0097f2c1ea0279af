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

// Each element of one factor alone, where the other factor's element k is k + 1 (or what a type can hold).
std::string lit_alone(const MatrixOp& op, const Chip& chip, int lanes) {
  const auto code = code_of(op, chip, lanes);
  const auto mark = [](int k) { return k % 7 + 1; };
  for (int block = 0; block < op.blocks; ++block) {
    for (int row = 0; row < op.m; ++row) {
      for (int k = 0; k < op.k; ++k) {
        if (op.sparse && k % 2 == 0) continue;  // stored are 1 and 3 of each four
        for (const bool left : {true, false}) {
          Matrices m = zero_matrices(op);
          for (int b = 0; b < op.blocks; ++b) {
            for (int r = 0; r < op.m; ++r) {
              for (int j = 0; j < op.k; ++j) (left ? m.at_b(op, b, j, r) : m.at_a(op, b, r, j)) = mark(j);
            }
          }
          (left ? m.at_a(op, block, row, k) : m.at_b(op, block, k, row)) = 1;
          for (int r = 0; op.sparse && !left && r < op.m; ++r) {
            for (int j = 0; j < op.k; j += 2) m.at_a(op, 0, r, j) = 0;
          }
          const std::string wrong = run(matrix_experiment(op, chip, lanes, m), code);
          if (!wrong.empty())
            return fmt::format("{} alone at block {}, {}, {}:\n{}", left ? "A" : "B", block, row, k, wrong);
        }
      }
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
