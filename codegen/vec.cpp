// The numerics: what exp, tanh and the conversions are made of. Errors stand beside each function; they were measured
// against double precision (tests/vec_math_test.cpp).
#include "codegen/vec.h"

#include <limits>

#include <llvm/IR/Intrinsics.h>

namespace wavetile {

using llvm::Intrinsic::ID;
using LType = llvm::Type;
using LValue = llvm::Value;

LType* llvm_type(llvm::LLVMContext& c, DType t) {
  switch (t) {
    case DType::f32:
      return LType::getFloatTy(c);
    case DType::f16:
    case DType::bf16:
      return LType::getInt16Ty(c);
    case DType::i32:
      return LType::getInt32Ty(c);
    case DType::i8:
    case DType::u8:
      return LType::getInt8Ty(c);
    case DType::b1:
      return LType::getInt1Ty(c);
  }
  throw InternalError("llvm_type: an unknown element type");
}

unsigned width(const LValue* v) {
  auto* t = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return t ? t->getNumElements() : 0;
}
LValue* splat(llvm::IRBuilder<>& b, LValue* v, unsigned n) { return n && !width(v) ? b.CreateVectorSplat(n, v) : v; }
void match(llvm::IRBuilder<>& b, std::initializer_list<LValue**> vs) {
  unsigned n = 0;
  for (LValue** v : vs) n = std::max(n, width(*v));
  for (LValue** v : vs) *v = splat(b, *v, n);
}

namespace {

Vec of(Vec like, LValue* v) { return {like.b, v}; }
LType* shaped(Vec a, LType* element) { return width(a.v) ? llvm::FixedVectorType::get(element, width(a.v)) : element; }
Vec bits(Vec a) { return of(a, a.b->CreateBitCast(a.v, shaped(a, a.b->getInt32Ty()))); }
Vec real_of(Vec a) { return of(a, a.b->CreateBitCast(a.v, shaped(a, a.b->getFloatTy()))); }
Vec unary(Vec a, ID id) { return of(a, a.b->CreateUnaryIntrinsic(id, a.v)); }
Vec is_nan(Vec a) { return of(a, a.b->CreateFCmpUNO(a.v, a.v)); }
// A multiply-add that may or may not round in between.
Vec fma(Vec a, Vec b, Vec c) {
  match(*a.b, {&a.v, &b.v, &c.v});
  return of(a, a.b->CreateIntrinsic(llvm::Intrinsic::fmuladd, {a.v->getType()}, {a.v, b.v, c.v}));
}
Vec fma(Vec a, Vec b, double c) { return fma(a, b, like(a, c)); }
template <size_t N>
Vec polynomial(Vec x, const double (&c)[N]) {  // c[0] is the highest coefficient
  Vec y = like(x, c[0]);
  for (size_t i = 1; i < N; ++i) y = fma(y, x, c[i]);
  return y;
}
// y * 2^n in two steps, so that results down to the denormals come out right.
Vec scale(Vec y, Vec n) {
  auto power = [](Vec e) { return real_of(shift_left(e + 127, like(e, 23))); };
  Vec half = of(n, n.b->CreateAShr(n.v, splat(*n.b, like(n, 1).v, width(n.v))));
  return y * power(half) * power(n - half);
}

}  // namespace

Vec like(Vec a, double x) {
  LType* t = a.v->getType()->getScalarType();
  LValue* c = t->isFloatTy() ? static_cast<LValue*>(llvm::ConstantFP::get(t, x))
                             : llvm::ConstantInt::get(t, static_cast<uint64_t>(static_cast<int64_t>(x)), false, true);
  return of(a, c);
}

#define WAVETILE_ARITH(op, F, I)                                  \
  Vec operator op(Vec a, Vec b) {                                 \
    match(*a.b, {&a.v, &b.v});                                    \
    return of(a, a.real() ? a.b->F(a.v, b.v) : a.b->I(a.v, b.v)); \
  }
WAVETILE_ARITH(+, CreateFAdd, CreateAdd)
WAVETILE_ARITH(-, CreateFSub, CreateSub)
WAVETILE_ARITH(*, CreateFMul, CreateMul)
WAVETILE_ARITH(<, CreateFCmpOLT, CreateICmpSLT)
WAVETILE_ARITH(<=, CreateFCmpOLE, CreateICmpSLE)
WAVETILE_ARITH(==, CreateFCmpOEQ, CreateICmpEQ)
WAVETILE_ARITH(!=, CreateFCmpUNE, CreateICmpNE)
#undef WAVETILE_ARITH
#define WAVETILE_BITS(op, I)        \
  Vec operator op(Vec a, Vec b) {   \
    match(*a.b, {&a.v, &b.v});      \
    return of(a, a.b->I(a.v, b.v)); \
  }
WAVETILE_BITS(/, CreateFDiv)
WAVETILE_BITS(&, CreateAnd)
WAVETILE_BITS(|, CreateOr)
WAVETILE_BITS(^, CreateXor)
#undef WAVETILE_BITS
Vec operator-(Vec a) { return of(a, a.real() ? a.b->CreateFNeg(a.v) : a.b->CreateNeg(a.v)); }

Vec select(Vec c, Vec a, Vec b) {
  match(*a.b, {&c.v, &a.v, &b.v});
  return of(a, a.b->CreateSelect(c.v, a.v, b.v));
}
Vec abs(Vec a) { return a.real() ? unary(a, llvm::Intrinsic::fabs) : select(a < like(a, 0), -a, a); }
Vec either_nan(Vec a, Vec b) {
  match(*a.b, {&a.v, &b.v});
  return of(a, a.b->CreateFCmpUNO(a.v, b.v));
}
namespace {
Vec numbers_only(Vec a, Vec b, ID id) {
  match(*a.b, {&a.v, &b.v});
  llvm::FastMathFlags numbers;
  numbers.setNoNaNs();
  numbers.setNoSignedZeros();
  llvm::IRBuilder<>::FastMathFlagGuard guard(*a.b);
  a.b->setFastMathFlags(numbers);
  return of(a, a.b->CreateBinaryIntrinsic(id, a.v, b.v));
}
}  // namespace
Vec least_number(Vec a, Vec b) { return a.real() ? numbers_only(a, b, llvm::Intrinsic::minnum) : select(a < b, a, b); }
Vec greatest_number(Vec a, Vec b) {
  return a.real() ? numbers_only(a, b, llvm::Intrinsic::maxnum) : select(b < a, a, b);
}
Vec nan_if(Vec nan, Vec x) { return select(nan, like(x, std::numeric_limits<double>::quiet_NaN()), x); }
Vec minimum(Vec a, Vec b) {
  Vec m = least_number(a, b);
  return a.real() ? nan_if(either_nan(a, b), m) : m;
}
Vec maximum(Vec a, Vec b) {
  Vec m = greatest_number(a, b);
  return a.real() ? nan_if(either_nan(a, b), m) : m;
}
Vec mad(Vec a, Vec b, Vec c) {
  match(*a.b, {&a.v, &b.v, &c.v});
  return of(a, a.b->CreateIntrinsic(llvm::Intrinsic::fma, {a.v->getType()}, {a.v, b.v, c.v}));
}

// exp and exp2: n = round(x log2 e) through the bits of a large number (no conversion that a NaN would poison), a
// polynomial on [-ln2/2, ln2/2] (Cephes' expf), then 2^n. Within 1.5 ulp.
namespace {
constexpr double exp_coefficients[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                       4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
constexpr double magic = 12582912.0;  // 1.5 * 2^23
Vec exp_of_parts(Vec r, Vec n) { return scale(fma(polynomial(r, exp_coefficients), r * r, r) + 1, n); }
Vec clamped(Vec x, double lo, double hi) {  // keeps NaN
  x = select(x < lo, like(x, lo), x);
  return select(like(x, hi) < x, like(x, hi), x);
}
}  // namespace

Vec exp(Vec x) {
  x = clamped(x, -104.5, 89.0);
  Vec t = fma(x, like(x, 1.44269504088896341), magic);
  Vec n = t - magic;
  Vec r = fma(n, like(n, -0.693359375), x);
  r = fma(n, like(n, 2.12194440e-4), r);
  return exp_of_parts(r, bits(t) - bits(like(x, magic)));
}
Vec exp2(Vec x) {
  x = clamped(x, -151, 129);
  Vec t = x + magic;
  Vec r = (x - (t - magic)) * 0.69314718055994531;
  return exp_of_parts(r, bits(t) - bits(like(x, magic)));
}

// Cephes' logf, after scaling denormals up. Within 1 ulp.
Vec log(Vec x) {
  Vec small = x < 1.17549435e-38;
  Vec y = select(small, x * 8388608.0, x);
  Vec e = shift_right(bits(y), like(bits(y), 23)) - 126;
  e = select(small, e - 23, e);
  Vec m = real_of((bits(y) & like(bits(y), 0x007fffff)) | like(bits(y), 0x3f000000));  // [0.5, 1)
  Vec low = m < 0.707106781186547524;
  m = select(low, m + m, m) - 1;
  Vec n = of(x, x.b->CreateSIToFP(select(low, e - 1, e).v, x.v->getType()));
  constexpr double c[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,  -1.2420140846e-1, 1.4249322787e-1,
                          -1.6668057665e-1, 2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
  Vec z = m * m;
  Vec r = polynomial(m, c) * m * z;
  r = fma(n, like(n, -2.12194440e-4), r);
  r = fma(z, like(z, -0.5), r);
  r = fma(n, like(n, 0.693359375), m + r);
  constexpr double inf = std::numeric_limits<double>::infinity();
  r = select(x == like(x, inf), x, r);
  r = select(x == like(x, 0), like(x, -inf), r);
  return select((x < 0.0) | is_nan(x), like(x, std::numeric_limits<double>::quiet_NaN()), r);
}

Vec sqrt(Vec a) { return unary(a, llvm::Intrinsic::sqrt); }
Vec rsqrt(Vec a) { return 1 / sqrt(a); }  // two roundings: within 1.5 ulp

// Small arguments by Cephes' odd polynomial, where 1 - 2/(e^2x + 1) would cancel. Within 1.5 ulp.
Vec tanh(Vec x) {
  constexpr double c[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1};
  Vec z = x * x;
  Vec small = fma(polynomial(z, c) * z, x, x);
  Vec a = abs(x);
  Vec large = 1 - 2 / (exp(a + a) + 1);
  Vec sign = bits(x) & like(bits(x), static_cast<double>(INT32_MIN));
  return select(a < 0.625, small, real_of(bits(large) | sign));
}
Vec sin(Vec a) { return unary(a, llvm::Intrinsic::sin); }
Vec cos(Vec a) { return unary(a, llvm::Intrinsic::cos); }
Vec floor(Vec a) { return unary(a, llvm::Intrinsic::floor); }
Vec round_even(Vec a) { return unary(a, llvm::Intrinsic::roundeven); }

// Machines trap, or leave undefined, what these two guard against: x/0 and INT_MIN/-1.
namespace {
Vec divide(Vec a, Vec b, bool rest) {
  match(*a.b, {&a.v, &b.v});
  Vec none = b == like(b, 0), minus = b == like(b, -1);
  Vec safe = select(none | minus, like(b, 1), b);
  Vec r = of(a, rest ? a.b->CreateSRem(a.v, splat(*a.b, safe.v, width(a.v)))
                     : a.b->CreateSDiv(a.v, splat(*a.b, safe.v, width(a.v))));
  return select(none, like(a, 0), rest ? r : select(minus, -a, r));
}
}  // namespace
Vec quotient(Vec a, Vec b) { return divide(a, b, false); }
Vec remainder(Vec a, Vec b) { return divide(a, b, true); }
Vec shift_left(Vec a, Vec b) {
  match(*a.b, {&a.v, &b.v});
  return of(a, a.b->CreateShl(a.v, (b & like(b, 31)).v));
}
Vec shift_right(Vec a, Vec b) {
  match(*a.b, {&a.v, &b.v});
  return of(a, a.b->CreateAShr(a.v, (b & like(b, 31)).v));
}

namespace {

Vec to_real(Vec a, DType from) {
  auto& b = *a.b;
  LType* f32 = shaped(a, b.getFloatTy());
  switch (from) {
    case DType::f32:
      return a;
    case DType::f16:
      return of(a, b.CreateFPExt(b.CreateBitCast(a.v, shaped(a, b.getHalfTy())), f32));
    case DType::bf16:
      return real_of(shift_left(of(a, b.CreateZExt(a.v, shaped(a, b.getInt32Ty()))), like(of(a, b.getInt32(0)), 16)));
    case DType::u8:
    case DType::b1:
      return of(a, b.CreateUIToFP(a.v, f32));
    default:
      return of(a, b.CreateSIToFP(a.v, f32));
  }
}

Vec from_real(Vec x, DType to) {
  auto& b = *x.b;
  LType* i16 = shaped(x, b.getInt16Ty());
  switch (to) {
    case DType::f32:
      return x;
    case DType::f16:
      return of(x, b.CreateBitCast(b.CreateFPTrunc(x.v, shaped(x, b.getHalfTy())), i16));
    case DType::bf16: {  // to nearest even; a NaN stays one
      Vec u = bits(x), high = shift_right(u, like(u, 16));
      Vec rounded = shift_right(u + 0x7fff + (high & like(u, 1)), like(u, 16));
      return of(x, b.CreateTrunc(select(is_nan(x), high | like(u, 0x40), rounded).v, i16));
    }
    case DType::b1:
      return x != like(x, 0);
    default: {  // truncates and saturates, NaN gives 0
      LType* t = shaped(x, llvm_type(b.getContext(), to));
      if (!width(x.v))
        return of(x, b.CreateIntrinsic(to == DType::u8 ? llvm::Intrinsic::fptoui_sat : llvm::Intrinsic::fptosi_sat,
                                       {t, x.v->getType()}, {x.v}));
      // LLVM would take vectors apart. The greatest f32 below 2^31 stands for what is beyond it.
      constexpr double below = 2147483520.0;
      double lo = to == DType::i32 ? -2147483648.0 : to == DType::i8 ? -128 : 0;
      double hi = to == DType::i32 ? below : to == DType::i8 ? 127 : 255;
      Vec inside = clamped(select(is_nan(x), like(x, 0), x), lo, hi);
      Vec r = of(x, b.CreateFPToSI(inside.v, shaped(x, b.getInt32Ty())));
      if (to != DType::i32) return of(x, b.CreateTrunc(r.v, t));
      return select(like(x, below) < x, like(r, 2147483647.0), r);
    }
  }
}

}  // namespace

Vec cast(Vec a, DType from, DType to) {
  if (from == to) return a;
  auto& b = *a.b;
  if (is_float(from) || is_float(to)) return from_real(to_real(a, from), to);
  if (to == DType::b1) return a != like(a, 0);
  return of(a, b.CreateIntCast(a.v, shaped(a, llvm_type(b.getContext(), to)), from != DType::u8 && from != DType::b1));
}

Vec apply(Fn fn, const std::vector<Vec>& args) {
  Vec a = args[0], b = args.size() > 1 ? args[1] : a, c = args.size() > 2 ? args[2] : a;
  switch (fn) {
#define FN(name, arity, rule, expr) \
  case Fn::name:                    \
    return expr;
#include "dsl/functions.def"
#undef FN
    default:
      break;
  }
  throw InternalError("apply: not an elementwise function");
}

}  // namespace wavetile
