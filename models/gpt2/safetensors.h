// A safetensors file is checked as a whole before any byte of it is used: after SafeTensors' constructor
// every tensor's bytes lie inside the mapping, belong to no other tensor, and number shape * sizeof(dtype).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dsl/dtype.h"

namespace wavetile {

/// A regular file, mapped read-only and private. The file must not be truncated while it is mapped.
class MappedFile {
 public:
  /// Throws Error naming the path if it is missing, a directory, not a regular file, or not readable.
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Parses JSON out of a file. Throws Error: "<where>: not valid JSON: <what and at which byte>".
nlohmann::json parse_json(std::string_view text, const std::string& where);

/// A value of an untrusted file for a message: escaped to ASCII, and short whatever the file holds.
std::string excerpt(const nlohmann::json& value);

/// A view of one tensor in a file: row-major, little-endian, not necessarily aligned to its element size.
/// Valid while the SafeTensors it came from lives (moving that is fine).
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;    ///< f32, f16 or bf16
  std::vector<int64_t> shape;  ///< empty for a scalar
  const std::byte* data = nullptr;

  int64_t size() const;  ///< number of elements
  size_t num_bytes() const { return static_cast<size_t>(size()) * static_cast<size_t>(size_of(dtype)); }
};

/// "[128, 384]"
std::string shape_str(std::span<const int64_t> shape);

/// Converts to f32, row-major; exact for every input. `out.size()` must equal `tensor.size()` (else InternalError).
void to_f32(const StoredTensor& tensor, std::span<float> out);
std::vector<float> to_f32(const StoredTensor& tensor);

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
