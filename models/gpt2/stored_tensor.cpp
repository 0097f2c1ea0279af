#include "models/gpt2/stored_tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstring>

#include "dsl/error.h"

namespace wavetile {
namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

// memcpy, since a file may place tensors at odd addresses.
template <class Stored, class Convert>
void convert(const StoredTensor& t, std::span<float> out, Convert from) {
  const size_t rows = t.transposed ? static_cast<size_t>(t.shape[0]) : 1, columns = out.size() / rows;
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) {
      Stored value;
      std::memcpy(&value, t.data + (c * rows + r) * sizeof(Stored), sizeof(Stored));
      out[r * columns + c] = from(value);
    }
}

}  // namespace

int64_t StoredTensor::size() const {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

std::string StoredTensor::place(int64_t index) const {
  if (transposed) return shape_str(std::vector{index % shape[0], index / shape[0]});
  std::vector<int64_t> at(shape.size());
  for (size_t d = shape.size(); d-- > 0; index /= shape[d]) at[d] = index % shape[d];
  return shape_str(at);
}

std::string shape_str(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

void to_f32(const StoredTensor& tensor, std::span<float> out) {
  if (static_cast<int64_t>(out.size()) != tensor.size())
    throw InternalError(fmt::format("to_f32: {} elements of '{}' into {}", tensor.size(), tensor.name, out.size()));
  if (out.empty()) return;
  switch (tensor.dtype) {
    case DType::f32:
      return convert<float>(tensor, out, [](float x) { return x; });
    case DType::f16:
      return convert<uint16_t>(tensor, out, from_f16);
    case DType::bf16:
      return convert<uint16_t>(tensor, out, from_bf16);
    default:
      throw InternalError(fmt::format("to_f32: '{}' is {}", tensor.name, name_of(tensor.dtype)));
  }
}

std::vector<float> to_f32(const StoredTensor& tensor) {
  std::vector<float> result(static_cast<size_t>(tensor.size()));
  to_f32(tensor, result);
  return result;
}

}  // namespace wavetile
