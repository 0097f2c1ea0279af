// Elementwise arithmetic on LLVM values with the operators and functions that dsl/functions.def is written in.
// Values are scalars or vectors of lanes, in any mix: a scalar meets a vector as a splat.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "dsl/ir.h"

namespace wavetile {

struct Vec {
  llvm::IRBuilder<>* b = nullptr;
  llvm::Value* v = nullptr;
  bool real() const { return v->getType()->getScalarType()->isFloatTy(); }
};

llvm::Type* llvm_type(llvm::LLVMContext& c, DType t);  // f16 and bf16 are kept as i16
/// v as a vector of n lanes (unchanged where it is one, or where n is 0).
llvm::Value* splat(llvm::IRBuilder<>& b, llvm::Value* v, unsigned n);
unsigned width(const llvm::Value* v);  // lanes of a vector, 0 of a scalar
/// Makes scalars of a group of operands vectors where another is one.
void match(llvm::IRBuilder<>& b, std::initializer_list<llvm::Value**> vs);

Vec like(Vec a, double x);  // a constant of a's element type
Vec operator+(Vec a, Vec b);
Vec operator-(Vec a, Vec b);
Vec operator*(Vec a, Vec b);
Vec operator/(Vec a, Vec b);
Vec operator-(Vec a);
Vec operator&(Vec a, Vec b);
Vec operator|(Vec a, Vec b);
Vec operator^(Vec a, Vec b);
Vec operator<(Vec a, Vec b);
Vec operator<=(Vec a, Vec b);
Vec operator==(Vec a, Vec b);
Vec operator!=(Vec a, Vec b);
inline Vec operator+(Vec a, double x) { return a + like(a, x); }
inline Vec operator-(Vec a, double x) { return a - like(a, x); }
inline Vec operator*(Vec a, double x) { return a * like(a, x); }
inline Vec operator-(double x, Vec a) { return like(a, x) - a; }
inline Vec operator/(double x, Vec a) { return like(a, x) / a; }
inline Vec operator<(Vec a, double x) { return a < like(a, x); }

Vec select(Vec c, Vec a, Vec b);
Vec abs(Vec a);
Vec minimum(Vec a, Vec b);  // a NaN operand gives NaN
Vec maximum(Vec a, Vec b);
/// The same without the promise: anything, where an operand is NaN; for who looks at either_nan() of all that he takes.
Vec least_number(Vec a, Vec b);
Vec greatest_number(Vec a, Vec b);
Vec either_nan(Vec a, Vec b);
Vec nan_if(Vec nan, Vec x);
Vec mad(Vec a, Vec b, Vec c);
Vec exp(Vec a);
Vec exp2(Vec a);
Vec log(Vec a);
Vec sqrt(Vec a);
Vec rsqrt(Vec a);
Vec tanh(Vec a);
Vec sin(Vec a);
Vec cos(Vec a);
Vec floor(Vec a);
Vec round_even(Vec a);
Vec quotient(Vec a, Vec b);  // by zero: 0
Vec remainder(Vec a, Vec b);
Vec shift_left(Vec a, Vec b);   // amounts modulo 32
Vec shift_right(Vec a, Vec b);  // arithmetic

Vec cast(Vec a, DType from, DType to);
Vec apply(Fn fn, const std::vector<Vec>& args);  // all of dsl/functions.def

}  // namespace wavetile
