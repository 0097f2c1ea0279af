// Instructions of the chips that LLVM offers as intrinsics and that have an exact definition. The host's text calls
// that definition in plain C++ (definitions.cpp).
#include "emulator/fuzz/operation.h"

namespace wavetile::fuzz {
namespace {

constexpr Type i1{Kind::i1, 1}, i16{Kind::i16, 1}, i32{Kind::i32, 1}, i64{Kind::i64, 1}, f16{Kind::f16, 1},
    f32{Kind::f32, 1}, f64{Kind::f64, 1}, v2i16{Kind::i16, 2}, v2f16{Kind::f16, 2};

Operation fixed(const char* name, Type result, std::vector<Type> parameters, std::string amd, std::string host,
                unsigned chips = kAllChips) {
  Operation o;
  o.name = name, o.form = Form::fixed, o.weight = 1, o.result = result, o.parameters = std::move(parameters);
  o.amd = std::move(amd), o.host = std::move(host), o.chips = chips;
  return o;
}

/// An intrinsic whose arguments and result are what the definition's are too.
Operation plain(const char* name, const std::string& intrinsic, Type result, const std::vector<Type>& parameters,
                unsigned chips = kAllChips, const std::string& more = "") {
  std::string list;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    list += (i ? ", " : "") + text(parameters[i]) + " $" + std::to_string(i);
  const std::string call = "$r = call " + text(result) + " @";
  return fixed(name, result, parameters, call + "llvm.amdgcn." + intrinsic + "(" + list + more + ")",
               call + "fz_" + name + "(" + list + ")", chips);
}

void add_integer(std::vector<Operation>& t) {
  t.push_back(plain("perm", "perm", i32, {i32, i32, i32}));
  t.push_back(plain("alignbyte", "alignbyte", i32, {i32, i32, i32}));
  t.push_back(plain("sad_u8", "sad.u8", i32, {i32, i32, i32}));
  t.push_back(plain("sad_hi_u8", "sad.hi.u8", i32, {i32, i32, i32}));
  t.push_back(plain("sad_u16", "sad.u16", i32, {i32, i32, i32}));
  t.push_back(plain("msad_u8", "msad.u8", i32, {i32, i32, i32}));
  // Sums that do not overflow.
  const std::string small = "$x9 = and i64 $2, 1152657617789587455\n";  // 0x0fff in each word
  t.push_back(fixed("qsad", i64, {i64, i32, i64},
                    small + "$r = call i64 @llvm.amdgcn.qsad.pk.u16.u8(i64 $0, i32 $1, i64 $x9)",
                    small + "$r = call i64 @fz_qsad(i64 $0, i32 $1, i64 $x9)"));
  t.push_back(fixed("mqsad", i64, {i64, i32, i64},
                    small + "$r = call i64 @llvm.amdgcn.mqsad.pk.u16.u8(i64 $0, i32 $1, i64 $x9)",
                    small + "$r = call i64 @fz_mqsad(i64 $0, i32 $1, i64 $x9)"));
  t.push_back(plain("lerp", "lerp", i32, {i32, i32, i32}));
  // LLVM takes a field of known bits for others.
  const std::string field =
      "$x1 = and i32 $k1, 31\n$x2 = and i32 $k2, 31\n$x3 = sub i32 32, $x1\n"
      "$x4 = call i32 @llvm.umin.i32(i32 $x2, i32 $x3)\n$r = call i32 @";
  t.push_back(fixed("ubfe", i32, {i32, i32, i32}, field + "llvm.amdgcn.ubfe.i32(i32 $k0, i32 $x1, i32 $x4)",
                    field + "fz_ubfe(i32 $k0, i32 $x1, i32 $x4)"));
  t.push_back(fixed("sbfe", i32, {i32, i32, i32}, field + "llvm.amdgcn.sbfe.i32(i32 $k0, i32 $x1, i32 $x4)",
                    field + "fz_sbfe(i32 $k0, i32 $x1, i32 $x4)"));
  t.push_back(plain("mul_u24", "mul.u24.i32", i32, {i32, i32}));
  t.push_back(plain("mulhi_i24", "mulhi.i24", i32, {i32, i32}));
  t.push_back(plain("mulhi_u24", "mulhi.u24", i32, {i32, i32}));
  t.push_back(plain("sffbh", "sffbh.i32", i32, {i32}));
  t.push_back(plain("mbcnt_lo", "mbcnt.lo", i32, {i32, i32}));
  t.push_back(plain("mbcnt_hi", "mbcnt.hi", i32, {i32, i32}));
  for (auto [name, intrinsic] : {std::pair{"cvt_pk_i16", "cvt.pk.i16"}, std::pair{"cvt_pk_u16", "cvt.pk.u16"}}) {
    const std::string s = name;
    t.push_back(fixed(name, v2i16, {i32, i32},
                      std::string("$r = call <2 x i16> @llvm.amdgcn.") + intrinsic + "(i32 $0, i32 $1)",
                      "$x1 = call i32 @fz_" + s + "(i32 $0, i32 $1)\n$r = bitcast i32 $x1 to <2 x i16>"));
  }
  // Scalar instructions.
  for (Operation o :
       {plain("s_bitreplicate", "s.bitreplicate", i64, {i32}), plain("s_quadmask", "s.quadmask.i32", i32, {i32}),
        plain("s_quadmask64", "s.quadmask.i64", i64, {i64}), plain("s_wqm", "s.wqm.i32", i32, {i32}),
        plain("s_wqm64", "s.wqm.i64", i64, {i64})}) {
    o.uniform_arguments = o.uniform_result = true;
    t.push_back(o);
  }
}

void add_dot(std::vector<Operation>& t) {
  auto dot = [&](const char* name, const char* intrinsic, const char* clamp, unsigned chips) {
    t.push_back(plain(name, intrinsic, i32, {i32, i32, i32}, chips, std::string(", i1 ") + clamp));
  };
  dot("sdot4", "sdot4", "false", kGfx942);
  dot("sdot4_sat", "sdot4", "true", kGfx942);
  dot("udot4", "udot4", "false", kAllChips);
  dot("udot4_sat", "udot4", "true", kAllChips);
  dot("sdot8", "sdot8", "false", kGfx942);
  dot("udot8", "udot8", "false", kAllChips);
  dot("udot8_sat", "udot8", "true", kAllChips);
  for (int bits : {4, 8})
    for (int signs = 0; signs < 4; ++signs)
      for (const char* clamp : {"false", "true"}) {
        const std::string a = signs & 1 ? "true" : "false", b = signs & 2 ? "true" : "false",
                          n = std::to_string(bits == 4 ? 8 : 4);
        t.push_back(fixed("sudot", i32, {i32, i32, i32},
                          "$r = call i32 @llvm.amdgcn.sudot" + n + "(i1 " + a + ", i32 $0, i1 " + b +
                              ", i32 $1, i32 $2, i1 " + clamp + ")",
                          "$r = call i32 @fz_sudot(i32 $0, i32 $1, i32 $2, i32 " + std::to_string(bits) + ", i32 " +
                              std::to_string(signs | (clamp[0] == 't' ? 4 : 0)) + ")",
                          kRdna3));
      }
  // i16 pairs.
  for (const char* s : {"s", "u"})
    t.push_back(
        fixed(s[0] == 's' ? "sdot2" : "udot2", i32, {v2i16, v2i16, i32},
              std::string("$r = call i32 @llvm.amdgcn.") + s + "dot2(<2 x i16> $0, <2 x i16> $1, i32 $2, i1 false)",
              std::string("$x1 = bitcast <2 x i16> $0 to i32\n$x2 = bitcast <2 x i16> $1 to i32\n$r = call i32 @fz_") +
                  s + "dot2(i32 $x1, i32 $x2, i32 $2)",
              kGfx942));
  // Floats that are small integers, so that no sum is rounded.
  const std::string halves =
      "$x1 = ashr <2 x i16> $0, splat (i16 11)\n$x2 = ashr <2 x i16> $1, splat (i16 11)\n$x3 = ashr i32 $2, 20\n";
  auto pair_dot = [&](const char* name, const char* element, const char* intrinsic, unsigned chips) {
    const std::string e = element, v = "<2 x " + e + ">";
    t.push_back(fixed(name, f32, {v2i16, v2i16, i32},
                      halves + "$x4 = sitofp <2 x i16> $x1 to " + v + "\n$x5 = sitofp <2 x i16> $x2 to " + v +
                          "\n$x6 = sitofp i32 $x3 to float\n$r = call float @llvm.amdgcn." + intrinsic + "(" + v +
                          " $x4, " + v + " $x5, float $x6, i1 false)",
                      halves +
                          "$x4 = sext <2 x i16> $x1 to <2 x i32>\n$x5 = sext <2 x i16> $x2 to <2 x i32>\n"
                          "$x6 = mul <2 x i32> $x4, $x5\n$x7 = call i32 @llvm.vector.reduce.add.v2i32(<2 x i32> $x6)\n"
                          "$x8 = add i32 $x7, $x3\n$r = sitofp i32 $x8 to float",
                      chips));
  };
  pair_dot("fdot2", "half", "fdot2", kAllChips);
  pair_dot("fdot2_f32_bf16", "bfloat", "fdot2.f32.bf16", kRdna3);
}

void add_float(std::vector<Operation>& t) {
  // What they make of an infinity or a NaN differs from what the host's functions do.
  t.push_back(fixed("mant_f32", f32, {f32}, "$r = call float @llvm.amdgcn.frexp.mant.f32(float $f0)",
                    "$x1 = fpext float $f0 to double\n$x2 = call double @fz_fraction(double $x1)\n"
                    "$r = fptrunc double $x2 to float"));
  t.push_back(fixed("mant_f64", f64, {f64}, "$r = call double @llvm.amdgcn.frexp.mant.f64(double $f0)",
                    "$r = call double @fz_fraction(double $f0)"));
  t.push_back(fixed("exp_f32", i32, {f32}, "$r = call i32 @llvm.amdgcn.frexp.exp.i32.f32(float $f0)",
                    "$x1 = fpext float $f0 to double\n$r = call i32 @fz_exponent(double $x1)"));
  t.push_back(fixed("exp_f64", i32, {f64}, "$r = call i32 @llvm.amdgcn.frexp.exp.i32.f64(double $f0)",
                    "$r = call i32 @fz_exponent(double $f0)"));
  t.push_back(
      fixed("exp_f16", i16, {f16}, "$r = call i16 @llvm.amdgcn.frexp.exp.i16.f16(half $f0)",
            "$x1 = fpext half $f0 to double\n$x2 = call i32 @fz_exponent(double $x1)\n$r = trunc i32 $x2 to i16"));
  t.push_back(fixed("mant_f16", f16, {f16}, "$r = call half @llvm.amdgcn.frexp.mant.f16(half $f0)",
                    "$x1 = fpext half $f0 to double\n$x2 = call double @fz_fraction(double $x1)\n"
                    "$r = fptrunc double $x2 to half"));
  auto classify = [&](const char* name, Type type) {
    const std::string e = text(type);
    const char* bits = "$x1 = and i32 $1, 1020\n";
    t.push_back(fixed(name, i1, {type, i32},
                      bits + ("$r = call i1 @llvm.amdgcn.class." + mangled(type)) + "(" + e + " $0, i32 $x1)",
                      type == f64 ? std::string(bits) + "$r = call i1 @fz_class_f64(double $0, i32 $x1)"
                                  : bits + ("$x2 = bitcast " + e) + " $0 to i" + std::to_string(type.bits()) +
                                        (type == f16 ? "\n$x3 = zext i16 $x2 to i32" : "\n$x3 = or i32 $x2, 0") +
                                        "\n$r = call i1 @fz_class_" + mangled(type) + "(i32 $x3, i32 $x1)"));
  };
  classify("class_f32", f32);
  classify("class_f64", f64);
  classify("class_f16", f16);
  auto fract = [&](const char* name, Type type, const char* limit) {
    const std::string e = text(type), m = mangled(type);
    const std::string finite = "$x1 = call " + e + " @llvm.fabs." + m + "(" + e + " $0)\n$x2 = fcmp olt " + e +
                               " $x1, " + limit + "\n$x3 = select i1 $x2, " + e + " $0, " + e + " zeroinitializer\n";
    std::string host = finite + "$x4 = call " + e + " @llvm.floor." + m + "(" + e + " $x3)\n$x5 = fsub " + e +
                       " $x3, $x4\n$r = call " + e + " @llvm.minnum." + m + "(" + e + " $x5, " + e + " ";
    host += type == f32 ? "0x3FEFFFFFE0000000)" : type == f64 ? "0x3FEFFFFFFFFFFFFF)" : "0xH3BFF)";
    t.push_back(
        fixed(name, type, {type}, finite + "$r = call " + e + " @llvm.amdgcn.fract." + m + "(" + e + " $x3)", host));
  };
  fract("fract_f32", f32, "0x42A0000000000000");
  fract("fract_f64", f64, "0x43A0000000000000");
  fract("fract_f16", f16, "0xH7BFF");
  // Which of equal zeros is the middle one is open; that 0 * -1 is +0 LLVM forgets where it makes an ordinary product.
  const std::string zero = "$x2 = fcmp oeq float $x1, 0.0\n$r = select i1 $x2, float 0.0, float $x1";
  t.push_back(fixed("med3_f32", f32, {f32, f32, f32},
                    "$x1 = call float @llvm.amdgcn.fmed3.f32(float $f0, float $f1, float $f2)\n" + zero,
                    "$x1 = call float @fz_med3(float $f0, float $f1, float $f2)\n" + zero));
  t.push_back(fixed("mul_legacy", f32, {f32, f32},
                    "$x1 = call float @llvm.amdgcn.fmul.legacy(float $0, float $1)\n" + zero,
                    "$x1 = call float @fz_mul_legacy(float $0, float $1)\n" + zero));
  t.back().f32_inside = true;
  t.push_back(fixed("fma_legacy", f32, {f32, f32, f32},
                    "$x1 = call float @llvm.amdgcn.fma.legacy(float $0, float $1, float $2)\n" + zero,
                    "$x1 = call float @fz_fma_legacy(float $0, float $1, float $2)\n" + zero, kRdna3));
  t.back().f32_inside = true;
  t.push_back(fixed("cvt_pkrtz", v2f16, {f32, f32}, "$r = call <2 x half> @llvm.amdgcn.cvt.pkrtz(float $k0, float $k1)",
                    "$x1 = call i32 @fz_cvt_pkrtz(float $k0, float $k1)\n$r = bitcast i32 $x1 to <2 x half>"));
  t.back().weight = 3;
  // A byte converted from a float that is an integer.
  const std::string byte = "$x1 = ashr i32 $0, 22\n$x2 = sitofp i32 $x1 to float\n";
  t.push_back(fixed("cvt_pk_u8", i32, {i32, i32, i32},
                    byte + "$r = call i32 @llvm.amdgcn.cvt.pk.u8.f32(float $x2, i32 $1, i32 $2)",
                    byte + "$r = call i32 @fz_cvt_pk_u8(i32 $x1, i32 $1, i32 $2)"));
}

}  // namespace

void add_machine(std::vector<Operation>& t) {
  add_integer(t);
  add_dot(t);
  add_float(t);
}

}  // namespace wavetile::fuzz
