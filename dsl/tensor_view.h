// A tensor in memory, as a launch sees it: where it is and how far apart its elements are. It owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dsl/dtype.h"

namespace wavetile {

struct TensorView {
  DType dtype = DType::f32;
  void* data = nullptr;
  std::vector<int64_t> extents;  // elements
  std::vector<int64_t> strides;  // elements; any sign, 0 repeats (reads only)

  int rank() const { return static_cast<int>(extents.size()); }
};

/// Strides of a dense row-major tensor.
inline std::vector<int64_t> row_major(const std::vector<int64_t>& extents) {
  std::vector<int64_t> strides(extents.size(), 1);
  for (size_t d = extents.size(); d-- > 1;) strides[d - 1] = strides[d] * extents[d];
  return strides;
}

template <class T>
TensorView dense(DType dtype, T* data, std::vector<int64_t> extents) {
  auto strides = row_major(extents);
  return {dtype, const_cast<void*>(static_cast<const void*>(data)), std::move(extents), std::move(strides)};
}

}  // namespace wavetile
