#include "models/gpt2/checkpoint_writer.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "dsl/error.h"

namespace wavetile {
namespace {

constexpr int kVocabMultiple = 128;  // of train_gpt2.py

int64_t count_of(const NamedShape& spec) {
  int64_t product = 1;
  for (int64_t extent : spec.shape) product *= extent;
  return product;
}

// Elements in the order of the file, `rows` x `columns` of them; transposed: the file has the transpose.
class Encoder {
 public:
  Encoder(const CheckpointContent& content, OutputFile& file) : content_(content), file_(file) {}

  void tensor(const NamedShape& spec, bool transposed) {
    values_.resize(static_cast<size_t>(count_of(spec)));
    content_.read(spec, values_);
    const size_t rows = static_cast<size_t>(spec.shape[0]), columns = values_.size() / rows;
    for (size_t o = 0; o < (transposed ? columns : rows); ++o)
      for (size_t i = 0; i < (transposed ? rows : columns); ++i)
        put(spec, transposed ? i * columns + o : o * columns + i);
    flush();
    done_ += count_of(spec);
    if (content_.progress)
      content_.progress(static_cast<double>(done_) / static_cast<double>(content_.config.total_params()));
  }

 private:
  void put(const NamedShape& spec, size_t index) {
    const float x = values_[index];
    const DType dtype = content_.dtype;
    float kept = x;
    if (dtype == DType::f32) {
      append(x);
    } else {
      const uint16_t h = dtype == DType::bf16 ? to_bf16(x) : to_f16(x);
      kept = dtype == DType::bf16 ? from_bf16(h) : from_f16(h);
      append(h);
    }
    if (std::isinf(kept) && !std::isinf(x))
      throw Error(fmt::format("tensor '{}': element {} is {}, which {} cannot hold; choose --dtype {}", spec.name,
                              StoredTensor{spec.name, DType::f32, spec.shape}.place(static_cast<int64_t>(index)), x,
                              name_of(dtype), dtype == DType::f16 ? "bf16 or f32" : "f32"));
  }

  template <class T>
  void append(T value) {
    std::memcpy(block_.data() + used_, &value, sizeof value);
    used_ += sizeof value;
    if (used_ == block_.size()) flush();
  }
  void flush() {
    file_.write({block_.data(), used_});
    used_ = 0;
  }

  const CheckpointContent& content_;
  OutputFile& file_;
  std::vector<float> values_;
  std::array<char, 1 << 16> block_{};
  size_t used_ = 0;
  int64_t done_ = 0;
};

// SplitMix64's output function.
uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// Mean 0, variance 1 (twelve of 1/12 each), exact in f32 up to one rounding.
float normal(uint64_t key, uint64_t index) {
  int32_t sum = -6 * 65535;
  for (uint64_t j = 0; j < 3; ++j) {
    uint64_t bits = mix(key + (3 * index + j + 1) * 0x9e3779b97f4a7c15);
    for (; bits; bits >>= 16) sum += static_cast<int32_t>(bits & 0xffff);
  }
  return static_cast<float>(sum) / 65536;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

ReadTensor tensors_from(const Checkpoint& checkpoint) {
  return [&checkpoint](const NamedShape& spec, std::span<float> out) {
    const StoredTensor stored = checkpoint.tensor(spec);
    to_f32(stored, out);
    release_pages(stored.bytes());
  };
}

ReadTensor random_tensors(const Config& config, uint64_t seed) {
  const float deviation = 0.02f, residual = deviation / std::sqrt(2 * static_cast<float>(config.num_layers));
  return [=](const NamedShape& spec, std::span<float> out) {
    if (spec.shape.size() == 1) {
      const bool gain = spec.name.find("ln_") != std::string::npos && ends_with(spec.name, ".weight");
      std::fill(out.begin(), out.end(), gain ? 1.f : 0.f);
      return;
    }
    const float scale = ends_with(spec.name, "c_proj.weight") ? residual : deviation;
    const uint64_t key = XXH3_64bits_withSeed(spec.name.data(), spec.name.size(), seed);
    for (size_t i = 0; i < out.size(); ++i) out[i] = scale * normal(key, i);
  };
}

void check_llmc_can_hold(const Config& config, DType dtype) {
  if (dtype == DType::f16) throw Error("llm.c's checkpoints have no f16; choose --dtype f32 or bf16");
  if (!config.tied_head) throw Error("llm.c's checkpoints have no output matrix of their own; choose --format hf");
  if (config.layernorm_eps != 1e-5f)
    throw Error(fmt::format("llm.c's checkpoints have a layer_norm_epsilon of 1e-05, not {}; choose --format hf",
                            config.layernorm_eps));
}

void write_llmc(const CheckpointContent& content, OutputFile& file) {
  const Config& c = content.config;
  check_llmc_can_hold(c, content.dtype);
  const int padded = (c.vocab_size + kVocabMultiple - 1) / kVocabMultiple * kVocabMultiple;
  std::array<int32_t, llmc::kHeaderInts> header{};
  header[llmc::kMagicField] = llmc::kMagic;
  header[llmc::kVersion] = content.dtype == DType::f32 ? llmc::kVersionF32 : llmc::kVersionBf16;
  header[llmc::kMaxSeqLen] = c.max_seq_len;
  header[llmc::kVocabSize] = c.vocab_size;
  header[llmc::kNumLayers] = c.num_layers;
  header[llmc::kNumHeads] = c.num_heads;
  header[llmc::kChannels] = c.channels;
  header[llmc::kPaddedVocabSize] = padded;
  file.write({reinterpret_cast<const char*>(header.data()), sizeof header});
  Encoder encoder(content, file);
  for (const NamedShape& spec : tensors_of(c)) {
    encoder.tensor(spec, spec.linear);
    if (spec.name == "wte.weight")
      file.write(
          std::string(static_cast<size_t>(int64_t{padded - c.vocab_size} * c.channels * size_of(content.dtype)), '\0'));
  }
}

void write_safetensors(const CheckpointContent& content, OutputFile& file) {
  const char* dtype = content.dtype == DType::f32 ? "F32" : content.dtype == DType::bf16 ? "BF16" : "F16";
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  int64_t offset = 0;
  const std::vector<NamedShape> specs = tensors_of(content.config);
  for (const NamedShape& spec : specs) {
    const int64_t end = offset + count_of(spec) * size_of(content.dtype);
    header["transformer." + spec.name] = {{"dtype", dtype}, {"shape", spec.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data are aligned
  const uint64_t size = text.size();
  file.write({reinterpret_cast<const char*>(&size), sizeof size});
  file.write(text);
  Encoder encoder(content, file);
  for (const NamedShape& spec : specs) encoder.tensor(spec, false);
}

std::string to_config_json(const Config& c, DType dtype) {
  const nlohmann::ordered_json config = {
      {"model_type", "gpt2"},
      {"architectures", {"GPT2LMHeadModel"}},
      {"n_layer", c.num_layers},
      {"n_head", c.num_heads},
      {"n_embd", c.channels},
      {"n_ctx", c.max_seq_len},
      {"n_positions", c.max_seq_len},
      {"vocab_size", c.vocab_size},
      {"activation_function", "gelu_new"},
      {"layer_norm_epsilon", std::stod(fmt::format("{}", c.layernorm_eps))},  // 1e-05, not its nearest float
      {"tie_word_embeddings", c.tied_head},
      {"torch_dtype", dtype == DType::f32    ? "float32"
                      : dtype == DType::bf16 ? "bfloat16"
                                             : "float16"}};
  return config.dump(1) + "\n";
}

}  // namespace wavetile
