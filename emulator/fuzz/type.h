// The types of a fuzzed program's values: a scalar kind, and how many of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/fuzz/random.h"

namespace wavetile::fuzz {

enum class Kind : std::uint8_t { i1, i8, i16, i32, i64, f16, bf16, f32, f64 };
inline constexpr int kKinds = 9;

/// Sets of kinds.
using Kinds = unsigned;
constexpr Kinds set_of(Kind k) { return 1u << static_cast<int>(k); }
inline constexpr Kinds kBool = set_of(Kind::i1), kInts = 0x1e, kFloats = 0x1e0, kAllKinds = 0x1ff;

struct Type {
  Kind kind = Kind::i32;
  std::uint8_t lanes = 1;
  bool operator==(const Type&) const = default;
  bool is_float() const { return kind >= Kind::f16; }
  bool in(Kinds kinds) const { return kinds >> static_cast<int>(kind) & 1; }
  int bits() const;   // of one element
  int bytes() const;  // in memory, packed; an i1 takes a byte
  Type with(Kind k) const { return {k, lanes}; }
  Type with_lanes(int n) const { return {kind, static_cast<std::uint8_t>(n)}; }
  Type as_int() const;  // of the same shape
};

/// "<4 x float>"
std::string text(Type type);
/// "v4f32", as in the names of intrinsics
std::string mangled(Type type);
/// A constant of `type`, without it: "<i32 1, i32 2>". `elements` has the bits of each.
std::string literal(Type type, const std::vector<std::uint64_t>& elements);
/// The quiet NaN that all NaNs are made into.
std::uint64_t quiet_nan(Kind kind);
bool is_nan(Kind kind, std::uint64_t bits);

/// The bits of a value of kind `k`: random ones, small ones, and those that break things.
std::uint64_t interesting(Kind k, Random& random);

}  // namespace wavetile::fuzz
