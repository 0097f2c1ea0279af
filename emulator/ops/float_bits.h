// Floats of every width as bits, without branches, so that loops over these become vector code: classes, quieting, and
// the minimum and maximum of AMD's instructions, in which -0 < +0, a NaN loses against a number, and in IEEE mode a
// signalling NaN wins and is quieted.
#pragma once

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

template <class T>
constexpr int mantissa_bits() {
  if constexpr (std::is_same_v<T, Half16>)
    return 10;
  else if constexpr (std::is_same_v<T, Bfloat16>)
    return 7;
  else if constexpr (std::is_same_v<T, float>)
    return 23;
  else
    return 52;
}
template <class T>
using BitsOf = typename LaneType<T>::Bits;
template <class T>
using SignedBitsOf = std::make_signed_t<BitsOf<T>>;

template <class T>
constexpr BitsOf<T> infinity_bits() {
  return static_cast<BitsOf<T>>(magnitude_mask<T>() & ~((BitsOf<T>{1} << mantissa_bits<T>()) - 1));
}
template <class T>
constexpr BitsOf<T> quiet_bit() {
  return static_cast<BitsOf<T>>(BitsOf<T>{1} << (mantissa_bits<T>() - 1));
}
template <class T>
BitsOf<T> bits_of(T x) {
  return std::bit_cast<BitsOf<T>>(x);
}
template <class T>
bool is_nan(T x) {
  return (bits_of(x) & magnitude_mask<T>()) > infinity_bits<T>();
}
template <class T>
bool is_signalling(T x) {
  return is_nan(x) & ((bits_of(x) & quiet_bit<T>()) == 0);
}
template <class T>
bool is_infinite(T x) {
  return (bits_of(x) & magnitude_mask<T>()) == infinity_bits<T>();
}
template <class T>
bool is_zero(T x) {
  return (bits_of(x) & magnitude_mask<T>()) == 0;
}
template <class T>
bool is_denormal(T x) {
  return !is_zero(x) & ((bits_of(x) & magnitude_mask<T>()) < smallest_normal<T>());
}
template <class T>
bool sign_of(T x) {
  return (bits_of(x) & ~magnitude_mask<T>()) != 0;
}
template <class T>
T quieted(T x) {
  return std::bit_cast<T>(static_cast<BitsOf<T>>(bits_of(x) | quiet_bit<T>()));
}
template <class T>
T with_sign(T magnitude, bool negative) {
  const auto sign = static_cast<BitsOf<T>>(BitsOf<T>{negative} << (LaneType<T>::bits - 1));
  return std::bit_cast<T>(static_cast<BitsOf<T>>((bits_of(magnitude) & magnitude_mask<T>()) | sign));
}
/// The exponent field: biased, 0 of zeros and denormals.
template <class T>
int exponent_field(T x) {
  return static_cast<int>((bits_of(x) & magnitude_mask<T>()) >> mantissa_bits<T>());
}
/// Integers in the order of the numbers, -0 before +0.
template <class T>
SignedBitsOf<T> order_key(T x) {
  const auto b = static_cast<SignedBitsOf<T>>(bits_of(x));
  return static_cast<SignedBitsOf<T>>(b ^ ((b >> (LaneType<T>::bits - 1)) & magnitude_mask<T>()));
}

template <bool Ieee, bool Max, class T>
T extreme(T x, T y) {
  const auto a = bits_of(x), b = bits_of(y);
  const bool first = Max ? order_key(x) > order_key(y) : order_key(x) < order_key(y);
  auto r = first ? a : b;
  r = is_nan(x) ? b : r;
  r = is_nan(y) ? a : r;
  if constexpr (Ieee) {
    r = is_signalling(y) ? static_cast<BitsOf<T>>(b | quiet_bit<T>()) : r;
    r = is_signalling(x) ? static_cast<BitsOf<T>>(a | quiet_bit<T>()) : r;
  }
  return std::bit_cast<T>(r);
}
template <bool Ieee, class T>
T minimum(T x, T y) {
  return extreme<Ieee, false>(x, y);
}
template <bool Ieee, class T>
T maximum(T x, T y) {
  return extreme<Ieee, true>(x, y);
}
// +0 and -0 are equal here, as in AMD's definition of med3.
template <class T>
bool equal(T x, T y) {
  const auto a = bits_of(x), b = bits_of(y);
  return (a == b) | (static_cast<BitsOf<T>>((a | b) << 1) == 0);
}
template <bool Ieee, class T>
T median(T x, T y, T z) {
  const T low = minimum<Ieee>(minimum<Ieee>(x, y), z), high = maximum<Ieee>(maximum<Ieee>(x, y), z);
  const T rest = equal(high, x) ? maximum<Ieee>(y, z) : equal(high, y) ? maximum<Ieee>(x, z) : maximum<Ieee>(x, y);
  return (is_nan(x) | is_nan(y) | is_nan(z)) ? low : rest;
}

/// Binds a function that depends on MODE's IEEE bit: F<true> or F<false> runs.
template <class IfIeee, class Otherwise>
void run_by_ieee(Wave& w, const Op& op) {
  if (w.mode.ieee) {
    run_vector<IfIeee>(w, op);
  } else {
    run_vector<Otherwise>(w, op);
  }
}
template <template <bool> class F>
Entry vector_by_ieee() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            bind_vector(in, op, c, &run_by_ieee<F<true>, F<false>>,
                        types_of(static_cast<typename Signature<F<true>>::Arguments*>(nullptr)));
          }};
}

/// The instructions of minimum and maximum of T.
template <class T>
struct Extremes {
  template <bool I>
  struct Min {
    T operator()(T a, T b) const { return minimum<I>(a, b); }
  };
  template <bool I>
  struct Max {
    T operator()(T a, T b) const { return maximum<I>(a, b); }
  };
  template <bool I>
  struct Min3 {
    T operator()(T a, T b, T c) const { return minimum<I>(minimum<I>(a, b), c); }
  };
  template <bool I>
  struct Max3 {
    T operator()(T a, T b, T c) const { return maximum<I>(maximum<I>(a, b), c); }
  };
  template <bool I>
  struct Med3 {
    T operator()(T a, T b, T c) const { return median<I>(a, b, c); }
  };
  template <bool I>
  struct MinMax {
    T operator()(T a, T b, T c) const { return maximum<I>(minimum<I>(a, b), c); }
  };
  template <bool I>
  struct MaxMin {
    T operator()(T a, T b, T c) const { return minimum<I>(maximum<I>(a, b), c); }
  };
};

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
