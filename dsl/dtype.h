// The element types, and the exact conversions between them that every part of the project shares.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace wavetile {

enum class DType : uint8_t { f32, f16, bf16, i32, i8, u8, b1 };

constexpr int size_of(DType t) {
  switch (t) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    default:
      return 1;
  }
}
constexpr bool is_float(DType t) { return t == DType::f32 || t == DType::f16 || t == DType::bf16; }
constexpr std::string_view name_of(DType t) {
  constexpr std::string_view names[] = {"f32", "f16", "bf16", "i32", "i8", "u8", "bool"};
  return names[static_cast<int>(t)];
}

/// f32 -> bf16, to nearest even; a NaN stays a (quiet) NaN of the same sign.
constexpr uint16_t to_bf16(float x) {
  uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}
constexpr float from_bf16(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }

/// f32 -> f16, to nearest even, with denormals; a NaN stays a quiet NaN; overflow gives infinity.
constexpr uint16_t to_f16(float x) {
  uint32_t u = std::bit_cast<uint32_t>(x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((a >> 13) & 0x3ffu));
  if (a >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (a < 0x38800000u) {  // denormal: adding 0.5 aligns the mantissa, and rounds, in f32 arithmetic
    float d = std::bit_cast<float>(a) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(d) - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((a + 0xfffu + ((a >> 13) & 1) - 0x38000000u) >> 13));
}
constexpr float from_f16(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 0x3ffu;
  if (e == 31) return std::bit_cast<float>(sign | 0x7f800000u | (m << 13) | (m ? 0x400000u : 0u));
  if (e == 0) {
    float d = static_cast<float>(m) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(d));
  }
  return std::bit_cast<float>(sign | ((e + 112u) << 23) | (m << 13));
}

// Tags that name element types in a kernel's signature: Tensor<f32>, Tensor<bf16>.
struct f32 {
  static constexpr DType dtype = DType::f32;
};
struct f16 {
  static constexpr DType dtype = DType::f16;
};
struct bf16 {
  static constexpr DType dtype = DType::bf16;
};
struct i32 {
  static constexpr DType dtype = DType::i32;
};
struct i8 {
  static constexpr DType dtype = DType::i8;
};
struct u8 {
  static constexpr DType dtype = DType::u8;
};
struct b1 {
  static constexpr DType dtype = DType::b1;
};

}  // namespace wavetile
