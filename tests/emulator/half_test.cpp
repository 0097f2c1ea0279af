// 16-bit and 8-bit floats of the emulator against tables and integers: no arithmetic of the code under test.
#define WAVETILE_EMULATOR_LEVEL half_test
#include "emulator/ops/half.h"

#include <algorithm>
#include <cfenv>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace wavetile::emu::half_test {
namespace {

// The value of a format's bits, by its definition. The largest exponent is not special here.
double value_of(int bits, int mantissa, int bias) {
  const int exponent = bits >> mantissa, fraction = bits & ((1 << mantissa) - 1);
  if (exponent == 0) return std::ldexp(fraction, 1 - bias - mantissa);
  return std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
}

// `x` as one of the numbers 0 = numbers[0] < numbers[1] < ..: its index, which is numbers.size() beyond them.
template <class T>
std::size_t round_to(const std::vector<T>& numbers, T x, bool negative, int mode) {
  const auto above = std::upper_bound(numbers.begin(), numbers.end(), x);
  const std::size_t below = static_cast<std::size_t>(above - numbers.begin()) - 1;
  if (numbers[below] == x) return below;
  const bool away = (mode == kUp && !negative) || (mode == kDown && negative);
  if (mode != kNearest) return away ? below + 1 : below;
  // The number after the last goes on with its step, as if there were one.
  const T next = above == numbers.end() ? 2 * numbers[below] - numbers[below - 1] : *above;
  const T down = x - numbers[below], up = next - x;
  return down < up || (down == up && below % 2 == 0) ? below : below + 1;
}

std::vector<double> f16_numbers() {
  std::vector<double> numbers;
  for (int bits = 0; bits < 0x7c00; ++bits) numbers.push_back(value_of(bits, 10, 15));
  return numbers;
}

std::uint16_t expected_f16(const std::vector<double>& numbers, double x, int mode) {
  const bool negative = std::signbit(x);
  const bool finite_overflow = mode == kToZero || mode == (negative ? kUp : kDown);
  const std::size_t index = round_to(numbers, std::abs(x), negative, mode);
  const std::size_t code = index >= 0x7c00 ? (finite_overflow ? 0x7bff : 0x7c00) : index;
  return static_cast<std::uint16_t>(code | (negative ? 0x8000 : 0));
}

TEST(Half, EveryF16WidensToItsValue) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float f = f16_to_f32(static_cast<std::uint16_t>(bits));
    const int magnitude = bits & 0x7fff;
    EXPECT_EQ(std::signbit(f), (bits & 0x8000) != 0);
    if (magnitude > 0x7c00) {
      EXPECT_TRUE(std::isnan(f)) << bits;
      EXPECT_NE(std::bit_cast<std::uint32_t>(f) & 0x400000, 0u) << bits;
    } else if (magnitude == 0x7c00) {
      EXPECT_TRUE(std::isinf(f)) << bits;
    } else {
      EXPECT_EQ(std::abs(static_cast<double>(f)), value_of(magnitude, 10, 15)) << bits;
    }
  }
}

// Every f16, every midpoint, and the floats beside them.
TEST(Half, F32NarrowsInEveryMode) {
  const auto numbers = f16_numbers();
  for (int bits = 0; bits < 0x7c00; ++bits) {
    const double low = numbers[static_cast<std::size_t>(bits)];
    const double high = bits + 1 < 0x7c00 ? numbers[static_cast<std::size_t>(bits) + 1] : 65536.0;
    for (const double at : {low, (low + high) / 2}) {
      const auto exact = static_cast<float>(at);
      for (const float x : {exact, std::nextafterf(exact, 0), std::nextafterf(exact, INFINITY)}) {
        for (int mode = 0; mode < 4; ++mode) {
          ASSERT_EQ(f32_to_f16(x, mode), expected_f16(numbers, x, mode)) << x << " mode " << mode;
          ASSERT_EQ(f32_to_f16(-x, mode), expected_f16(numbers, -x, mode)) << -x << " mode " << mode;
        }
      }
    }
  }
}

