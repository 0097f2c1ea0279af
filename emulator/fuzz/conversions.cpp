// Operations from one type to another, comparisons and choices.
#include "emulator/fuzz/operation.h"

namespace wavetile::fuzz {
namespace {

Operation convert(const char* name, int weight, Kinds from, Kinds to, const char* amd) {
  Operation o;
  o.name = name, o.form = Form::convert, o.weight = weight, o.from = from, o.kinds = to, o.amd = amd;
  return o;
}

Operation special(const char* name, int weight, Kinds kinds, int count, const char* amd) {
  Operation o;
  o.name = name, o.weight = weight, o.kinds = kinds, o.count = count, o.amd = amd;
  return o;
}

}  // namespace

void add_conversions(std::vector<Operation>& t) {
  const Kinds b16 = set_of(Kind::bf16), no_b16 = kFloats & ~b16;
  const Kinds narrow = kBool | set_of(Kind::i8) | set_of(Kind::i16);
  // The generator takes only those whose element grows, or shrinks.
  t.push_back(convert("zext", 5, kInts | kBool, kInts, "$r = zext $A $0 to $T"));
  t.push_back(convert("sext", 5, kInts | kBool, kInts, "$r = sext $A $0 to $T"));
  t.push_back(convert("trunc", 5, kInts, kInts | kBool, "$r = trunc $A $0 to $T"));
  t.push_back(convert("fpext", 4, kFloats, kFloats, "$r = fpext $A $0 to $T"));
  t.push_back(convert("fptrunc", 6, kFloats, kFloats, "$r = fptrunc $A $0 to $T"));
  // LLVM multiplies and rounds in one instruction that adds 0 to a product of -0.
  t.push_back(convert("fptrunc_product", 2, set_of(Kind::f32), set_of(Kind::f16),
                      "$x1 = fptrunc $A $0 to $T\n$x2 = fcmp oeq $T $x1, $z\n$r = select $L $x2, $T $z, $T $x1"));
  t.push_back(convert("uitofp", 4, kInts | kBool, no_b16, "$r = uitofp $A $0 to $T"));
  t.push_back(convert("sitofp", 4, kInts | kBool, no_b16, "$r = sitofp $A $0 to $T"));
  // Of wider integers LLVM rounds twice, on some targets.
  t.push_back(convert("uitofp_bf16", 1, narrow, b16, "$r = uitofp $A $0 to $T"));
  t.push_back(convert("sitofp_bf16", 1, narrow, b16, "$r = sitofp $A $0 to $T"));
  t.push_back(convert("fptoui_sat", 3, kFloats, kInts, "$r = call $T @llvm.fptoui.sat.$M.$N($A $0)"));
  t.push_back(convert("fptosi_sat", 3, kFloats, kInts, "$r = call $T @llvm.fptosi.sat.$M.$N($A $0)"));
  // Where the result does not fit it is poison.
  t.push_back(convert("fptosi", 3, no_b16, set_of(Kind::i32) | set_of(Kind::i64) | set_of(Kind::i16),
                      "$x1 = call $A @llvm.fabs.$N($A $0)\n$x2 = sitofp $T $h to $A\n$x3 = fcmp olt $A $x1, $x2\n"
                      "$x4 = select $L $x3, $A $0, $A zeroinitializer\n$r = fptosi $A $x4 to $T"));
  t.push_back(convert("fptoui", 3, no_b16, set_of(Kind::i32) | set_of(Kind::i64) | set_of(Kind::i16),
                      "$x1 = call $A @llvm.fabs.$N($A $0)\n$x2 = sitofp $T $h to $A\n$x3 = fcmp olt $A $x1, $x2\n"
                      "$x4 = select $L $x3, $A $x1, $A zeroinitializer\n$r = fptoui $A $x4 to $T"));
  t.push_back(convert("frexp_exponent", 1, set_of(Kind::f16) | set_of(Kind::f32), set_of(Kind::i32),
                      "$x1 = call $A @llvm.fabs.$N($A $0)\n$x2 = fcmp olt $A $x1, $i\n"
                      "$x3 = select $L $x2, $A $0, $A zeroinitializer\n"
                      "$x4 = call {$A, $T} @llvm.frexp.$N.$M($A $x3)\n$r = extractvalue {$A, $T} $x4, 1"));
  t.back().vectors = false;
  t.back().host =
      "$x1 = call $A @llvm.fabs.$N($A $0)\n$x2 = fcmp olt $A $x1, $i\n"
      "$x3 = select $L $x2, $A $0, $A zeroinitializer\n$x4 = fpext $A $x3 to double\n"
      "$r = call i32 @fz_exponent(double $x4)";
  t.push_back(special("bitcast", 8, kInts | kFloats, 1, "$r = bitcast $A $c0 to $T"));
  t.back().moves = true;

  // $P: a predicate, chosen by the first immediate.
  t.push_back(special("icmp", 10, kBool, 2, "$r = icmp $P $A $0, $1"));
  t.push_back(special("fcmp", 8, kBool, 2, "$r = fcmp $P $A $j0, $j1"));
  t.push_back(special("select", 12, kAllKinds, 3, "$r = select $A $0, $T $1, $T $2"));
  t.back().moves = true;
  t.push_back(special("select_vector", 4, kAllKinds, 3, "$r = select $A $0, $T $1, $T $2"));
  t.back().moves = true;
  // Both kinds of NaN or none: which of them an operation gives is open. The other eight classes are the immediate.
  t.push_back(special("fpclass", 3, kBool, 1, "$r = call $T @llvm.is.fpclass.$N($A $0, i32 $#0)"));
  const char* ldexp = "$r = call $T @llvm.ldexp.$M.$Z($T $0, $E $1)";
  t.push_back(special("ldexp", 3, set_of(Kind::f32) | set_of(Kind::f64), 2, ldexp));
  t.push_back(special("ldexp_f16", 2, set_of(Kind::f16), 2, ldexp));
  t.back().host = "$x1 = fpext $T $0 to $D\n$x2 = call $D @llvm.ldexp.$d.$Z($D $x1, $E $1)\n$r = fptrunc $D $x2 to $T";
}

void add_vectors(std::vector<Operation>& t) {
  const std::size_t before = t.size();
  t.push_back(special("extract", 6, kAllKinds, 1, "$r = extractelement $A $0, i32 $#0"));
  t.push_back(special("extract_at", 3, kAllKinds, 2, "$x1 = urem i32 $1, $#0\n$r = extractelement $A $0, i32 $x1"));
  t.push_back(special("insert", 4, kAllKinds, 2, "$r = insertelement $T $0, $B $h1, i32 $#0"));
  t.push_back(special("insert_at", 2, kAllKinds, 3,
                      "$x0 = lshr i32 $2, 8\n$x1 = urem i32 $x0, $#0\n$r = insertelement $T $0, $B $1, i32 $x1"));
  t.push_back(special("shuffle", 6, kAllKinds, 2, "$r = shufflevector $A $0, $A $1, $U"));
  t.push_back(special("build", 6, kAllKinds, 0, ""));
  for (std::size_t i = before; i < t.size(); ++i) t[i].moves = true;
  for (const char* name : {"reduce_add", "reduce_mul", "reduce_and", "reduce_or", "reduce_xor", "reduce_smax",
                           "reduce_smin", "reduce_umax", "reduce_umin"}) {
    const std::string what = std::string(name).substr(7);
    t.push_back(special(name, 1, kInts, 1, ""));
    t.back().amd = "$r = call $T @llvm.vector.reduce." + what + ".$N($A $0)";
  }
}

}  // namespace wavetile::fuzz
