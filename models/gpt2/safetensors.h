// A safetensors file is checked as a whole before any byte of it is used: after SafeTensors' constructor
// every tensor's bytes lie inside the mapping, belong to no other tensor, and number shape * sizeof(dtype).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/gpt2/mapped_file.h"
#include "models/gpt2/stored_tensor.h"

namespace wavetile {

class SafeTensors {
 public:
  /// Maps and validates the file; copies no tensor. Throws Error naming the path, the tensor and the field.
  /// The format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, the data
  /// without holes).
  explicit SafeTensors(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  std::vector<std::string> names() const;  ///< sorted

  /// Throws Error if there is no such tensor, or its dtype is not F32, F16 or BF16. A tensor of another dtype
  /// in the file is no error until it is asked for here.
  StoredTensor get(std::string_view name) const;

 private:
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    size_t begin = 0, end = 0;  // relative to data_
  };

  MappedFile file_;
  const std::byte* data_ = nullptr;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace wavetile
