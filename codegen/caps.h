// What a machine can do, as the passes see it.
#pragma once

#include <string>
#include <vector>

#include "codegen/matrix.h"

namespace wavetile {

struct Caps {
  std::string name;
  int lanes = 1;                        // a power of two
  bool simd = false;                    // lanes are explicit vectors
  int max_warps = 1;                    // of a block
  int compute_units = 1;                // of a chip's largest model: each runs blocks of its own
  int max_registers = 16;               // a tile may take in a thread before it is walked in pieces
  int accumulators = 1 << 20;           // registers that a dot may sum in at a time, beside its operands
  int vector_bytes = 16;                // the widest memory access of a thread with implicit lanes
  int shared_bytes = 0;                 // of a block
  bool bf16_dot = false;                // dots of two bf16 tiles take two steps of k at a time, and that pays
  std::vector<MatrixUnit> matrix = {};  // the first that fits a dot is taken
};

}  // namespace wavetile
