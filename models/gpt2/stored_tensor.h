// A tensor as a file holds it: a view into the mapping, in one of two orientations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dsl/dtype.h"

namespace wavetile {

/// A view of one tensor in a mapped file, little-endian, not necessarily aligned to its element size. Valid while the
/// file's object lives (moving that is fine).
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;    ///< f32, f16 or bf16
  std::vector<int64_t> shape;  ///< empty for a scalar
  const std::byte* data = nullptr;
  std::string file = {};    ///< its path, for messages
  bool transposed = false;  ///< a matrix of which the file holds the transpose, row-major; otherwise row-major itself

  int64_t size() const;  ///< number of elements
  size_t num_bytes() const { return static_cast<size_t>(size()) * static_cast<size_t>(size_of(dtype)); }
  std::span<const std::byte> bytes() const { return {data, num_bytes()}; }

  /// "[3, 700]": where in `shape` the file's element number `index` stands.
  std::string place(int64_t index) const;
};

/// "[128, 384]"
std::string shape_str(std::span<const int64_t> shape);

/// Converts to f32, row-major whatever the file's orientation; exact for every input. `out.size()` must equal
/// `tensor.size()` (else InternalError).
void to_f32(const StoredTensor& tensor, std::span<float> out);
std::vector<float> to_f32(const StoredTensor& tensor);

}  // namespace wavetile
