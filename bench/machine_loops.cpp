// Invariant: a loop measures its instruction and nothing else. Readers add every 64-bit word once (the caller checks
// the sum); compute loops keep enough independent accumulators in registers to hide the latency of two units.
#include "bench/machine_loops.h"

#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace wavetile {
namespace {

constexpr std::size_t kLine = 64;
// Far enough ahead for the latency of memory at the speed of one core, and within what L1 holds for eight streams.
constexpr std::size_t kPrefetchAhead = 1024;

// Streams that lie a large power of two apart share their cache sets and memory banks, which costs up to a fifth of
// the bandwidth. So a long stream is 71 lines, a little more than a page, past a multiple of 64 KiB.
constexpr std::size_t stream_lines(std::size_t bytes, std::size_t streams) {
  const std::size_t lines = bytes / streams / kLine;
  return streams == 1 || lines < 8192 ? lines : (lines / 1024 - 1) * 1024 + 71;
}

// A macro, since neither a template nor a lambda takes its target from an argument or from its surroundings. Folds over
// an index sequence instead of inner loops: what is unrolled does not depend on the compiler's mood.
#define WAVETILE_READER(NAME, TARGET, WORDS)                                                                         \
  template <int kStreams, bool kPrefetch, int... kVec>                                                               \
  TARGET std::size_t NAME##_unrolled(const std::byte* data, std::size_t bytes, std::uint64_t& sum,                   \
                                     std::integer_sequence<int, kVec...>) {                                          \
    typedef std::uint64_t Vec __attribute__((vector_size((WORDS)*8), may_alias));                                    \
    constexpr int kVecs = kLine / sizeof(Vec);                                                                       \
    const std::size_t lines = stream_lines(bytes, kStreams);                                                         \
    Vec acc[kStreams] = {};                                                                                          \
    for (const std::byte *p = data, *end = data + lines * kLine; p < end; p += kLine) {                              \
      if constexpr (kPrefetch) {                                                                                     \
        ((kVec % kVecs == 0 ? __builtin_prefetch(p + kVec / kVecs * lines * kLine + kPrefetchAhead) : void()), ...); \
      }                                                                                                              \
      ((acc[kVec / kVecs] += reinterpret_cast<const Vec*>(p + kVec / kVecs * lines * kLine)[kVec % kVecs]), ...);    \
    }                                                                                                                \
    for (const Vec& stream : acc) {                                                                                  \
      for (int i = 0; i < (WORDS); ++i) sum += stream[i];                                                            \
    }                                                                                                                \
    return lines * kLine * kStreams;                                                                                 \
  }                                                                                                                  \
  template <int kStreams, bool kPrefetch>                                                                            \
  std::size_t NAME(const std::byte* data, std::size_t bytes, std::uint64_t& sum) {                                   \
    constexpr int kVecs = kLine / ((WORDS)*8) * kStreams;                                                            \
    return NAME##_unrolled<kStreams, kPrefetch>(data, bytes, sum, std::make_integer_sequence<int, kVecs>());         \
  }                                                                                                                  \
  void add_##NAME(std::vector<MachineLimits::Reader>& to, const std::string& isa) {                                  \
    to.push_back({isa + ", 1 stream", NAME<1, false>});                                                              \
    to.push_back({isa + ", 2 streams", NAME<2, false>});                                                             \
    to.push_back({isa + ", 4 streams", NAME<4, false>});                                                             \
    to.push_back({isa + ", 8 streams", NAME<8, false>});                                                             \
    to.push_back({isa + ", 1 stream, prefetch", NAME<1, true>});                                                     \
    to.push_back({isa + ", 2 streams, prefetch", NAME<2, true>});                                                    \
    to.push_back({isa + ", 4 streams, prefetch", NAME<4, true>});                                                    \
    to.push_back({isa + ", 8 streams, prefetch", NAME<8, true>});                                                    \
  }