TEST(Half, AnyF32Narrows) {
  const auto numbers = f16_numbers();
  std::mt19937 random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    const int mode = i % 4;
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(x, mode))));
    } else if (std::isinf(x)) {
      ASSERT_EQ(f32_to_f16(x, mode) & 0x7fff, 0x7c00);
    } else {
      ASSERT_EQ(f32_to_f16(x, mode), expected_f16(numbers, x, mode)) << x << " mode " << mode;
    }
  }
  for (int mode = 0; mode < 4; ++mode) {
    EXPECT_EQ(f32_to_f16(INFINITY, mode), 0x7c00);
    EXPECT_EQ(f32_to_f16(-INFINITY, mode), 0xfc00);
    EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7f800001u), mode), 0x7e00) << "a NaN stays one";
  }
}

TEST(Half, F64NarrowsOnce) {
  const auto numbers = f16_numbers();
  for (int bits = 0; bits < 0x7bff; ++bits) {
    const double low = numbers[static_cast<std::size_t>(bits)], high = numbers[static_cast<std::size_t>(bits) + 1];
    const double middle = (low + high) / 2;
    for (const double x : {low, middle, std::nextafter(middle, 0), std::nextafter(middle, INFINITY)}) {
      for (int mode = 0; mode < 4; ++mode) {
        ASSERT_EQ(f64_to_f16(x, mode), expected_f16(numbers, x, mode)) << x << " mode " << mode;
        ASSERT_EQ(f64_to_f16(-x, mode), expected_f16(numbers, -x, mode)) << -x << " mode " << mode;
      }
    }
  }
  EXPECT_EQ(f64_to_f16(1e300), 0x7c00);
  EXPECT_EQ(f64_to_f16(1e300, kToZero), 0x7bff);
  EXPECT_EQ(f64_to_f16(1e-300), 0);
  EXPECT_EQ(f64_to_f16(1e-300, kUp), 1);
  EXPECT_EQ(f64_to_f16(-INFINITY), 0xfc00);
}

TEST(Half, Bf16IsTheUpperHalf) {
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const std::uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const auto x = std::bit_cast<float>(upper << 16 | lower);
      const bool negative = upper >> 15;
      for (int mode = 0; mode < 4; ++mode) {
        const std::uint16_t got = f32_to_bf16(x, mode);
        if (std::isnan(x)) {
          ASSERT_TRUE(std::isnan(bf16_to_f32(got)));
          continue;
        }
        const bool nearest_up = lower > 0x8000 || (lower == 0x8000 && upper % 2 == 1);
        const bool away = (mode == kUp && !negative) || (mode == kDown && negative);
        const bool up = mode == kNearest ? nearest_up : away && lower != 0;
        ASSERT_EQ(got, upper + (up ? 1 : 0)) << upper << " " << lower << " mode " << mode;
      }
    }
  }
}

// f16 are multiples of 2^-24, their products of 2^-48: 128-bit integers hold every sum.
using Wide = __int128;

