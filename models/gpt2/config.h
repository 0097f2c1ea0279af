// A Config in hand is one that the model can run: every field was checked when it was read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace wavetile {

/// The shape of a GPT-2. The comments give the names in Hugging Face's config.json.
struct Config {
  int max_seq_len = 0;      ///< n_positions
  int vocab_size = 0;       ///< vocab_size
  int num_layers = 0;       ///< n_layer
  int num_heads = 0;        ///< n_head
  int channels = 0;         ///< n_embd, a multiple of num_heads
  float layernorm_eps = 0;  ///< layer_norm_epsilon
  bool tied_head = true;    ///< tie_word_embeddings (default true): logits = hidden * wte^T

  int head_size() const { return channels / num_heads; }
  int mlp_channels() const { return 4 * channels; }
  /// Number of parameters, a tied head counted once: 124,439,808 for GPT-2 124M.
  int64_t total_params() const;
};

/// The largest values that a file may ask for; they keep every product of extents far inside 64 bits.
namespace limits {
inline constexpr int kPositions = 1'000'000, kVocab = 10'000'000, kLayers = 10'000, kHeads = 1'000'000,
                     kChannels = 1'000'000;
}

/// A tensor that a model has, under Hugging Face's name without its prefix `transformer.`.
struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
  bool linear = false;  ///< the matrix of a linear layer: [in, out] here, [out, in] in llm.c's files
};

/// Every tensor of such a model, in the order of llm.c's files: the embeddings, each kind for all layers, the last
/// norm; then lm_head.weight if the head is not tied.
std::vector<NamedShape> tensors_of(const Config& config);

/// "124M", "355M", "774M" or "1558M": the configuration of a published GPT-2. Throws Error for another name.
Config published_config(const std::string& size);

/// Reads a config.json of Hugging Face's GPT-2. Throws Error naming the path and the field: missing, of the wrong
/// type, out of range, or asking for arithmetic that is not GPT-2's (another activation, unscaled attention, ...).
Config read_config(const std::filesystem::path& path);

}  // namespace wavetile
