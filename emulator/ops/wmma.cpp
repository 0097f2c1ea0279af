// WMMA of GFX11: D = A * B + C of 16 x 16 matrices.
//
// Lane i of 0 .. 15 holds row i of A and column i of B, k after k in as many registers as it takes; lanes 16 and above
// repeat them (the documents want them equal; lanes 0 .. 15 are what is read here). Of C and D, lane l of register r
// holds column l % 16 of row 2 * r + l / 16 in wave32, and of row 4 * r + l / 16 in wave64.
//
// EXEC is not looked at, nor MODE. What the documents leave open is decided so: f32 sums start from C and take k in
// order, by fused steps to nearest; f16 and bf16 results are such sums, rounded once at the end; denormals are kept.
// i32 sums wrap, or saturate at the end with clamp.
#include "emulator/ops/matrix.h"

#include "emulator/ops/packed.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

constexpr int kSourceC = 2;

struct Tile {
  alignas(64) float a[kTile][kTile];  // [k][m]
  alignas(64) float b[kTile][kTile];  // [k][n]
};

struct HalfRow {
#if defined(__AVX2__)
  static __m256 widen(__m128i half) { return _mm256_cvtph_ps(half); }
#endif
  static void widen(const std::uint16_t* from, float* to, int n) { f16_to_f32(from, to, n); }
  static void narrow(const float* from, std::uint16_t* to, int n) { f32_to_f16(from, to, n, kNearest); }
};
struct BrainRow {
#if defined(__AVX2__)
  static __m256 widen(__m128i half) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16)); }
#endif
  static void widen(const std::uint16_t* from, float* to, int n) {
    for (int i = 0; i < n; ++i) to[i] = bf16_to_f32(from[i]);
  }
  static void narrow(const float* from, std::uint16_t* to, int n) {
    for (int i = 0; i < n; ++i) to[i] = f32_to_bf16(from[i]);
  }
};

// 16 lanes of 8 registers, two values in each. neg_lo and neg_hi are of the even and the odd k.
template <class Format>
void read_factor(const Wave& w, const Op& op, int s, float (*to)[kTile]) {
#if defined(__AVX2__)
  const std::uint32_t flips =
      (packed_flag(op, kNegateLow, s) ? 0x8000 : 0) | (packed_flag(op, kNegateHigh, s) ? 0x80000000u : 0);
  const __m256i flip = _mm256_set1_epi32(static_cast<int>(flips)), low = _mm256_set1_epi32(0xffff);
  for (int r = 0; r < 8; ++r) {
    const std::uint32_t* row = w.row(op.src[s].reg + r);
    for (int i = 0; i < kTile; i += 8) {
      const __m256i words = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i)), flip);
      // Even and odd halves of lanes 0 .. 3, then of 4 .. 7; then all even, all odd ones.
      const __m256i pairs = _mm256_packus_epi32(_mm256_and_si256(words, low), _mm256_srli_epi32(words, 16));
      const __m256i split = _mm256_permute4x64_epi64(pairs, 0xd8);
      _mm256_store_ps(to[2 * r] + i, Format::widen(_mm256_castsi256_si128(split)));
      _mm256_store_ps(to[2 * r + 1] + i, Format::widen(_mm256_extracti128_si256(split, 1)));
    }
  }
#else
  for (int r = 0; r < 8; ++r) {
    const std::uint32_t* row = w.row(op.src[s].reg + r);
    for (int odd = 0; odd < 2; ++odd) {
      const std::uint32_t flip = packed_flag(op, odd ? kNegateHigh : kNegateLow, s) ? 0x8000 : 0;
      alignas(32) std::uint16_t half[kTile];
      for (int i = 0; i < kTile; ++i) half[i] = static_cast<std::uint16_t>(row[i] >> (16 * odd) ^ flip);
      Format::widen(half, to[2 * r + odd], kTile);
    }
  }
#endif
}

// The rows of C and D are consecutive in the register file, 16 words each, whatever the wave's size. A C that is no
// register is put there.
const std::uint32_t* accumulators(const Wave& w, const Source& s, std::uint32_t* room) {
  if (s.kind == Source::Kind::vector) return w.row(s.reg);
  read_row(w, s, 0, 0, room, kTile * kTile);
  return room;
}

template <class T>
void adjust_sign(const Op& op, T* bits, int count, T sign) {
  const bool absolute = packed_flag(op, kNegateHigh, kSourceC), negate = packed_flag(op, kNegateLow, kSourceC);
  if (!absolute && !negate) return;
  for (int i = 0; i < count; ++i) {
    if (absolute) bits[i] &= static_cast<T>(~sign);
    if (negate) bits[i] ^= sign;
  }
}

template <class Format>
void run_to_f32(Wave& w, const Op& op) {
  Tile t;
  alignas(64) std::uint32_t room[kTile * kTile];
  read_factor<Format>(w, op, 0, t.a);
  read_factor<Format>(w, op, 1, t.b);
  std::uint32_t* const d = w.row(op.dst[0].reg);
  if (const std::uint32_t* c = accumulators(w, op.src[kSourceC], room); c != d) std::memmove(d, c, sizeof room);
  adjust_sign<std::uint32_t>(op, d, kTile * kTile, 0x80000000u);
  multiply_tile(reinterpret_cast<float*>(d), t.a[0], t.b[0], kTile, kTile);
}