Wide scaled(std::uint16_t bits, int scale) {
  const auto magnitude = static_cast<Wide>(std::ldexp(value_of(bits & 0x7fff, 10, 15), scale));
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, FusedMultiplyAddRoundsOnce) {
  std::vector<Wide> numbers;
  for (int bits = 0; bits < 0x7c00; ++bits) numbers.push_back(scaled(static_cast<std::uint16_t>(bits), 48));
  std::mt19937 random(2);
  const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  for (int i = 0; i < 1'000'000; ++i) {
    const auto finite = [&] { return static_cast<std::uint16_t>((random() & 0x8000) | random() % 0x7c00); };
    const std::uint16_t a = finite(), b = finite();
    // Half of the sums lie near a rounding boundary of the product or the addend.
    const std::uint16_t c =
        i % 2 ? finite() : static_cast<std::uint16_t>(f32_to_f16(-f16_to_f32(a) * f16_to_f32(b)) ^ (random() & 0x801f));
    if ((c & 0x7fff) >= 0x7c00) continue;
    const int mode = i / 2 % 4;
    // Volatile, so that the arithmetic stays between the changes of mode.
    volatile float x = f16_to_f32(a), y = f16_to_f32(b), z = f16_to_f32(c), sum;
    std::fesetround(modes[mode]);
    sum = fma_for_f16(x, y, z, mode);
    std::fesetround(FE_TONEAREST);
    const std::uint16_t got = f32_to_f16(sum, mode);
    const Wide exact = scaled(a, 24) * scaled(b, 24) + scaled(c, 48);
    if (exact == 0) {
      ASSERT_EQ(got & 0x7fff, 0);
      continue;
    }
    const bool negative = exact < 0;
    const std::size_t index = round_to(numbers, negative ? -exact : exact, negative, mode);
    const bool finite_overflow = mode == kToZero || mode == (negative ? kUp : kDown);
    const std::size_t code = index >= 0x7c00 ? (finite_overflow ? 0x7bff : 0x7c00) : index;
    ASSERT_EQ(got, code | (negative ? 0x8000 : 0)) << std::hex << a << " * " << b << " + " << c << " mode " << mode;
  }
}

// Where the sum in f32 and its rounding to f16 would go wrong: just beside a midpoint.
TEST(Half, FusedMultiplyAddBesideAMidpoint) {
  // 1 + 2^-11 is between 1 and 1 + 2^-10; a product of +-2^-40 decides.
  const float tie = f16_to_f32(0x0200) * f16_to_f32(0x0002);  // 2^-15 * 2^-23
  ASSERT_EQ(tie, 0x1p-38f);
  EXPECT_EQ(f32_to_f16(odd_sum(0x1.002p0f, tie, kNearest)), 0x3c01);
  EXPECT_EQ(f32_to_f16(odd_sum(0x1.002p0f, -tie, kNearest)), 0x3c00);
  EXPECT_EQ(f32_to_f16(odd_sum(0x1.006p0f, tie, kNearest)), 0x3c02);
  EXPECT_EQ(f32_to_f16(odd_sum(0x1.006p0f, -tie, kNearest)), 0x3c01);
}

TEST(Half, Bf16FusedMultiplyAdd) {
  const auto fma16 = [](float a, float b, float c) { return f32_to_bf16(fma_for_bf16(a, b, c, kNearest)); };
  EXPECT_EQ(fma16(1, 1, 0x1p-8f), 0x3f80) << "a tie goes to even";
  EXPECT_EQ(fma16(0x1.02p0f, 0x1.02p0f, 0), f32_to_bf16(0x1.0404p0f));
  EXPECT_EQ(fma16(0x1p-70f, 0x1p-70f, 1), 0x3f80);
  EXPECT_EQ(fma16(0x1p-70f, 0x1p-63f, 0), 0x0001) << "the least denormal";
  EXPECT_EQ(fma16(0x1p100f, 0x1p100f, 0), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(fma16(INFINITY, 0, 1))));
}

TEST(Half, ExtremesPreferNumbersAndOrderZeros) {
  EXPECT_EQ(f16_min(0x0000, 0x8000, true), 0x8000);
  EXPECT_EQ(f16_min(0x8000, 0x0000, true), 0x8000);
  EXPECT_EQ(f16_max(0x8000, 0x0000, true), 0x0000);
  EXPECT_EQ(f16_min(0x7e00, 0x3c00, true), 0x3c00);
  EXPECT_EQ(f16_max(0x3c00, 0x7e00, true), 0x3c00);
  EXPECT_EQ(f16_max(0x7d00, 0x3c00, true), 0x7f00) << "a signalling NaN becomes quiet";
  EXPECT_EQ(f16_max(0x7d00, 0x3c00, false), 0x3c00);
  EXPECT_EQ(f16_min(0xc000, 0x3c00, false), 0xc000);
  EXPECT_EQ(f16_min(0xc000, 0xc400, false), 0xc400);
  EXPECT_EQ(f16_max(0x7c00, 0xfc00, true), 0x7c00);
}

