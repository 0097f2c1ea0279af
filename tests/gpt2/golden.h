// Reference results beside a checkpoint, and the checkpoints that the tests know.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/gpt2/golden.h"
#include "tests/support/temp_dir.h"

namespace wavetile {

namespace fs = std::filesystem;

inline const fs::path kRoot = WAVETILE_SOURCE_DIR;
inline const fs::path kDemo = kRoot / "models/gpt2/demo";
inline const fs::path kVocab = kRoot / "models/gpt2/vocab";

/// The 124M checkpoint is too large for the repository: $WAVETILE_SHARED, else the folder `shared` beside it.
inline fs::path large_model() {
  const char* shared = std::getenv("WAVETILE_SHARED");
  return (shared ? fs::path(shared) : kRoot.parent_path() / "shared") / "models/gutenberg-124M";
}

/// A copy of the demo model with some elements of a tensor set to these bits of a bf16.
inline void copy_with(const fs::path& to, const std::string& tensor, const std::vector<size_t>& elements,
                      uint16_t bits) {
  fs::copy_file(kDemo / "config.json", to / "config.json");
  std::string bytes = read_file(kDemo / "model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  auto entries = nlohmann::json::parse(bytes.substr(8, header));
  if (!entries.contains(tensor)) throw std::runtime_error("no tensor " + tensor);
  for (size_t e : elements)
    std::memcpy(&bytes[8 + header + entries[tensor]["data_offsets"][0].get<size_t>() + 2 * e], &bits, 2);
  write_file(to / "model.safetensors", bytes);
}
inline void copy_with_nan(const fs::path& to, const std::string& tensor, size_t element) {
  copy_with(to, tensor, {element}, 0x7fc0);
}

}  // namespace wavetile
