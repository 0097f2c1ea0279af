#include "checks/host_tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace wavetile {
namespace {

double read(DType t, const char* p) {
  auto as = [&]<class T>(T x) {
    std::memcpy(&x, p, sizeof x);
    return x;
  };
  switch (t) {
    case DType::f32:
      return as(float{});
    case DType::f16:
      return from_f16(as(uint16_t{}));
    case DType::bf16:
      return from_bf16(as(uint16_t{}));
    case DType::i32:
      return as(int32_t{});
    case DType::i8:
      return as(int8_t{});
    case DType::u8:
    case DType::b1:
      return as(uint8_t{});
  }
  return 0;
}
void write(DType t, char* p, double x) {
  auto put = [&](auto v) { std::memcpy(p, &v, sizeof v); };
  switch (t) {
    case DType::f32:
      return put(static_cast<float>(x));
    case DType::f16:
      return put(to_f16(static_cast<float>(x)));
    case DType::bf16:
      return put(to_bf16(static_cast<float>(x)));
    case DType::i32:
      return put(static_cast<int32_t>(x));
    case DType::i8:
      return put(static_cast<int8_t>(x));
    case DType::u8:
    case DType::b1:
      return put(static_cast<uint8_t>(x));
  }
}

}  // namespace

std::vector<int64_t> coordinates(const std::vector<int64_t>& extents, int64_t i) {
  std::vector<int64_t> c(extents.size());
  for (size_t d = extents.size(); d-- > 0;) {
    c[d] = i % extents[d];
    i /= extents[d];
  }
  return c;
}

HostTensor::HostTensor(DType dtype, std::vector<int64_t> e, std::vector<int64_t> s, int64_t offset)
    : dtype(dtype), extents(std::move(e)), strides(s.empty() ? row_major(extents) : std::move(s)), offset(offset) {
  int64_t span = offset + 1;
  for (size_t d = 0; d < extents.size(); ++d) span += std::max<int64_t>(0, extents[d] - 1) * strides[d];
  bytes.assign(static_cast<size_t>(span * size_of(dtype)), static_cast<char>(kPattern));
}
TensorView HostTensor::view() { return {dtype, bytes.data() + offset * size_of(dtype), extents, strides}; }
int64_t HostTensor::elements() const {
  int64_t n = 1;
  for (int64_t e : extents) n *= e;
  return n;
}
size_t HostTensor::place(int64_t i) const {
  std::vector<int64_t> c = coordinates(extents, i);
  int64_t o = offset;
  for (size_t d = 0; d < c.size(); ++d) o += c[d] * strides[d];
  return static_cast<size_t>(o * size_of(dtype));
}
double HostTensor::get(int64_t i) const { return read(dtype, bytes.data() + place(i)); }
void HostTensor::set(int64_t i, double x) { write(dtype, bytes.data() + place(i), x); }

uint64_t seed() {
  static const uint64_t s = [] {
    const char* given = std::getenv("WAVETILE_SEED");
    return given ? std::strtoull(given, nullptr, 0) : uint64_t{20240607};
  }();
  return s;
}
std::mt19937_64& random_engine() {
  static std::mt19937_64 e(seed());
  return e;
}

HostTensor random_tensor(DType t, std::vector<int64_t> extents, double scale, Values values) {
  if (!is_float(t)) {
    int64_t most = t == DType::b1   ? 1
                   : t == DType::u8 ? 255
                   : t == DType::i8 ? 127
                                    : static_cast<int64_t>(1000 * scale);
    return random_integers(t, std::move(extents), t == DType::b1 || t == DType::u8 ? 0 : -most, most);
  }
  constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const double edges[] = {0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 1e-40, -1e-40, 0x1p-149, 3.4e38, -3.4e38, 6e-8, 65504};
  HostTensor x(t, std::move(extents));
  std::uniform_real_distribution<double> uniform(-scale, scale);
  for (int64_t i = 0; i < x.elements(); ++i) {
    bool edge = values == Values::edges && random_engine()() % 4 == 0;
    x.set(i, edge ? edges[random_engine()() % std::size(edges)] : uniform(random_engine()));
  }
  return x;
}
HostTensor random_integers(DType t, std::vector<int64_t> extents, int64_t lo, int64_t hi) {
  HostTensor x(t, std::move(extents));
  std::uniform_int_distribution<int64_t> uniform(lo, hi);
  for (int64_t i = 0; i < x.elements(); ++i) x.set(i, static_cast<double>(uniform(random_engine())));
  return x;
}
HostTensor tensor_of(DType t, std::vector<int64_t> extents, const std::vector<double>& values) {
  HostTensor x(t, std::move(extents));
  for (int64_t i = 0; i < x.elements(); ++i) x.set(i, values.at(static_cast<size_t>(i)));
  return x;
}
HostTensor output(DType t, std::vector<int64_t> extents) { return HostTensor(t, std::move(extents)); }
HostTensor strided(const HostTensor& t, std::vector<int64_t> strides, int64_t offset) {
  HostTensor x(t.dtype, t.extents, std::move(strides), offset);
  for (int64_t i = 0; i < x.elements(); ++i)
    std::memcpy(x.bytes.data() + x.place(i), t.bytes.data() + t.place(i), static_cast<size_t>(size_of(t.dtype)));
  return x;
}

}  // namespace wavetile
