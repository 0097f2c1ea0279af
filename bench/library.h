// Every kernel of the library with the library's own schedule, at GPT-2's shapes: what reports and tests go through.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "codegen/caps.h"
#include "codegen/passes.h"
#include "dsl/dsl.h"
#include "dsl/schedule.h"

namespace wavetile::bench {

/// Extents that differ from launch to launch; 0 leaves them open.
struct Rows {
  std::int64_t tokens = 0;     // rows of activations
  std::int64_t sequences = 0;  // of a batch
};

struct Sample {
  Kernel kernel;
  Signature signature;
  Schedule schedule;
  std::int64_t integers = 0;  // what its i32 tensors are to hold
  double bytes = 0;           // that a launch has to move, each once; 0: all elements of all tensors
};

/// By name; `weights` is the type of weights and caches. Kernels that have none are there with f32 alone.
std::map<std::string, Sample> library(const Caps& caps, DType weights, const Rows& rows = {});

/// The products and the attention of a prompt: many rows, their number open, inputs in the weights' type. Products are
/// there with the schedule for some dozens of rows, and for many ("matmul, many rows").
std::map<std::string, Sample> prompt_library(const Caps& caps, DType weights);

}  // namespace wavetile::bench
