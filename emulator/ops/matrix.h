// What the matrix instructions share: the product of small matrices, row by row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#if defined(__FMA__)
#include <immintrin.h>
#endif

#include "emulator/ops/half.h"
#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

inline constexpr int kTile = 16;

/// c[m][n] = fma(a[k][m], b[k][n], c[m][n]) for k = 0, 1, .. depth - 1; 16 rows and 16 columns of a matrix whose rows,
/// and those of a and b, are `stride` floats apart.
inline void multiply_tile(float* c, const float* a, const float* b, int depth, int stride) {
#if defined(__FMA__)
  for (int m = 0; m < kTile; m += 4) {
    __m256 sum[4][2];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      sum[r][0] = _mm256_loadu_ps(c + (m + r) * stride);
      sum[r][1] = _mm256_loadu_ps(c + (m + r) * stride + 8);
    }
    for (int k = 0; k < depth; ++k) {
      const __m256 b0 = _mm256_loadu_ps(b + k * stride), b1 = _mm256_loadu_ps(b + k * stride + 8);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const __m256 factor = _mm256_broadcast_ss(a + k * stride + m + r);
        sum[r][0] = _mm256_fmadd_ps(factor, b0, sum[r][0]);
        sum[r][1] = _mm256_fmadd_ps(factor, b1, sum[r][1]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      _mm256_storeu_ps(c + (m + r) * stride, sum[r][0]);
      _mm256_storeu_ps(c + (m + r) * stride + 8, sum[r][1]);
    }
  }
#else
  for (int m = 0; m < kTile; ++m) {
    for (int k = 0; k < depth; ++k) {
      for (int n = 0; n < kTile; ++n)
        c[m * stride + n] = std::fma(a[k * stride + m], b[k * stride + n], c[m * stride + n]);
    }
  }
#endif
}

/// `count` values, a multiple of 4. A copy of a size that is not known before is a call.
template <class T>
void copy_row(const T* from, T* to, int count) {
  for (int i = 0; i < count; i += 4) std::memcpy(to + i, from + i, 4 * sizeof(T));
}

/// One row of a C operand: `count` lanes of a register, or a constant in all of them.
template <class T>
void read_row(const Wave& w, const Source& s, int reg, int lane, T* to, int count) {
  static_assert(sizeof(T) == 4);
  if (s.kind == Source::Kind::vector) {
    copy_row(reinterpret_cast<const T*>(w.row(s.reg + reg) + lane), to, count);
  } else {
    const std::uint32_t word = s.kind == Source::Kind::scalar ? w.s[s.reg] : static_cast<std::uint32_t>(s.value);
    std::fill_n(to, count, std::bit_cast<T>(word));
  }
}

void add_wmma(Table& t);

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
