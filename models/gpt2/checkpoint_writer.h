// Checkpoints are written a tensor at a time: what is held in memory is the largest tensor, not the model.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "models/gpt2/checkpoint.h"
#include "models/gpt2/output_files.h"

namespace wavetile {

/// Fills in a tensor of tensors_of(config), row-major.
using ReadTensor = std::function<void(const NamedShape& spec, std::span<float> out)>;

/// The tensors of a checkpoint, which has to outlive the function.
ReadTensor tensors_from(const Checkpoint& checkpoint);

/// Weights as Hugging Face initializes a GPT-2: normal with a standard deviation of 0.02, divided by sqrt(2 * layers)
/// for the projections back into the residual stream; gains 1, biases 0. The same seed gives the same bits everywhere:
/// a "normal" number is the sum of twelve uniform ones.
ReadTensor random_tensors(const Config& config, uint64_t seed);

/// What is to be written, and how. f32 rounds to 16 bits to nearest even; NaN and infinity stay what they are. A finite
/// number that a type cannot hold is an Error naming tensor and element.
struct CheckpointContent {
  Config config;
  DType dtype = DType::f32;
  ReadTensor read;
  std::function<void(double fraction)> progress = {};
};

/// llm.c's .bin: version 3 for f32, 5 for bf16, the vocabulary padded by zeros to a multiple of 128. Throws Error for
/// f16, an untied head or another epsilon than 1e-5, which the format cannot express.
void write_llmc(const CheckpointContent& content, OutputFile& file);
void check_llmc_can_hold(const Config& config, DType dtype);

/// model.safetensors, and the config.json that goes with it.
void write_safetensors(const CheckpointContent& content, OutputFile& file);
std::string to_config_json(const Config& config, DType dtype);

}  // namespace wavetile