struct ByteFormat {
  int mantissa, bias;
  float (*widen)(std::uint32_t);
  std::uint32_t (*narrow)(float, bool, std::int32_t);
};

class Bytes : public testing::TestWithParam<ByteFormat> {};

TEST_P(Bytes, WidenAndNarrow) {
  const ByteFormat& f = GetParam();
  std::vector<double> numbers;
  for (int bits = 0; bits < 0x80; ++bits) numbers.push_back(value_of(bits, f.mantissa, f.bias));
  for (std::uint32_t bits = 0; bits < 0x100; ++bits) {
    if (bits == 0x80) {
      EXPECT_TRUE(std::isnan(f.widen(bits)));
      continue;
    }
    const double value = numbers[bits & 0x7f] * (bits & 0x80 ? -1 : 1);
    EXPECT_EQ(f.widen(bits), value) << bits;
    EXPECT_EQ(f.narrow(static_cast<float>(value), false, -1), bits);
  }
  for (std::size_t i = 0; i + 1 < numbers.size(); ++i) {
    const auto middle = static_cast<float>((numbers[i] + numbers[i + 1]) / 2);
    for (const float x : {middle, std::nextafterf(middle, 0), std::nextafterf(middle, INFINITY)}) {
      const std::size_t code = round_to<double>(numbers, x, false, kNearest);
      EXPECT_EQ(f.narrow(x, false, -1), code) << x;
      EXPECT_EQ(f.narrow(-x, false, -1), code == 0 ? 0 : code | 0x80) << "no -0";
    }
    // Stochastic: up when the random part and the distance reach the next number.
    const auto quarter = static_cast<float>(numbers[i] + (numbers[i + 1] - numbers[i]) / 4);
    EXPECT_EQ(f.narrow(quarter, false, 0), i);
    EXPECT_EQ(f.narrow(quarter, false, 0xbffff), i);
    EXPECT_EQ(f.narrow(quarter, false, 0xc0000), i + 1);
    EXPECT_EQ(f.narrow(quarter, false, 0xfffff), i + 1);
  }
  const auto beyond = static_cast<float>(2 * numbers.back());
  EXPECT_EQ(f.narrow(beyond, false, -1), 0x80u);
  EXPECT_EQ(f.narrow(-beyond, true, -1), 0xffu);
  EXPECT_EQ(f.narrow(INFINITY, true, -1), 0x80u);
  EXPECT_EQ(f.narrow(NAN, true, -1), 0x80u);
}

INSTANTIATE_TEST_SUITE_P(Half, Bytes,
                         testing::Values(ByteFormat{3, 8, fp8_to_f32, f32_to_fp8},
                                         ByteFormat{2, 16, bf8_to_f32, f32_to_bf8}));

TEST(Half, RoundEven) {
  for (const auto& [x, expected] : {std::pair{0.5, 0.0},
                                    {1.5, 2.0},
                                    {2.5, 2.0},
                                    {-0.5, -0.0},
                                    {-1.5, -2.0},
                                    {0x1.fffffp-2, 0.0},
                                    {1e300, 1e300},
                                    {-2.75, -3.0}}) {
    EXPECT_EQ(round_even(x), expected) << x;
    EXPECT_EQ(std::signbit(round_even(x)), std::signbit(expected)) << x;
  }
  EXPECT_TRUE(std::isnan(round_even(static_cast<double>(NAN))));
  EXPECT_EQ(round_even(-INFINITY), -INFINITY);
}

}  // namespace
}  // namespace wavetile::emu::half_test
