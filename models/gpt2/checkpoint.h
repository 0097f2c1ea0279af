// A Checkpoint in hand is complete: every tensor that its config promises is there, with its shape.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/gpt2/config.h"
#include "models/gpt2/llmc.h"
#include "models/gpt2/safetensors.h"

namespace wavetile {

struct WeightAndBias {
  StoredTensor weight, bias;
};

/// One transformer block, C = channels. Linear weights have Hugging Face's shape, [in, out]; in llm.c's files they are
/// stored transposed.
struct LayerTensors {
  WeightAndBias ln_1;         ///< [C], [C]
  WeightAndBias attn_c_attn;  ///< [C, 3C], [3C]: columns are q, k, v, each num_heads * head_size
  WeightAndBias attn_c_proj;  ///< [C, C], [C]
  WeightAndBias ln_2;         ///< [C], [C]
  WeightAndBias mlp_c_fc;     ///< [C, 4C], [4C]
  WeightAndBias mlp_c_proj;   ///< [4C, C], [C]
};

enum class CheckpointFormat { hugging_face, llmc };
/// "Hugging Face" or "llm.c"
std::string_view name_of(CheckpointFormat format);

/// A GPT-2 in one of three places: a Hugging Face directory (config.json and model.safetensors, or the shards that
/// model.safetensors.index.json lists), an llm.c checkpoint (a .bin file), or a directory without a config.json that
/// holds exactly one llm.c checkpoint. Files are mapped, tensors are views into them: nothing is copied.
class Checkpoint {
 public:
  /// Tensor names may carry the prefix `transformer.`; the causal masks that old checkpoints store
  /// (`attn.bias`, `attn.masked_bias`) are ignored. Throws Error naming file, tensor and both shapes.
  explicit Checkpoint(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }  ///< as given
  CheckpointFormat format() const { return llmc_ ? CheckpointFormat::llmc : CheckpointFormat::hugging_face; }
  const Config& config() const { return config_; }

  const StoredTensor& wte() const { return wte_; }  ///< [vocab_size, C]
  const StoredTensor& wpe() const { return wpe_; }  ///< [max_seq_len, C]
  const LayerTensors& layer(int l) const { return layers_.at(static_cast<size_t>(l)); }
  const WeightAndBias& ln_f() const { return ln_f_; }       ///< [C], [C]
  const StoredTensor& lm_head() const { return lm_head_; }  ///< [vocab_size, C]; wte itself if config().tied_head

  /// A tensor by its name in tensors_of(config()).
  StoredTensor tensor(const NamedShape& spec) const { return take(spec.name, spec.shape); }

 private:
  void open();
  void open_files();
  void open_shards(const std::filesystem::path& index);
  const SafeTensors* find(const std::string& name) const;
  StoredTensor take(const std::string& name, const std::vector<int64_t>& shape) const;
  WeightAndBias take_pair(const std::string& name, const std::vector<int64_t>& weight_shape) const;
  void read_head();
  void check_layers_are_all() const;

  std::filesystem::path path_;
  Config config_;
  std::vector<SafeTensors> files_;  // of a Hugging Face directory
  std::optional<LlmcFile> llmc_;
  StoredTensor wte_, wpe_, lm_head_;
  WeightAndBias ln_f_;
  std::vector<LayerTensors> layers_;
};

}  // namespace wavetile
