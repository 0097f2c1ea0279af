#include "emulator/fuzz/type.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace wavetile::fuzz {
namespace {

struct Format {
  const char *text, *mangled;
  int bits, mantissa;  // mantissa bits that are stored; 0: an integer
};
constexpr Format kFormats[kKinds] = {{"i1", "i1", 1, 0},        {"i8", "i8", 8, 0},       {"i16", "i16", 16, 0},
                                     {"i32", "i32", 32, 0},     {"i64", "i64", 64, 0},    {"half", "f16", 16, 10},
                                     {"bfloat", "bf16", 16, 7}, {"float", "f32", 32, 23}, {"double", "f64", 64, 52}};
const Format& format_of(Kind k) { return kFormats[static_cast<int>(k)]; }

std::uint64_t mask(int bits) { return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }

std::string element_literal(Kind kind, std::uint64_t bits) {
  switch (kind) {
    case Kind::i1:
      return bits & 1 ? "true" : "false";
    case Kind::f16:
      return fmt::format("0xH{:04X}", bits);
    case Kind::bf16:
      return fmt::format("0xR{:04X}", bits);
    case Kind::f64:
      return fmt::format("0x{:016X}", bits);
    case Kind::f32: {
      // LLVM writes a float as the double of the same value; a NaN keeps its payload in the upper bits.
      if (is_nan(kind, bits))
        return fmt::format("0x{:016X}", (bits >> 31) << 63 | 0x7ff0000000000000u | (bits & 0x7fffff) << 29);
      const double wide = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      return fmt::format("0x{:016X}", std::bit_cast<std::uint64_t>(wide));
    }
    default:
      return fmt::format("{}", bits & mask(format_of(kind).bits));
  }
}

std::uint64_t interesting_float(const Format& f, Random& random) {
  const int exponent_bits = f.bits - 1 - f.mantissa;
  const std::uint64_t sign = random.bits() & std::uint64_t{1} << (f.bits - 1);
  const std::uint64_t top = mask(exponent_bits), bias = top >> 1, fraction = random.bits() & mask(f.mantissa);
  auto made = [&](std::uint64_t exponent, std::uint64_t m) { return sign | exponent << f.mantissa | m; };
  switch (random.below(14)) {
    case 0:
      return sign;  // zero
    case 1:
      return made(0, fraction);  // denormal
    case 2:
      return made(0, random.percent(50) ? 1 : mask(f.mantissa));
    case 3:
      return made(top, 0);  // infinite
    case 4:
      return made(top, fraction | std::uint64_t{1} << (f.mantissa - 1));  // a quiet NaN
    case 5:
      return made(top - 1, mask(f.mantissa));  // the largest
    case 6:
      return made(1, 0);  // the smallest normal one
    case 7:
      return made(bias + static_cast<std::uint64_t>(random.below(6)) - 2, 0);
    case 8:
    case 9:
      return made(bias + static_cast<std::uint64_t>(random.below(5)),
                  fraction & ~mask(f.mantissa > 4 ? f.mantissa - 4 : 0));  // small, few bits
    case 10:
      return made(bias + static_cast<std::uint64_t>(random.below(static_cast<int>(top / 2))) - top / 4, fraction);
    case 11:
      return made(bias + static_cast<std::uint64_t>(random.below(5)) - 2, fraction);
    case 12:
      return made(bias + static_cast<std::uint64_t>(random.below(f.mantissa + 3)), fraction);
    default: {
      const std::uint64_t any = random.bits() & mask(f.bits);
      return any;
    }
  }
}

}  // namespace

int Type::bits() const { return format_of(kind).bits; }
int Type::bytes() const { return (bits() + 7) / 8 * lanes; }
Type Type::as_int() const {
  switch (bits()) {
    case 1:
      return with(Kind::i1);
    case 8:
      return with(Kind::i8);
    case 16:
      return with(Kind::i16);
    case 32:
      return with(Kind::i32);
    default:
      return with(Kind::i64);
  }
}

std::string text(Type type) {
  const char* element = format_of(type.kind).text;
  return type.lanes == 1 ? element : fmt::format("<{} x {}>", type.lanes, element);
}

std::string mangled(Type type) {
  const char* element = format_of(type.kind).mangled;
  return type.lanes == 1 ? element : fmt::format("v{}{}", type.lanes, element);
}

std::string literal(Type type, const std::vector<std::uint64_t>& elements) {
  if (type.lanes == 1) return element_literal(type.kind, elements[0]);
  std::string out = "<";
  for (int i = 0; i < type.lanes; ++i)
    out += fmt::format("{}{} {}", i ? ", " : "", format_of(type.kind).text,
                       element_literal(type.kind, elements[static_cast<std::size_t>(i)]));
  return out + ">";
}

std::uint64_t quiet_nan(Kind kind) {
  const Format& f = format_of(kind);
  return mask(f.bits - 1 - f.mantissa + 1) << (f.mantissa - 1);
}

bool is_nan(Kind kind, std::uint64_t bits) {
  const Format& f = format_of(kind);
  if (f.mantissa == 0) return false;
  return (bits & mask(f.bits - 1)) > mask(f.bits - 1 - f.mantissa) << f.mantissa;
}

std::uint64_t interesting(Kind k, Random& random) {
  const Format& f = format_of(k);
  if (f.mantissa != 0) return interesting_float(f, random);
  const std::uint64_t all = mask(f.bits), top = std::uint64_t{1} << (f.bits - 1);
  switch (random.below(10)) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return all;
    case 3:
      return top;
    case 4:
      return top - 1;
    case 5:
      return (std::uint64_t{1} << random.below(f.bits)) & all;
    case 6:
      return static_cast<std::uint64_t>(random.below(67)) & all;
    case 7:
      return (~std::uint64_t{0} << random.below(f.bits)) & all;
    default:
      return random.bits() & all;
  }
}

}  // namespace wavetile::fuzz