// INIT gives accumulator i a value of its own, and none that STEP leaves as it is: the compiler merges accumulators
// that are equal and drops those that are constant.
#define WAVETILE_COMPUTE(NAME, TARGET, VEC, ACCUMULATORS, CONSTANTS, INIT, STEP)           \
  template <int... kAcc>                                                                   \
  TARGET float NAME##_unrolled(std::int64_t rounds, std::integer_sequence<int, kAcc...>) { \
    CONSTANTS;                                                                             \
    VEC acc[] = {INIT(kAcc + 2)...};                                                       \
    for (std::int64_t i = 0; i < rounds; ++i) ((acc[kAcc] = STEP(acc[kAcc])), ...);        \
    float sum = 0;                                                                         \
    for (const VEC& a : acc) sum += static_cast<float>(a[0]);                              \
    return sum;                                                                            \
  }                                                                                        \
  float NAME(std::int64_t rounds) { return NAME##_unrolled(rounds, std::make_integer_sequence<int, ACCUMULATORS>()); }

typedef float Float4 __attribute__((vector_size(16)));

// Every target has vectors of 16 bytes, in hardware or by the compiler.
WAVETILE_READER(read_portable, , 2)

#define WAVETILE_INIT(I) (Float4{1, 1, 1, 1} * static_cast<float>(I))
#define WAVETILE_STEP(ACC) ((ACC)*x + y)
WAVETILE_COMPUTE(fma_portable, , Float4, 12, const Float4 x = Float4{} + 0.5f;
                 const Float4 y = x, WAVETILE_INIT, WAVETILE_STEP)
#undef WAVETILE_INIT
#undef WAVETILE_STEP

#if defined(__x86_64__)

#define WAVETILE_AVX2 __attribute__((target("avx2,fma")))
#define WAVETILE_AVX512 __attribute__((target("avx512f,avx512vl")))
#define WAVETILE_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define WAVETILE_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define WAVETILE_AVX_VNNI __attribute__((target("avx2,avxvnni")))

typedef int Int8 __attribute__((vector_size(32), may_alias));
typedef int Int16 __attribute__((vector_size(64), may_alias));

WAVETILE_READER(read_avx2, WAVETILE_AVX2, 4)
WAVETILE_READER(read_avx512, WAVETILE_AVX512, 8)

// 12 accumulators and 2 operands fit the 16 ymm registers, 24 and 2 the 32 zmm ones.
#define WAVETILE_INIT(I) _mm256_set1_ps(I)
#define WAVETILE_STEP(ACC) _mm256_fmadd_ps(ACC, x, x)
WAVETILE_COMPUTE(fma_avx2, WAVETILE_AVX2, __m256, 12, const __m256 x = _mm256_set1_ps(0.5f), WAVETILE_INIT,
                 WAVETILE_STEP)
#undef WAVETILE_INIT
#undef WAVETILE_STEP

#define WAVETILE_INIT(I) _mm512_set1_ps(I)
#define WAVETILE_STEP(ACC) _mm512_fmadd_ps(ACC, x, x)
WAVETILE_COMPUTE(fma_avx512, WAVETILE_AVX512, __m512, 24, const __m512 x = _mm512_set1_ps(0.5f), WAVETILE_INIT,
                 WAVETILE_STEP)
#undef WAVETILE_STEP

#define WAVETILE_STEP(ACC) _mm512_dpbf16_ps(ACC, x, x)
WAVETILE_COMPUTE(dot_bf16, WAVETILE_BF16, __m512, 24, const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f803f80),
                 WAVETILE_INIT, WAVETILE_STEP)
#undef WAVETILE_INIT
#undef WAVETILE_STEP

#define WAVETILE_INIT(I) (Int16) _mm512_set1_epi32(I)
#define WAVETILE_STEP(ACC) (Int16) _mm512_dpbusd_epi32((__m512i)(ACC), x, x)
WAVETILE_COMPUTE(dot_i8_avx512, WAVETILE_VNNI, Int16, 24, const __m512i x = _mm512_set1_epi32(0x01010101),
                 WAVETILE_INIT, WAVETILE_STEP)
#undef WAVETILE_INIT
#undef WAVETILE_STEP

#define WAVETILE_INIT(I) (Int8) _mm256_set1_epi32(I)
#define WAVETILE_STEP(ACC) (Int8) _mm256_dpbusd_avx_epi32((__m256i)(ACC), x, x)
WAVETILE_COMPUTE(dot_i8_avx, WAVETILE_AVX_VNNI, Int8, 12, const __m256i x = _mm256_set1_epi32(0x01010101),
                 WAVETILE_INIT, WAVETILE_STEP)
#undef WAVETILE_INIT
#undef WAVETILE_STEP

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"); }

// Leaf 7.1 EAX bit 4 (Intel's manual, volume 2A, CPUID); the compilers' own test does not know the name everywhere.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

#endif

}  // namespace

std::vector<MachineLimits::Reader> readers() {
  std::vector<MachineLimits::Reader> all;
#if defined(__x86_64__)
  if (has_avx512()) add_read_avx512(all, "avx512");
  if (has_avx2()) add_read_avx2(all, "avx2");
#endif
  if (all.empty()) add_read_portable(all, "16-byte vectors");
  return all;
}

std::vector<MachineLimits::Compute> f32_loops() {
  std::vector<MachineLimits::Compute> all;
#if defined(__x86_64__)
  if (has_avx512()) all.push_back({"avx512 fma", 24 * 16 * 2, fma_avx512});
  if (has_avx2()) all.push_back({"avx2 fma", 12 * 8 * 2, fma_avx2});
#endif
  if (all.empty()) all.push_back({"16-byte vectors, multiply and add", 12 * 4 * 2, fma_portable});
  return all;
}

std::vector<MachineLimits::Compute> bf16_dot_loops() {
  std::vector<MachineLimits::Compute> all;
#if defined(__x86_64__)
  if (has_avx512() && __builtin_cpu_supports("avx512bf16")) all.push_back({"avx512 vdpbf16ps", 24 * 32 * 2, dot_bf16});
#endif
  return all;
}

std::vector<MachineLimits::Compute> i8_dot_loops() {
  std::vector<MachineLimits::Compute> all;
#if defined(__x86_64__)
  if (has_avx512() && __builtin_cpu_supports("avx512vnni"))
    all.push_back({"avx512 vpdpbusd", 24 * 64 * 2, dot_i8_avx512});
  if (has_avx_vnni()) all.push_back({"avx vpdpbusd", 12 * 32 * 2, dot_i8_avx});
#endif
  return all;
}

}  // namespace wavetile
