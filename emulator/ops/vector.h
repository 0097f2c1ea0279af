// How vector instructions are written: a function of one lane's values,
//
//   t.add("v_add_f32", vector([](float a, float b) { return a + b; }));
//
// whose signature says how operands are read and written. One table row is the whole instruction: modifiers, EXEC,
// denormals, rounding, DPP, SDWA and 16-bit halves are done here, for all of them. The loop over 32 lanes is compiled
// to vector code, so the function should be free of branches where it can be.
//
// The files in ops/ are compiled once a level (see emulator.cmake); everything lives in that level's namespace.
#pragma once

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "emulator/monitor.h"
#include "emulator/op.h"
#include "emulator/wave.h"

// Before a loop over lanes that writes a register's row and reads others: rows are the same or apart, so that no lane
// touches what another one wrote.
#if defined(__clang__)
#define WAVETILE_LANES_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define WAVETILE_LANES_APART _Pragma("GCC ivdep")
#endif

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

// Bits of 16-bit floats; arithmetic is done in wider types (see half.h).
struct Half16 {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

inline constexpr int kChunk = 32;  // lanes a loop

template <class T>
struct LaneType;  // type: how constants are made; words: registers; real: a float with sign bit `sign`
#define WAVETILE_LANE(T, TYPE, WORDS, REAL, BITS)                                                                    \
  template <>                                                                                                        \
  struct LaneType<T> {                                                                                               \
    static constexpr Type type = Type::TYPE;                                                                         \
    static constexpr int words = WORDS, bits = BITS;                                                                 \
    static constexpr bool real = REAL;                                                                               \
    using Bits =                                                                                                     \
        std::conditional_t<BITS == 64, std::uint64_t, std::conditional_t<BITS == 16, std::uint16_t, std::uint32_t>>; \
  }
WAVETILE_LANE(float, f32, 1, true, 32);
WAVETILE_LANE(double, f64, 2, true, 64);
WAVETILE_LANE(Half16, f16, 1, true, 16);
WAVETILE_LANE(Bfloat16, bf16, 1, true, 16);
WAVETILE_LANE(std::uint16_t, i16, 1, false, 16);
WAVETILE_LANE(std::int16_t, i16, 1, false, 16);
WAVETILE_LANE(std::uint32_t, b32, 1, false, 32);
WAVETILE_LANE(std::int32_t, i32, 1, false, 32);
WAVETILE_LANE(std::uint64_t, b64, 2, false, 64);
WAVETILE_LANE(std::int64_t, i64, 2, false, 64);
#undef WAVETILE_LANE

template <class T>
constexpr typename LaneType<T>::Bits magnitude_mask() {
  return static_cast<typename LaneType<T>::Bits>(~(typename LaneType<T>::Bits{1} << (LaneType<T>::bits - 1)));
}
template <class T>
constexpr typename LaneType<T>::Bits smallest_normal() {
  if constexpr (std::is_same_v<T, Half16>)
    return 0x0400;
  else if constexpr (std::is_same_v<T, Bfloat16>)
    return 0x0080;
  else if constexpr (std::is_same_v<T, float>)
    return 0x00800000;
  else
    return 0x0010000000000000;
}
// Bits of MODE for the type: bf16 follows f32's field, as its instructions are f32's.
template <class T>
int denormals(const Wave& w) {
  return std::is_same_v<T, float> || std::is_same_v<T, Bfloat16> ? w.mode.denorm32 : w.mode.denorm64;
}
template <class T>
int rounding(const Wave& w) {
  return std::is_same_v<T, float> || std::is_same_v<T, Bfloat16> ? w.mode.round32 : w.mode.round64;
}

template <class T>
void flush_denormals(T* v) {
  using B = typename LaneType<T>::Bits;
  for (int i = 0; i < kChunk; ++i) {
    B b;
    std::memcpy(&b, v + i, sizeof b);
    const B kept = static_cast<B>((b & magnitude_mask<T>()) < smallest_normal<T>() ? b & ~magnitude_mask<T>() : b);
    std::memcpy(v + i, &kept, sizeof b);
  }
}

/// Lanes base .. base + 31 of a source, as T. What needs no change is read where it lies; else it is put into `tmp`.
template <class T>
const T* fetch(const Wave& w, const Source& s, int base, T* tmp) {
  using L = LaneType<T>;
  using B = typename L::Bits;
  const bool flush = L::real && !w.mode_plain && (denormals<T>(w) & 1) == 0;
  const bool changed = s.negate || s.absolute || s.sign_extend || flush;
  if constexpr (L::words == 1 && L::bits == 32) {
    if (s.kind == Source::Kind::vector) {
      const std::uint32_t* row = w.row(s.reg) + base;
      if (!changed && s.pick == Pick::whole) return reinterpret_cast<const T*>(row);
      std::memcpy(tmp, row, sizeof(T) * kChunk);
    }
  }
  B* out = reinterpret_cast<B*>(tmp);
  if (s.kind == Source::Kind::vector) {
    const std::uint32_t* row = w.row(s.reg) + base;
    if constexpr (L::bits == 16) {
      // A byte or a word of SDWA is widened below; here a half.
      const int shift = s.pick == Pick::high ? 16 : 0;
      for (int i = 0; i < kChunk; ++i) out[i] = static_cast<B>(row[i] >> shift);
    } else if constexpr (L::bits == 64) {
      if (s.count > 1) {
        const std::uint32_t* high = w.row(s.reg + 1) + base;
        for (int i = 0; i < kChunk; ++i) out[i] = row[i] | std::uint64_t{high[i]} << 32;
      } else {
        for (int i = 0; i < kChunk; ++i) out[i] = row[i];
      }
    }
    if (s.pick >= Pick::byte0 || (L::bits == 32 && s.pick != Pick::whole)) {
      const bool word = s.pick == Pick::low || s.pick == Pick::high;
      const int shift =
          word ? (s.pick == Pick::high ? 16 : 0) : 8 * (static_cast<int>(s.pick) - static_cast<int>(Pick::byte0));
      const std::uint32_t mask = word ? 0xffff : 0xff, sign = word ? 0x8000 : 0x80;
      for (int i = 0; i < kChunk; ++i) {
        std::uint32_t v = (row[i] >> shift) & mask;
        if (s.sign_extend) v = (v ^ sign) - sign;
        out[i] = static_cast<B>(v);
      }
    }
  } else {
    std::uint64_t value = s.value;
    if (s.kind == Source::Kind::scalar) {
      value = w.s[s.reg];
      if (L::bits == 64 && s.count > 1) value |= std::uint64_t{w.s[s.reg + 1]} << 32;
    } else if (s.kind == Source::Kind::scc) {
      value = w.scc;
    }
    if (s.pick == Pick::high) value >>= 16;
    for (int i = 0; i < kChunk; ++i) out[i] = static_cast<B>(value);
  }
  if constexpr (L::real) {
    if (s.absolute) {
      for (int i = 0; i < kChunk; ++i) out[i] &= magnitude_mask<T>();
    }
    if (s.negate) {
      for (int i = 0; i < kChunk; ++i) out[i] ^= static_cast<B>(~magnitude_mask<T>());
    }
    if (flush) flush_denormals(tmp);
  } else if (s.absolute || s.negate) {
    // Integers read with the modifiers of floats: v_cndmask and its like.
    for (int i = 0; i < kChunk && s.absolute; ++i) out[i] &= magnitude_mask<T>();
    for (int i = 0; i < kChunk && s.negate; ++i) out[i] ^= static_cast<B>(~magnitude_mask<T>());
  }
  return tmp;
}

template <class T>
constexpr bool fills_a_row() {
  return LaneType<T>::bits == 32 && LaneType<T>::type != Type::mask;
}

/// fetch(), with a short way for a source that nothing changes: `plain` says that there is no other.
template <class T>
inline const T* operand(const Wave& w, const Source& s, bool plain, int base, T* tmp) {
  if constexpr (fills_a_row<T>()) {
    if (plain) {
      if (s.kind == Source::Kind::vector) return reinterpret_cast<const T*>(w.row(s.reg) + base);
      const auto value =
          std::bit_cast<T>(s.kind == Source::Kind::scalar ? w.s[s.reg] : static_cast<std::uint32_t>(s.value));
      for (int i = 0; i < kChunk; ++i) tmp[i] = value;
      return tmp;
    }
  }
  return fetch(w, s, base, tmp);
}

/// Where lanes base .. base + 31 of a result may be written at once: their place, or else `tmp`, for put().
template <class T>
inline T* result_row(Wave& w, const Op& op, bool plain, int base, std::uint32_t mask, T* tmp) {
  if constexpr (fills_a_row<T>()) {
    if (plain && mask == 0xffffffffu) return reinterpret_cast<T*>(w.row(op.dst[0].reg) + base);
  }
  return tmp;
}

/// omod and clamp of float results (integers' clamp belongs to their functions), then the flush that MODE asks for.
void finish_f32(const Wave& w, const Op& op, float* v);
void finish_f64(const Wave& w, const Op& op, double* v);
void finish_f16(const Wave& w, const Op& op, Half16* v);
void finish_bf16(const Wave& w, const Op& op, Bfloat16* v);
template <class T>
void finish(const Wave& w, const Op& op, T* v) {
  if (op.omod == 0 && !op.clamp && w.mode_plain) return;
  if constexpr (std::is_same_v<T, float>) finish_f32(w, op, v);
  if constexpr (std::is_same_v<T, double>) finish_f64(w, op, v);
  if constexpr (std::is_same_v<T, Half16>) finish_f16(w, op, v);
  if constexpr (std::is_same_v<T, Bfloat16>) finish_bf16(w, op, v);
}

inline void put_words(std::uint32_t* row, const std::uint32_t* v, std::uint32_t mask) {
  if (mask == 0xffffffffu) {
    std::memcpy(row, v, 4 * kChunk);
    return;
  }
  for (int i = 0; i < kChunk; ++i) row[i] = (mask >> i) & 1 ? v[i] : row[i];
}

/// Writes lanes base .. base + 31 of those in `mask` (bit 0 is lane base).
template <class T>
void put(Wave& w, const Destination& d, int base, const T* v, std::uint32_t mask) {
  using L = LaneType<T>;
  alignas(64) std::uint32_t words[kChunk];
  std::uint32_t* row = w.row(d.reg) + base;
  if constexpr (L::bits == 64) {
    const auto* bits = reinterpret_cast<const std::uint64_t*>(v);
    for (int i = 0; i < kChunk; ++i) words[i] = static_cast<std::uint32_t>(bits[i]);
    put_words(row, words, mask);
    for (int i = 0; i < kChunk; ++i) words[i] = static_cast<std::uint32_t>(bits[i] >> 32);
    put_words(w.row(d.reg + 1) + base, words, mask);
  } else if constexpr (L::bits == 16) {
    // v0.l and v0.h keep the other half. A whole register is zero above: GFX9's 16-bit instructions.
    const auto* bits = reinterpret_cast<const std::uint16_t*>(v);
    const int shift = d.pick == Pick::high ? 16 : 0;
    const std::uint32_t keep = d.pick == Pick::whole ? 0 : d.pick == Pick::high ? 0xffff : 0xffff0000;
    for (int i = 0; i < kChunk; ++i) words[i] = (row[i] & keep) | (std::uint32_t{bits[i]} << shift);
    put_words(row, words, mask);
  } else {
    put_words(row, reinterpret_cast<const std::uint32_t*>(v), mask);
  }
}

template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class F, class R, class... A>
struct Signature<R (F::*)(A...) const> {
  using Result = R;
  using Arguments = std::tuple<A...>;
  static constexpr int count = sizeof...(A);
};

/// Rounds as MODE says while it lives, when that is not to nearest.
class Rounding {
 public:
  explicit Rounding(int mode) : set_(mode != 0) {
    static constexpr int kModes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    if (set_) std::fesetround(kModes[mode]);
  }
  ~Rounding() {
    if (set_) std::fesetround(FE_TONEAREST);
  }
  Rounding(const Rounding&) = delete;
  Rounding& operator=(const Rounding&) = delete;

