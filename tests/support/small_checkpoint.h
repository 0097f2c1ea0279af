// Checkpoints of a few hundred bytes, made by hand so that any part of them can be made wrong.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/gpt2/llmc.h"
#include "tests/support/temp_dir.h"

namespace wavetile {

/// A safetensors file with this header in front of this data.
inline std::string safetensors(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8);
  return file + header + data;
}

inline nlohmann::json small_config() {
  return {{"model_type", "gpt2"},
          {"n_positions", 4},
          {"vocab_size", 5},
          {"n_layer", 2},
          {"n_head", 2},
          {"n_embd", 4},
          {"n_inner", nullptr},
          {"layer_norm_epsilon", 1e-5},
          {"activation_function", "gelu_new"}};
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

inline Shapes small_shapes() {
  Shapes shapes = {{"wte.weight", {5, 4}}, {"wpe.weight", {4, 4}}, {"ln_f.weight", {4}}, {"ln_f.bias", {4}}};
  for (const std::string h : {"h.0.", "h.1."}) {
    const std::pair<const char*, std::vector<int64_t>> weights[] = {{"ln_1", {4}},           {"attn.c_attn", {4, 12}},
                                                                    {"attn.c_proj", {4, 4}}, {"ln_2", {4}},
                                                                    {"mlp.c_fc", {4, 16}},   {"mlp.c_proj", {16, 4}}};
    for (const auto& [name, shape] : weights) {
      shapes[h + name + ".weight"] = shape;
      shapes[h + name + ".bias"] = {shape.back()};
    }
  }
  return shapes;
}

/// An F32 file of these tensors; element i of the file is i.
inline std::string f32_file(const Shapes& shapes) {
  nlohmann::json header;
  std::string data;
  float value = 0;
  for (const auto& [name, shape] : shapes) {
    const size_t begin = data.size();
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    for (int64_t i = 0; i < count; ++i, ++value) data.append(reinterpret_cast<const char*>(&value), 4);
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
  return safetensors(header.dump(), data);
}

/// What a case changes before the small checkpoint is written.
struct SmallCheckpoint {
  nlohmann::json config = small_config();
  Shapes shapes = small_shapes();
  void write_to(const std::filesystem::path& directory) const {
    write_file(directory / "config.json", config.dump());
    write_file(directory / "model.safetensors", f32_file(shapes));
  }
};

/// The same shape as an llm.c file, its vocabulary padded to 8: element i after the header is i.
struct SmallLlmc {
  std::array<int32_t, llmc::kHeaderInts> header{llmc::kMagic, llmc::kVersionF32, 4, 5, 2, 2, 4, 8};
  std::vector<float> values =
      numbers(8 * 4 + 4 * 4 + 2 * (4 * 4 + 4 * 12 + 12 + 4 * 4 + 4 + 4 * 16 + 16 + 16 * 4 + 4) + 8);

  std::string bytes() const {
    return {std::string(reinterpret_cast<const char*>(header.data()), sizeof header) +
            std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float))};
  }

 private:
  static std::vector<float> numbers(size_t n) {
    std::vector<float> v(n);
    for (size_t i = 0; i < n; ++i) v[i] = static_cast<float>(i);
    return v;
  }
};

}  // namespace wavetile
