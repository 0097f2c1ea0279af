// f64 arithmetic. Reciprocals and square roots are approximate on the hardware (emulator/approximate.h).
#include "emulator/ops/float_math.h"
#include "emulator/ops/lane_bits.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

// The binary digits of 2 / pi behind the point, most significant first.
constexpr std::uint64_t kTwoOverPi[] = {0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
                                        0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
                                        0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f,
                                        0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d, 0x7527bac7ebe5f17b,
                                        0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab};
constexpr int kDigits = 1201;  // that the hardware has

// 53 digits of 2 / pi, number `segment` of those that matter for the size of x, where they stand.
double two_over_pi(double x, std::uint32_t segment) {
  const int e = exponent_field(x);
  const int shift = static_cast<int>(segment & 31) * 53 + (e > 1077 ? e - 1077 : 0);
  std::uint64_t digits = 0;
  for (int i = shift; i < shift + 53; ++i) {
    const bool digit = i < kDigits && (kTwoOverPi[i / 64] >> (63 - i % 64) & 1) != 0;
    digits = digits << 1 | std::uint64_t{digit};
  }
  return scaled(static_cast<double>(digits), -53 - shift + (e >= 1968 ? 128 : 0));
}

}  // namespace

void add_vector_f64(Table& t) {
  const Entry fma = vector([](double a, double b, double c) { return __builtin_fma(a, b, c); });
  t.add("v_add_f64", vector([](double a, double b) { return a + b; }));
  t.add("v_mul_f64", vector([](double a, double b) { return a * b; }));
  t.add("v_fma_f64", fma);
  t.add("v_fmac_f64", fma);
  t.add("v_min_f64", vector_by_ieee<Extremes<double>::Min>());
  t.add("v_max_f64", vector_by_ieee<Extremes<double>::Max>());
  t.add("v_floor_f64", vector([](double x) { return quiet(floor_of(x)); }));
  t.add("v_ceil_f64", vector([](double x) { return quiet(ceil_of(x)); }));
  t.add("v_trunc_f64", vector([](double x) { return quiet(trunc_of(x)); }));
  t.add("v_rndne_f64", vector([](double x) { return round_even(x); }));
  t.add("v_fract_f64", vector([](double x) { return fraction(x); }));
  t.add("v_ldexp_f64", vector([](double x, std::int32_t e) { return scaled(x, e); }));
  t.add("v_frexp_exp_i32_f64", vector([](double x) { return exponent_of(x); }));
  t.add("v_frexp_mant_f64", vector([](double x) { return mantissa_of(x); }));
  t.add("v_rcp_f64", vector([](double x) { return 1.0 / x; }, Class::trans));
  t.add("v_rsq_f64", vector([](double x) { return 1.0 / __builtin_sqrt(x); }, Class::trans));
  t.add("v_sqrt_f64", vector([](double x) { return __builtin_sqrt(x); }, Class::trans));
  t.add("v_trig_preop_f64", vector([](double x, std::uint32_t segment) { return two_over_pi(x, segment); }));
  t.add("v_div_scale_f64", vector_with_bit([](double s0, double d, double n) {
          const Scaled<double> r = division_scale(s0, d, n);
          return WithBit<double>{r.value, r.bit};
        }));
  t.add("v_div_fmas_f64", vector_of_mask([](double a, double b, double c, LaneBit scale) {
          return division_fmas(a, b, c, scale.on != 0);
        }));
  t.add("v_div_fixup_f64", vector([](double q, double d, double n) { return division_fixup(q, d, n); }));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
