// The matrix instructions: shapes, types, and where AMD's ISA documents and matrix calculator place each element.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "tests/emulator/experiment.h"

namespace wavetile::emu::testing {

enum class Element { f16, bf16, f32, f64, i8, u8, i4, u4, fp8, bf8, i32 };

struct MatrixOp {
  std::string mnemonic;
  int m = 16, n = 16, k = 16, blocks = 1;
  Element a = Element::f16, b = Element::f16, c = Element::f32;
  bool wmma = false;
  bool sparse = false;    // SMFMAC: of 4 elements of A in a row, 2 are stored; K counts all
  std::string modifiers;  // of the assembler
  bool upper = false;     // WMMA: the result is in upper halves
  int cbsz = 0, abid = 0, blgp = 0;
};

/// Every shape and type of the chip, with the modifiers that move data.
std::vector<MatrixOp> matrix_ops(const Chip& chip);
/// The assembler's text, D and C in the same registers or not, in accumulation registers or not.
std::string matrix_text(const MatrixOp& op, int lanes, bool accumulation = false);
std::vector<std::string> matrix_texts(const Chip& chip);

/// Small integers, by block; of a sparse A the places of what is stored are `index`, ascending in each group of four.
struct Matrices {
  std::vector<int> a, b, c, index;
  int& at_a(const MatrixOp& o, int block, int i, int k) {
    return a.at(static_cast<std::size_t>((block * o.m + i) * o.k + k));
  }
  int& at_b(const MatrixOp& o, int block, int k, int j) {
    return b.at(static_cast<std::size_t>((block * o.k + k) * o.n + j));
  }
  int& at_c(const MatrixOp& o, int block, int i, int j) {
    return c.at(static_cast<std::size_t>((block * o.m + i) * o.n + j));
  }
};
Matrices zero_matrices(const MatrixOp& op);
Matrices random_matrices(const MatrixOp& op, std::mt19937& random);

/// The run whose result is A B + C by plain arithmetic.
Experiment matrix_experiment(const MatrixOp& op, const Chip& chip, int lanes, Matrices& matrices,
                             bool accumulation = false);

}  // namespace wavetile::emu::testing
