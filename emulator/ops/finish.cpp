// What happens to float results on their way to the register, in this order: the flush of denormals that MODE asks for,
// the scale (omod), the clamp to [0, 1].
//
// The scale is ignored where IEEE mode or denormal results are on, turns -0 into +0 and makes no denormals. The clamp
// makes +0 of -0 too, and of a NaN when MODE's DX10_CLAMP is on.
#include "emulator/ops/float_bits.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

template <class T>
constexpr BitsOf<T> one_bits() {
  return static_cast<BitsOf<T>>((infinity_bits<T>() >> 1) & infinity_bits<T>());
}

// v * 2^power, for power -1, 1 or 2.
template <class T>
void scale(T* v, int power) {
  constexpr int kTop = static_cast<int>(infinity_bits<T>() >> mantissa_bits<T>());
  for (int i = 0; i < kChunk; ++i) {
    const int exponent = exponent_field(v[i]);
    const int scaled = exponent + power;
    BitsOf<T> b = static_cast<BitsOf<T>>(bits_of(v[i]) + (static_cast<BitsOf<T>>(power) << mantissa_bits<T>()));
    b = scaled >= kTop ? bits_of(with_sign(std::bit_cast<T>(infinity_bits<T>()), sign_of(v[i]))) : b;
    b = exponent == kTop ? bits_of(v[i]) : b;
    const bool vanishes = exponent == 0 || scaled <= 0;
    b = vanishes
            ? static_cast<BitsOf<T>>(is_zero(v[i]) || !sign_of(v[i]) ? 0 : static_cast<BitsOf<T>>(~magnitude_mask<T>()))
            : b;
    v[i] = std::bit_cast<T>(b);
  }
}

template <class T>
void finish_bits(const Wave& w, const Op& op, T* v) {
  const bool keeps_denormals = (denormals<T>(w) & 2) != 0;
  if (!keeps_denormals) flush_denormals(v);
  if (op.omod != 0 && !keeps_denormals && !w.mode.ieee) scale(v, op.omod == 3 ? -1 : op.omod);
  if (!op.clamp) return;
  for (int i = 0; i < kChunk; ++i) {
    BitsOf<T> b = bits_of(v[i]);
    const bool nan = is_nan(v[i]);
    b = !nan && sign_of(v[i]) ? BitsOf<T>{0} : b;
    b = !nan && !sign_of(v[i]) && bits_of(v[i]) > one_bits<T>() ? one_bits<T>() : b;
    b = nan && w.mode.dx10_clamp ? BitsOf<T>{0} : b;
    v[i] = std::bit_cast<T>(b);
  }
}

}  // namespace

void finish_f32(const Wave& w, const Op& op, float* v) { finish_bits(w, op, v); }
void finish_f64(const Wave& w, const Op& op, double* v) { finish_bits(w, op, v); }
void finish_f16(const Wave& w, const Op& op, Half16* v) { finish_bits(w, op, v); }
void finish_bf16(const Wave& w, const Op& op, Bfloat16* v) { finish_bits(w, op, v); }

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