// C is read from, and D written to, the halves of registers that op_sel picks; the other halves stay.
template <class Format>
void run_to_half(Wave& w, const Op& op) {
  Tile t;
  alignas(64) std::uint32_t room[kTile * kTile];
  alignas(64) std::uint16_t half[kTile * kTile];
  alignas(64) float sum[kTile * kTile];
  const int shift = packed_flag(op, kSelect, kSourceC) ? 16 : 0;
  read_factor<Format>(w, op, 0, t.a);
  read_factor<Format>(w, op, 1, t.b);
  const std::uint32_t* const c = accumulators(w, op.src[kSourceC], room);
  const int from = op.src[kSourceC].kind == Source::Kind::vector ? shift : 0;
  for (int i = 0; i < kTile * kTile; ++i) half[i] = static_cast<std::uint16_t>(c[i] >> from);
  adjust_sign<std::uint16_t>(op, half, kTile * kTile, 0x8000);
  Format::widen(half, sum, kTile * kTile);
  multiply_tile(sum, t.a[0], t.b[0], kTile, kTile);
  Format::narrow(sum, half, kTile * kTile);
  std::uint32_t* const d = w.row(op.dst[0].reg);
  for (int i = 0; i < kTile * kTile; ++i) d[i] = (d[i] & (0xffff0000u >> shift)) | std::uint32_t{half[i]} << shift;
}

// Bytes or nibbles of 16 lanes, signed where neg_lo says so.
template <int bits>
void read_integers(const Wave& w, const Op& op, int s, float (*to)[kTile]) {
  constexpr int kPerWord = 32 / bits;
  const bool is_signed = packed_flag(op, kNegateLow, s);
  for (int k = 0; k < kTile; ++k) {
    const std::uint32_t* row = w.row(op.src[s].reg + k / kPerWord);
    const int left = 32 - bits * (k % kPerWord + 1);
    for (int i = 0; i < kTile; ++i) {
      const std::int32_t value = static_cast<std::int32_t>(row[i] << left) >> (32 - bits);
      to[k][i] = static_cast<float>(is_signed ? value : value & ((1 << bits) - 1));
    }
  }
}

// The sums of products stay below 16 * 255 * 255 < 2^24: f32 holds them.
template <int bits>
void run_to_i32(Wave& w, const Op& op) {
  Tile t;
  alignas(64) std::uint32_t room[kTile * kTile];
  alignas(64) float products[kTile * kTile] = {};
  read_integers<bits>(w, op, 0, t.a);
  read_integers<bits>(w, op, 1, t.b);
  multiply_tile(products, t.a[0], t.b[0], kTile, kTile);
  const std::uint32_t* const c = accumulators(w, op.src[kSourceC], room);
  alignas(64) std::int32_t sum[kTile * kTile];
  const bool clamp = op.clamp;
  for (int i = 0; i < kTile * kTile; ++i) {
    const auto product = static_cast<std::int32_t>(products[i]), before = static_cast<std::int32_t>(c[i]);
    const auto wrapped = static_cast<std::int32_t>(c[i] + static_cast<std::uint32_t>(product));
    const bool overflow = ((wrapped ^ before) & (wrapped ^ product)) < 0;
    sum[i] = clamp && overflow ? (product < 0 ? -0x7fffffff - 1 : 0x7fffffff) : wrapped;
  }
  std::memcpy(w.row(op.dst[0].reg), sum, sizeof sum);
}

Entry wmma(Run run, Type factor, Type result, bool integers) {
  return {Class::matrix, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Type types[] = {factor, factor, result};
            if (integers) {
              bind_packed(in, op, c, run, types, {"neg_lo", "clamp"});
              if (packed_flag(op, kNegateLow, kSourceC)) throw Unsupported("neg_lo of C in '" + in.text + "'");
            } else if (result == Type::f32) {
              bind_packed(in, op, c, run, types, {"neg_lo", "neg_hi"});
            } else {
              bind_packed(in, op, c, run, types, {"op_sel", "neg_lo", "neg_hi"});
            }
            for (const Source& s : {op.src[0], op.src[1]}) {
              if (s.kind != Source::Kind::vector)
                throw Unsupported("a factor that is no vector register in '" + in.text + "'");
            }
          }};
}

}  // namespace

void add_wmma(Table& t) {
  const Family f = Family::rdna3;
  t.add(f, "v_wmma_f32_16x16x16_f16", wmma(&run_to_f32<HalfRow>, Type::f16, Type::f32, false));
  t.add(f, "v_wmma_f32_16x16x16_bf16", wmma(&run_to_f32<BrainRow>, Type::bf16, Type::f32, false));
  t.add(f, "v_wmma_f16_16x16x16_f16", wmma(&run_to_half<HalfRow>, Type::f16, Type::f16, false));
  t.add(f, "v_wmma_bf16_16x16x16_bf16", wmma(&run_to_half<BrainRow>, Type::bf16, Type::bf16, false));
  t.add(f, "v_wmma_i32_16x16x16_iu8", wmma(&run_to_i32<8>, Type::b32, Type::i32, true));
  t.add(f, "v_wmma_i32_16x16x16_iu4", wmma(&run_to_i32<4>, Type::b32, Type::i32, true));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
