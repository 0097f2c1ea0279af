// llm.c's checkpoints (train_gpt2.py's write_model, train_gpt2.cu's gpt2_write_to_checkpoint): a header of 256 int32,
// then every tensor without gaps, all in one type. After LlmcFile's constructor the file is exactly as long as its
// header says, so every tensor lies inside the mapping.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "models/gpt2/config.h"
#include "models/gpt2/mapped_file.h"
#include "models/gpt2/stored_tensor.h"

namespace wavetile {

namespace llmc {
inline constexpr int32_t kMagic = 20240326, kVersionF32 = 3, kVersionBf16 = 5;
/// Places in the header, in int32; the rest of it is zero.
enum Field { kMagicField, kVersion, kMaxSeqLen, kVocabSize, kNumLayers, kNumHeads, kChannels, kPaddedVocabSize };
inline constexpr int kHeaderInts = 256;
inline constexpr size_t kHeaderBytes = kHeaderInts * sizeof(int32_t);
}  // namespace llmc

class LlmcFile {
 public:
  /// Maps and validates the file; copies no tensor. Throws Error naming the path and the field of the header.
  explicit LlmcFile(const std::filesystem::path& path);

  /// Whether the path is a file that begins with the magic number of a checkpoint.
  static bool is_one(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const Config& config() const { return config_; }  ///< layernorm_eps is 1e-5 and the head tied in every such file
  DType dtype() const { return dtype_; }

  /// A tensor of tensors_of(config()), linear weights transposed as the file has them; wte without its padding rows.
  const StoredTensor& get(std::string_view name) const { return tensors_.find(name)->second; }

 private:
  int64_t read_header();

  MappedFile file_;
  Config config_;
  DType dtype_ = DType::f32;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

}  // namespace wavetile