 private:
  bool set_;
};

/// The lanes of one operand, not initialised.
template <class T>
struct Lanes {
  Lanes() {}  // NOLINT(modernize-use-equals-default): a defaulted one would be zeroed inside a tuple
  alignas(64) T v[kChunk];
};

template <class F, std::size_t... I>
[[gnu::always_inline]] inline void run_vector_at(Wave& w, const Op& op, int base, std::uint32_t mask,
                                                 std::index_sequence<I...>) {
  using S = Signature<F>;
  using R = typename S::Result;
  const bool plain = op.plain && w.mode_plain;
  std::tuple<Lanes<std::tuple_element_t<I, typename S::Arguments>>...> tmp;
  const std::tuple<const std::tuple_element_t<I, typename S::Arguments>*...> in{
      operand(w, op.src[I], plain, base, std::get<I>(tmp).v)...};
  Lanes<R> other;
  R* const out = result_row(w, op, plain, base, mask, other.v);
  WAVETILE_LANES_APART
  for (int i = 0; i < kChunk; ++i) out[i] = F{}(std::get<I>(in)[i]...);
  if (out != other.v) return;
  finish(w, op, out);
  put(w, op.dst[0], base, out, mask);
}

/// R f(A...), lane by lane.
template <class F>
void run_vector(Wave& w, const Op& op) {
  const Rounding rounding_mode(w.mode_plain ? 0 : rounding<typename Signature<F>::Result>(w));
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<std::uint32_t>(w.exec >> base);
    if (mask != 0) run_vector_at<F>(w, op, base, mask, std::make_index_sequence<Signature<F>::count>{});
  }
}

template <class... A>
std::span<const Type> types_of(std::tuple<A...>*) {
  static constexpr Type kTypes[] = {LaneType<A>::type...};
  return kTypes;
}

/// Integers are clamped by their own functions (see integer.h) and never scaled.
template <class R>
void refuse_output_modifiers(const Instruction& in, const Op& op) {
  if (!LaneType<R>::real && (op.clamp || op.omod != 0)) throw Unsupported("clamp or scale in '" + in.text + "'");
}

template <class F>
Entry vector(F, Class cls = Class::valu) {
  return {cls, [](const Instruction& in, Op& op, const BindContext& c) {
            bind_vector(in, op, c, &run_vector<F>, types_of(static_cast<typename Signature<F>::Arguments*>(nullptr)));
            refuse_output_modifiers<typename Signature<F>::Result>(in, op);
          }};
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
