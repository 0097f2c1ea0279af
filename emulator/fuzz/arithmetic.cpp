// Operations on values of one type, as LLVM's language reference defines them.
#include <utility>

#include "emulator/fuzz/operation.h"

namespace wavetile::fuzz {
namespace {

Operation same(const char* name, int weight, Kinds kinds, int count, std::string amd, std::string host = "") {
  Operation o;
  o.name = name, o.form = Form::same, o.weight = weight, o.kinds = kinds, o.count = count, o.amd = std::move(amd),
  o.host = std::move(host);
  return o;
}

void add_integer(std::vector<Operation>& t) {
  t.push_back(same("add", 12, kInts, 2, "$r = add $T $0, $1"));
  t.push_back(same("sub", 8, kInts, 2, "$r = sub $T $0, $1"));
  t.push_back(same("mul", 8, kInts, 2, "$r = mul $T $0, $1"));
  t.push_back(same("mul_add", 4, kInts, 3, "$x1 = mul $T $0, $1\n$r = add $T $x1, $2"));
  t.push_back(same("and", 5, kInts | kBool, 2, "$r = and $T $0, $1"));
  t.push_back(same("or", 5, kInts | kBool, 2, "$r = or $T $k0, $k1"));
  t.push_back(same("xor", 5, kInts | kBool, 2, "$r = xor $T $0, $1"));
  t.push_back(same("and_not", 2, kInts | kBool, 2, "$x1 = xor $T $1, $w\n$r = and $T $k0, $x1"));
  t.push_back(same("or_not", 1, kInts | kBool, 2, "$x1 = xor $T $k1, $w\n$r = or $T $k0, $x1"));
  t.push_back(same("xnor", 1, kInts | kBool, 2, "$x1 = xor $T $1, $w\n$r = xor $T $0, $x1"));
  t.push_back(same("nand", 1, kInts | kBool, 2, "$x1 = and $T $k1, $k0\n$r = xor $T $w, $x1"));
  t.push_back(same("nor", 1, kInts | kBool, 2, "$x1 = or $T $k1, $k0\n$r = xor $T $w, $x1"));
  t.push_back(same("and_or", 2, kInts, 3, "$x1 = and $T $k0, $1\n$r = or $T $x1, $k2"));
  t.push_back(same("or3", 1, kInts, 3, "$x1 = or $T $k0, $k1\n$r = or $T $x1, $k2"));
  t.push_back(same("xor3", 1, kInts, 3, "$x1 = xor $T $0, $1\n$r = xor $T $x1, $2"));
  t.push_back(same("xor_add", 1, kInts, 3, "$x1 = xor $T $0, $1\n$r = add $T $x1, $2"));
  t.push_back(same("add3", 2, kInts, 3, "$x1 = add $T $0, $1\n$r = add $T $x1, $2"));
  t.push_back(same("shl_add", 2, kInts, 3, "$x0 = and $T $1, $m\n$x1 = shl $T $0, $x0\n$r = add $T $x1, $2"));
  t.push_back(same("add_shl", 2, kInts, 3, "$x0 = and $T $1, $m\n$x1 = add $T $0, $2\n$r = shl $T $x1, $x0"));
  t.push_back(same("shl_or", 2, kInts, 3, "$x0 = and $T $1, $m\n$x1 = shl $T $k0, $x0\n$r = or $T $x1, $k2"));
  t.push_back(same("insert_bits", 2, kInts, 3,
                   "$x1 = and $T $k0, $1\n$x2 = xor $T $k0, $w\n$x3 = and $T $x2, $2\n$r = or $T $x1, $x3"));
  t.push_back(same("shl", 5, kInts, 2, "$x1 = and $T $1, $m\n$r = shl $T $0, $x1"));
  t.push_back(same("lshr", 5, kInts, 2, "$x1 = and $T $1, $m\n$r = lshr $T $0, $x1"));
  t.push_back(same("ashr", 5, kInts, 2, "$x1 = and $T $1, $m\n$r = ashr $T $0, $x1"));
  t.push_back(same("mask_bits", 2, kInts, 2,
                   "$x1 = and $T $1, $m\n$x2 = shl $T $w, $x1\n$x3 = xor $T $x2, $w\n$r = and $T $0, $x3"));
  t.push_back(same("test_bit", 2, kInts, 2, "$x1 = and $T $1, $m\n$x2 = lshr $T $0, $x1\n$r = and $T $x2, $o"));
  t.push_back(same("set_bit", 1, kInts, 2, "$x1 = and $T $1, $m\n$x2 = shl $T $o, $x1\n$r = or $T $x2, $k0"));
  t.push_back(same("fshl", 3, kInts, 3, "$r = call $T @llvm.fshl.$M($T $k0, $T $k1, $T $k2)"));
  t.push_back(same("fshr", 3, kInts, 3, "$r = call $T @llvm.fshr.$M($T $k0, $T $k1, $T $k2)"));
  t.push_back(
      same("udiv", 2, kInts, 2, "$x1 = icmp eq $T $1, $z\n$x2 = select $L $x1, $T $o, $T $1\n$r = udiv $T $k0, $x2"));
  t.push_back(
      same("urem", 2, kInts, 2, "$x1 = icmp eq $T $1, $z\n$x2 = select $L $x1, $T $o, $T $1\n$r = urem $T $k0, $x2"));
  // Neither by zero nor the smallest by -1.
  t.push_back(same("sdiv", 2, kInts, 2,
                   "$x1 = icmp eq $T $1, $z\n$x2 = icmp eq $T $1, $w\n$x3 = icmp eq $T $0, $s\n$x4 = and $L $x2, $x3\n"
                   "$x5 = or $L $x1, $x4\n$x6 = select $L $x5, $T $o, $T $1\n$r = sdiv $T $k0, $x6"));
  t.push_back(same("srem", 2, kInts, 2,
                   "$x1 = icmp eq $T $1, $z\n$x2 = icmp eq $T $1, $w\n$x3 = icmp eq $T $0, $s\n$x4 = and $L $x2, $x3\n"
                   "$x5 = or $L $x1, $x4\n$x6 = select $L $x5, $T $o, $T $1\n$r = srem $T $k0, $x6"));
  t.push_back(same("ctpop", 2, kInts, 1, "$r = call $T @llvm.ctpop.$M($T $0)"));
  t.push_back(same("popcount_add", 1, kInts, 2, "$x1 = call $T @llvm.ctpop.$M($T $0)\n$r = add $T $x1, $1"));
  t.push_back(same("ctlz", 2, kInts, 1, "$r = call $T @llvm.ctlz.$M($T $0, i1 false)"));
  t.push_back(same("cttz", 2, kInts, 1, "$r = call $T @llvm.cttz.$M($T $0, i1 false)"));
  t.push_back(same("bitreverse", 2, kInts, 1, "$r = call $T @llvm.bitreverse.$M($T $0)"));
  t.push_back(same("bswap", 2, set_of(Kind::i16) | set_of(Kind::i32), 1, "$r = call $T @llvm.bswap.$M($T $0)"));
  t.push_back(same("bswap64", 1, set_of(Kind::i64), 1, "$r = call $T @llvm.bswap.$M($T $0)"));
  t.back().broken = kRdna3, t.back().broken_levels = 1;
  t.push_back(same("abs", 2, kInts, 1, "$r = call $T @llvm.abs.$M($T $0, i1 false)"));
  t.push_back(same("smin", 3, kInts, 2, "$r = call $T @llvm.smin.$M($T $0, $T $1)"));
  t.push_back(same("smax", 3, kInts, 2, "$r = call $T @llvm.smax.$M($T $0, $T $1)"));
  t.push_back(same("umin", 3, kInts, 2, "$r = call $T @llvm.umin.$M($T $0, $T $1)"));
  t.push_back(same("umax", 3, kInts, 2, "$r = call $T @llvm.umax.$M($T $0, $T $1)"));
  t.push_back(same("smed3", 1, kInts, 3,
                   "$x1 = call $T @llvm.smin.$M($T $0, $T $1)\n$x2 = call $T @llvm.smax.$M($T $0, $T $1)\n"
                   "$x3 = call $T @llvm.smin.$M($T $x2, $T $2)\n$r = call $T @llvm.smax.$M($T $x1, $T $x3)"));
  t.push_back(same("umed3", 1, kInts, 3,
                   "$x1 = call $T @llvm.umin.$M($T $0, $T $1)\n$x2 = call $T @llvm.umax.$M($T $0, $T $1)\n"
                   "$x3 = call $T @llvm.umin.$M($T $x2, $T $2)\n$r = call $T @llvm.umax.$M($T $x1, $T $x3)"));
  t.push_back(same("umin3", 1, kInts, 3,
                   "$x1 = call $T @llvm.umin.$M($T $0, $T $1)\n$r = call $T @llvm.umin.$M($T $x1, $T $2)"));
  t.push_back(same("smaxmin", 1, kInts, 3,
                   "$x1 = call $T @llvm.smax.$M($T $0, $T $1)\n$r = call $T @llvm.smin.$M($T $x1, $T $2)"));
  t.push_back(same("uadd_sat", 2, kInts, 2, "$r = call $T @llvm.uadd.sat.$M($T $0, $T $1)"));
  t.push_back(same("usub_sat", 2, kInts, 2, "$r = call $T @llvm.usub.sat.$M($T $0, $T $1)"));
  t.push_back(same("sadd_sat", 2, kInts, 2, "$r = call $T @llvm.sadd.sat.$M($T $0, $T $1)"));
  t.push_back(same("ssub_sat", 2, kInts, 2, "$r = call $T @llvm.ssub.sat.$M($T $0, $T $1)"));
  t.push_back(same("ushl_sat", 1, kInts, 2, "$x1 = and $T $1, $m\n$r = call $T @llvm.ushl.sat.$M($T $0, $T $x1)"));
  t.push_back(same("umul_high", 2, kInts, 2,
                   "$x1 = zext $T $0 to $W\n$x2 = zext $T $1 to $W\n$x3 = mul $W $x1, $x2\n$x4 = zext $T $m to $W\n"
                   "$x5 = zext $T $o to $W\n$x6 = add $W $x4, $x5\n$x7 = lshr $W $x3, $x6\n$r = trunc $W $x7 to $T"));
  t.back().broken = kAllChips, t.back().broken_levels = 0b1110, t.back().broken_kinds = set_of(Kind::i8);
  t.push_back(same("smul_high", 2, kInts, 2,
                   "$x1 = sext $T $0 to $W\n$x2 = sext $T $1 to $W\n$x3 = mul $W $x1, $x2\n$x4 = zext $T $m to $W\n"
                   "$x5 = zext $T $o to $W\n$x6 = add $W $x4, $x5\n$x7 = lshr $W $x3, $x6\n$r = trunc $W $x7 to $T"));
  t.back().broken = kAllChips, t.back().broken_levels = 0b1110, t.back().broken_kinds = set_of(Kind::i8);
  // The sum where it does not overflow, else its complement.
  struct Checked {
    const char *name, *text;
  };
  for (auto [name, text] :
       {Checked{"uadd_overflow", "$x1 = call {$T, $L} @llvm.uadd.with.overflow.$M($T $0, $T $1)\n"},
        Checked{"usub_overflow", "$x1 = call {$T, $L} @llvm.usub.with.overflow.$M($T $0, $T $1)\n"},
        Checked{"sadd_overflow", "$x1 = call {$T, $L} @llvm.sadd.with.overflow.$M($T $0, $T $1)\n"},
        Checked{"ssub_overflow", "$x1 = call {$T, $L} @llvm.ssub.with.overflow.$M($T $0, $T $1)\n"},
        Checked{"umul_overflow", "$x1 = call {$T, $L} @llvm.umul.with.overflow.$M($T $0, $T $1)\n"},
        Checked{"smul_overflow", "$x1 = call {$T, $L} @llvm.smul.with.overflow.$M($T $0, $T $1)\n"}}) {
    t.push_back(same(name, 1, kInts, 2,
                     std::string(text) + "$x2 = extractvalue {$T, $L} $x1, 0\n$x3 = extractvalue {$T, $L} $x1, 1\n"
                                         "$x4 = xor $T $x2, $w\n$r = select $L $x3, $T $x4, $T $x2"));
    t.back().broken = kAllChips, t.back().broken_levels = 1, t.back().broken_kinds = set_of(Kind::i64);
  }
  // Carries from one word to the next. The low word differs between work-items, or nothing does: LLVM loses a carry
  // that a scalar instruction makes for a vector instruction.
  for (const bool uniform : {false, true}) {
    const std::string low = uniform ? "$x8 = add i64 $0, 0\n$x10 = add i64 $2, 0\n"
                                    : "$x9 = zext i32 %item to i64\n$x8 = xor i64 $0, $x9\n$x10 = xor i64 $2, $x9\n";
    for (const char* what : {"add", "sub"}) {
      t.push_back(same(what[0] == 'a' ? "add128" : "sub128", 1, set_of(Kind::i64), 3,
                       low +
                           "$x1 = zext i64 $x8 to i128\n$x2 = zext i64 $1 to i128\n$x3 = shl i128 $x2, 64\n"
                           "$x4 = or i128 $x3, $x1\n$x5 = zext i64 $x10 to i128\n$x6 = " +
                           what + " i128 $x4, $x5\n$x7 = lshr i128 $x6, 64\n$r = trunc i128 $x7 to i64"));
      t.back().vectors = false, t.back().uniform_arguments = uniform;
    }
  }
}

void add_float(std::vector<Operation>& t) {
  const Kinds b16 = set_of(Kind::bf16), f16 = set_of(Kind::f16), wide = set_of(Kind::f32) | set_of(Kind::f64),
              no_b16 = kFloats & ~b16;
  t.push_back(same("fadd", 12, kFloats, 2, "$r = fadd $T $z0, $z1"));
  t.push_back(same("fsub", 8, kFloats, 2, "$r = fsub $T $z0, $z1"));
  t.push_back(same("fmul", 12, kFloats, 2, "$r = fmul $T $h0, $h1"));
  t.push_back(same("fdiv", 3, kFloats, 2, "$r = fdiv $T $0, $1"));
  t.push_back(same("fma", 10, wide, 3, "$r = call $T @llvm.fma.$M($T $z0, $T $z1, $T $z2)"));
  // A double holds the exact sum as far as a half can tell.
  t.push_back(same("fma_f16", 8, f16, 3, "$r = call $T @llvm.fma.$M($T $z0, $T $z1, $T $z2)",
                   "$x1 = fpext $T $0 to $D\n$x2 = fpext $T $1 to $D\n$x3 = fpext $T $2 to $D\n$x4 = fmul $D $x1, $x2\n"
                   "$x5 = fadd $D $x4, $x3\n$r = fptrunc $D $x5 to $T"));
  t.push_back(same("fmul_fadd", 3, kFloats, 3, "$x1 = fmul $T $z0, $z1\n$r = fadd $T $x1, $z2"));
  t.back().f32_inside = true;
  // Not `moves`: LLVM negates two f32 by an addition of CDNA3, which flushes.
  t.push_back(same("fneg", 6, kFloats, 1, "$r = fneg $T $h0"));
  t.push_back(same("fabs", 6, kFloats, 1, "$r = call $T @llvm.fabs.$M($T $0)"));
  t.back().moves = true;
  t.push_back(same("copysign", 3, kFloats, 2, "$r = call $T @llvm.copysign.$M($T $0, $T $f1)"));
  t.back().moves = true;
  t.back().broken = kRdna3, t.back().broken_levels = 0b1110, t.back().broken_kinds = b16 | f16;
  // LLVM takes any NaN of it for any other: none comes out.
  t.push_back(same("sqrt", 2, kFloats, 1,
                   "$x1 = call $T @llvm.sqrt.$M($T $0)\n$x2 = fcmp oge $T $0, $z\n$x3 = sitofp $I $w to $T\n"
                   "$r = select $L $x2, $T $x1, $T $x3"));
  // Which of two zeros they give is open, and what they make of signaling NaNs.
  for (auto [name, text] : {std::pair{"minnum",
                                      "$x1 = call $T @llvm.minnum.$M($T $c0, $T $c1)\n"
                                      "$x2 = fcmp oeq $T $x1, $z\n$r = select $L $x2, $T $z, $T $x1"},
                            std::pair{"maxnum",
                                      "$x1 = call $T @llvm.maxnum.$M($T $c0, $T $c1)\n"
                                      "$x2 = fcmp oeq $T $x1, $z\n$r = select $L $x2, $T $z, $T $x1"}})
    t.push_back(same(name, 4, kFloats, 2, text));
  t.push_back(same("minimumnum", 2, kFloats, 2, "$r = call $T @llvm.minimumnum.$M($T $c0, $T $c1)"));
  t.push_back(same("maximumnum", 2, kFloats, 2, "$r = call $T @llvm.maximumnum.$M($T $c0, $T $c1)"));
  t.push_back(same("minimum", 2, kFloats, 2, "$r = call $T @llvm.minimum.$M($T $0, $T $1)"));
  t.push_back(same("maximum", 2, kFloats, 2, "$r = call $T @llvm.maximum.$M($T $0, $T $1)"));
  // The chips have an instruction for it, which LLVM takes though a NaN or the sign of a zero makes a difference.
  t.push_back(
      same("fmed3", 2, no_b16, 3,
           "$x1 = call $T @llvm.minimumnum.$M($T $f0, $T $f1)\n$x2 = call $T @llvm.maximumnum.$M($T $f0, $T $f1)\n"
           "$x3 = call $T @llvm.minimumnum.$M($T $x2, $T $f2)\n$x4 = call $T @llvm.maximumnum.$M($T $x1, $T $x3)\n"
           "$x5 = fcmp oeq $T $x4, $z\n$r = select $L $x5, $T $z, $T $x4"));
  t.push_back(
      same("clamp", 2, no_b16, 2,
           "$x0 = fadd $T $0, $1\n$x1 = sitofp $I $o to $T\n"
           "$x2 = call $T @llvm.maximumnum.$M($T $x0, $T $z)\n$x3 = call $T @llvm.minimumnum.$M($T $x2, $T $x1)\n"
           "$x4 = fcmp oeq $T $x3, $z\n$r = select $L $x4, $T $z, $T $x3"));  // LLVM's clamp keeps -0
  t.push_back(same("floor", 2, kFloats, 1, "$r = call $T @llvm.floor.$M($T $h0)"));
  t.push_back(same("ceil", 2, kFloats, 1, "$r = call $T @llvm.ceil.$M($T $h0)"));
  t.push_back(same("trunc_float", 2, kFloats, 1, "$r = call $T @llvm.trunc.$M($T $h0)"));
  t.push_back(same("rint", 2, kFloats, 1, "$r = call $T @llvm.rint.$M($T $h0)"));
  t.push_back(same("nearbyint", 1, kFloats, 1, "$r = call $T @llvm.nearbyint.$M($T $h0)"));
  t.push_back(same("roundeven", 2, kFloats, 1, "$r = call $T @llvm.roundeven.$M($T $h0)"));
  t.push_back(same("round", 1, kFloats, 1, "$r = call $T @llvm.round.$M($T $h0)"));
  t.push_back(same("canonicalize", 2, no_b16, 1, "$r = call $T @llvm.canonicalize.$M($T $k0)",
                   "$x1 = sitofp $I $o to $T\n$r = fmul $T $c0, $x1"));
  t.push_back(same("frexp_fraction", 1, f16 | set_of(Kind::f32), 1,
                   "$x1 = call {$T, $E} @llvm.frexp.$M.$Z($T $0)\n$r = extractvalue {$T, $E} $x1, 0",
                   "$x0 = fpext $T $0 to double\n$x1 = call double @fz_fraction(double $x0)\n"
                   "$r = fptrunc double $x1 to $T"));
  t.back().vectors = false;
}

}  // namespace

void add_arithmetic(std::vector<Operation>& t) {
  add_integer(t);
  add_float(t);
}

}  // namespace wavetile::fuzz
