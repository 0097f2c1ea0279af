// The weights as the kernels read them: one buffer, laid out once. Matrices are stored in the compute type in the
// packing that the kernels' schedules ask for; gains and biases in f32.
#pragma once

#include <functional>
#include <vector>

#include "dsl/error.h"
#include "models/gpt2/checkpoint.h"
#include "runtime/device.h"

namespace wavetile {

struct LinearWeights {
  TensorView weight;  // [in, out]
  TensorView bias;    // [out], f32
};
struct NormWeights {
  TensorView gain, bias;  // [C], f32
};
struct LayerWeights {
  NormWeights ln_1, ln_2;
  LinearWeights qkv, projection, fc, fc_projection;
};

struct Weights {
  DType dtype;
  BufferPtr buffer;
  TensorView tokens;     // [C, vocab]: the embedding, transposed; the output matrix too where they are tied
  TensorView head;       // [C, vocab]
  TensorView positions;  // [max_seq_len, C]
  std::vector<LayerWeights> layers;
  NormWeights ln_f;

  size_t bytes = 0;          // of the buffer
  size_t bytes_a_token = 0;  // what a decoded token has to read: everything but the position table, the head once
};

/// A weight is NaN or infinite, in the file or after conversion to the compute type.
class BadWeights : public Error {
 public:
  using Error::Error;
};

/// Converts (f32 -> bf16 and f16 round to nearest even) and packs, on the device's threads. Pages of the file are given
/// back as they have been read: while it runs, the process holds the weights and a few megabytes. `progress` is called
/// on this thread with the fraction done, from 0 to 1.
/// @throws BadWeights naming file, tensor and element.
Weights load_weights(const Checkpoint& checkpoint, Device& device, DType dtype,
                     const std::function<void(double fraction)>& progress = {});

}  // namespace wavetile
