// The vector instructions whose results AMD's hardware approximates: how far it may be from the exact value. The
// emulator computes them as well as the host can (within 1 ulp of f64 functions, about half an ulp of f32's), so code
// that depends on more bits than this may differ on the hardware.
#pragma once

#include <span>
#include <string_view>

namespace wavetile::emu {

struct Approximate {
  std::string_view mnemonic;
  double ulp;       // of the result's type; 0 where the bound is absolute
  double absolute;  // 0 where the bound is in ulp
  std::string_view source;
};

inline constexpr std::string_view kIsa = "RDNA3 ISA document, the instruction's notes; CDNA4's has the same";
inline constexpr std::string_view kHalf = "CDNA4 ISA document, the instruction's notes; RDNA3's says 0.51";
inline constexpr std::string_view kAsPlain = "no document gives a bound; that of the instruction without the suffix";
inline constexpr std::string_view kMargin =
    "no document gives a bound; OpenCL's native_sin and native_cos are these instructions and leave it open";

/// For f32 rcp, rsq, sqrt, exp and log, denormal arguments and results are 0, whatever MODE says.
inline constexpr Approximate kApproximate[] = {
    {"v_rcp_f32", 1, 0, kIsa},          {"v_rcp_iflag_f32", 1, 0, kAsPlain},
    {"v_rsq_f32", 1, 0, kIsa},          {"v_sqrt_f32", 1, 0, kIsa},
    {"v_exp_f32", 1, 0, kIsa},          {"v_exp_legacy_f32", 1, 0, kAsPlain},
    {"v_log_f32", 1, 0, kIsa},          {"v_log_legacy_f32", 1, 0, kAsPlain},
    {"v_sin_f32", 0, 0x1p-20, kMargin}, {"v_cos_f32", 0, 0x1p-20, kMargin},
    {"v_rcp_f16", 1, 0, kHalf},         {"v_rsq_f16", 1, 0, kHalf},
    {"v_sqrt_f16", 1, 0, kHalf},        {"v_exp_f16", 1, 0, kHalf},
    {"v_log_f16", 1, 0, kHalf},         {"v_sin_f16", 0, 0x1p-10, kMargin},
    {"v_cos_f16", 0, 0x1p-10, kMargin}, {"v_rcp_f64", 0x1p29, 0, kIsa},
    {"v_rsq_f64", 0x1p29, 0, kIsa},     {"v_sqrt_f64", 0x1p29, 0, kIsa},
};

inline constexpr std::span<const Approximate> approximate_instructions() { return kApproximate; }

}  // namespace wavetile::emu
