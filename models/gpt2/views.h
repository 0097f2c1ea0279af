// Views that the plans take of their tensors. Nothing is copied; extents and strides are in elements.
#pragma once

#include "dsl/tensor_view.h"

namespace wavetile {

inline char* at(const TensorView& v, int64_t elements) {
  return static_cast<char*>(v.data) + elements * size_of(v.dtype);
}

/// [sequences, rows, ...] of [sequences * rows, ...]
inline TensorView in_sequences(const TensorView& v, int64_t sequences) {
  TensorView s = v;
  s.extents[0] /= sequences;
  s.extents.insert(s.extents.begin(), sequences);
  // One sequence has no next one: then the stride is one that does not change with the number of rows, and neither does
  // the kernel that is compiled for it.
  s.strides.insert(s.strides.begin(), sequences == 1 ? v.strides[0] : s.extents[1] * v.strides[0]);
  return s;
}

/// [..., heads, rows, size]: a block of columns of [..., rows, columns], from column `first` on.
inline TensorView as_heads(const TensorView& rows, int64_t first, int64_t heads, int64_t size) {
  TensorView h = rows;
  h.data = at(rows, first);
  h.extents.back() = size;
  h.extents.insert(h.extents.end() - 2, heads);
  h.strides.insert(h.strides.end() - 2, size * rows.strides.back());
  return h;
}

/// [columns] of the only row of [1, columns].
inline TensorView as_vector(const TensorView& row) { return {row.dtype, row.data, {row.extents[1]}, {row.strides[1]}}; }

/// Rows first .. first + count.
inline TensorView rows_of(const TensorView& rows, int64_t first, int64_t count) {
  TensorView v = rows;
  v.data = at(rows, first * rows.strides[0]);
  v.extents[0] = count;
  return v;
}

/// Row `which` of each group of `group` rows.
inline TensorView every(const TensorView& rows, int64_t group, int64_t which) {
  TensorView v = rows_of(rows, which, rows.extents[0] / group);
  if (v.extents[0] > 1) v.strides[0] *= group;
  return v;
}

/// The tensor without its first dimension, at coordinate `which` of it.
inline TensorView slice(const TensorView& v, int64_t which) {
  return {v.dtype,
          at(v, which * v.strides[0]),
          {v.extents.begin() + 1, v.extents.end()},
          {v.strides.begin() + 1, v.strides.end()}};
}

inline double bytes_of(const TensorView& v) {
  double n = size_of(v.dtype);
  for (int64_t e : v.extents) n *= static_cast<double>(e);
  return n;
}

}  // namespace wavetile
