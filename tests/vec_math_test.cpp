// The accuracy that codegen/vec.cpp states, through kernels on the CPU at every level, against double precision.
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

// Distance in units of the last place of f32 at `want`.
double ulps(float got, double want) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : INFINITY;
  auto nearest = static_cast<float>(want);
  if (got == nearest)
    return std::isinf(nearest)
               ? 0
               : std::fabs(got - want) / std::exp2(std::max(std::ilogb(want == 0 ? 0x1p-149 : want), -126) - 23);
  if (std::isinf(got) || std::isinf(nearest)) {
    if (std::isinf(want)) return INFINITY;
    double most = std::numeric_limits<float>::max();  // an overflow by rounding counts as the distance to 2^128
    return std::isinf(got) ? (0x1p128 - std::fabs(want)) / 0x1p104 : (std::fabs(want) - most) / 0x1p104;
  }
  return std::fabs(got - want) / std::exp2(std::max(std::ilogb(want == 0 ? 0x1p-149 : want), -126) - 23);
}

// All exponents and signs: every `step`-th bit pattern, and what surrounds the special ones.
const HostTensor& samples() {
  static const HostTensor x = [] {
    constexpr uint32_t step = 6007;
    std::vector<uint32_t> bits;
    for (uint64_t b = 0; b < uint64_t{1} << 32; b += step) bits.push_back(static_cast<uint32_t>(b));
    for (float f : {0.0f, 1.0f, 0.625f, 88.72284f, 103.97f, 128.0f, 149.0f, 126.0f, 0.70710678f, 1.17549435e-38f,
                    3.4e38f, INFINITY})
      for (uint32_t sign : {0u, 0x80000000u})
        for (int d = -16; d <= 16; ++d) bits.push_back((std::bit_cast<uint32_t>(f) | sign) + static_cast<uint32_t>(d));
    HostTensor t(DType::f32, {static_cast<int64_t>(bits.size())});
    std::memcpy(t.bytes.data(), bits.data(), bits.size() * 4);
    return t;
  }();
  return x;
}

void check_accuracy(Fn fn, double (*reference)(double), double bound) {
  Kernel k(std::string(info(fn).name), {"X", "Y"}, [fn](Tensor<f32> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = map(fn, {X(i)});
  });
  for (const Machine& m : machines()) {
    if (m.is_virtual) continue;
    std::vector<HostTensor> t{samples(), output(DType::f32, samples().extents)};
    run_on(m, k, {}, t);
    double worst = -1;
    int64_t at = 0;
    for (int64_t i = 0; i < t[0].elements(); ++i)
      if (double e = ulps(static_cast<float>(t[1].get(i)), reference(t[0].get(i))); e > worst) {
        worst = e;
        at = i;
      }
    EXPECT_LE(worst, bound) << fmt::format("{} on {}: {}({:.9g}) is {:.9g}, not {:.9g}", info(fn).name, m.name,
                                           info(fn).name, t[0].get(at), t[1].get(at), reference(t[0].get(at)));
    testing::Test::RecordProperty(fmt::format("{}_{}", info(fn).name, m.name), fmt::format("{:.3f}", worst));
  }
}

TEST(VecMath, Exp) {
  check_accuracy(
      Fn::exp, [](double x) { return std::exp(x); }, 1.5);
}
TEST(VecMath, Exp2) {
  check_accuracy(
      Fn::exp2, [](double x) { return std::exp2(x); }, 1.5);
}
TEST(VecMath, Log) {
  check_accuracy(
      Fn::log, [](double x) { return std::log(x); }, 1);
}
TEST(VecMath, Tanh) {
  check_accuracy(
      Fn::tanh, [](double x) { return std::tanh(x); }, 1.5);
}
TEST(VecMath, Sqrt) {
  check_accuracy(
      Fn::sqrt, [](double x) { return std::sqrt(x); }, 0.5);
}
TEST(VecMath, Rsqrt) {
  check_accuracy(
      Fn::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 1.5);
}
TEST(VecMath, Floor) {
  check_accuracy(
      Fn::floor, [](double x) { return std::floor(x); }, 0);
}
TEST(VecMath, Round) {
  check_accuracy(
      Fn::round, [](double x) { return std::nearbyint(x); }, 0);
}

HostTensor patterns(DType t) {
  HostTensor x(t, {1 << 16});
  for (uint32_t i = 0; i < 1 << 16; ++i) {
    auto h = static_cast<uint16_t>(i);
    std::memcpy(x.bytes.data() + 2 * i, &h, 2);
  }
  return x;
}

template <class Half>
void check_half() {
  Kernel widen("widen", {"X", "Y"}, [](Tensor<Half> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = cast<f32>(X(i));
  });
  Kernel narrow("narrow", {"X", "Y"}, [](Tensor<f32> X, Tensor<Half> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = cast<Half>(X(i));
  });
  HostTensor all = patterns(Half::dtype);
  // Each value, the halfway point to the next one, and the neighbours of both.
  std::vector<uint32_t> bits;
  for (uint32_t i = 0; i < 1 << 16; ++i) {
    float f = Half::dtype == DType::f16 ? from_f16(static_cast<uint16_t>(i)) : from_bf16(static_cast<uint16_t>(i));
    float g =
        Half::dtype == DType::f16 ? from_f16(static_cast<uint16_t>(i + 1)) : from_bf16(static_cast<uint16_t>(i + 1));
    auto middle = static_cast<float>((double{f} + double{g}) / 2);
    for (float x : {f, middle})
      for (int d : {-1, 0, 1}) bits.push_back(std::bit_cast<uint32_t>(x) + static_cast<uint32_t>(d));
  }
  HostTensor floats(DType::f32, {static_cast<int64_t>(bits.size())});
  std::memcpy(floats.bytes.data(), bits.data(), bits.size() * 4);
  for (const Machine& m : machines()) {
    if (m.is_virtual) continue;
    std::vector<HostTensor> w{all, output(DType::f32, {1 << 16})}, n{floats, output(Half::dtype, floats.extents)};
    run_on(m, widen, {}, w);
    run_on(m, narrow, {}, n);
    for (int64_t i = 0; i < w[0].elements(); ++i) {
      double want = w[0].get(i), got = w[1].get(i);
      ASSERT_TRUE(std::isnan(want) ? std::isnan(got) : got == want && std::signbit(got) == std::signbit(want))
          << m.name << " widens " << want << " to " << got;
    }
    for (int64_t i = 0; i < n[0].elements(); ++i) {
      auto x = static_cast<float>(n[0].get(i));
      double want = Half::dtype == DType::f16 ? from_f16(to_f16(x)) : from_bf16(to_bf16(x)), got = n[1].get(i);
      ASSERT_TRUE(std::isnan(want) ? std::isnan(got) : got == want && std::signbit(got) == std::signbit(want))
          << m.name << " narrows " << x << " to " << got << ", not " << want;
    }
  }
}
TEST(VecMath, Bf16) { check_half<bf16>(); }
TEST(VecMath, F16) { check_half<f16>(); }

}  // namespace
}  // namespace wavetile
