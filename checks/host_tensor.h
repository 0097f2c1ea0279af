// Tensors for checking kernels: elements on the host in any layout, random or given. Outputs start as a pattern that no
// kernel computes.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "dsl/tensor_view.h"

namespace wavetile {

/// The byte that outputs are made of: as f32 and bf16 -2.9e-16, as f16 -0.022; never computed here by chance.
inline constexpr unsigned char kPattern = 0xA5;

/// A tensor with memory of its own, in which it may lie with any positive strides and offset.
struct HostTensor {
  DType dtype = DType::f32;
  std::vector<int64_t> extents, strides;  // elements
  int64_t offset = 0;                     // elements before the first one
  std::vector<char> bytes;

  HostTensor(DType dtype, std::vector<int64_t> extents, std::vector<int64_t> strides = {}, int64_t offset = 0);
  TensorView view();
  int64_t elements() const;
  double get(int64_t i) const;  // the i-th element in row-major order
  void set(int64_t i, double x);

  size_t place(int64_t i) const;  // its byte
};

/// The seed of a test's random numbers; WAVETILE_SEED overrides it. Failures print it.
uint64_t seed();
std::mt19937_64& random_engine();

enum class Values { normal, edges };  // edges: some infinities, NaNs, zeros of both signs, denormals, extremes
/// Floats uniform in [-scale, scale], integers in the range that `scale` leaves of the type.
HostTensor random_tensor(DType t, std::vector<int64_t> extents, double scale = 1, Values values = Values::normal);
/// Integers uniform in [lo, hi].
HostTensor random_integers(DType t, std::vector<int64_t> extents, int64_t lo, int64_t hi);
HostTensor tensor_of(DType t, std::vector<int64_t> extents, const std::vector<double>& values);
/// An output: the pattern everywhere.
HostTensor output(DType t, std::vector<int64_t> extents);
/// The same elements with other strides and offset (elements).
HostTensor strided(const HostTensor& t, std::vector<int64_t> strides, int64_t offset = 0);

/// Of the i-th element in row-major order.
std::vector<int64_t> coordinates(const std::vector<int64_t>& extents, int64_t i);

}  // namespace wavetile
