// Comparisons: v_cmp writes a mask, v_cmpx writes EXEC, and on CDNA3 a mask too. Bits of lanes that are off are 0.
#include "emulator/ops/float_bits.h"
#include "emulator/ops/lane_bits.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

// Predicates by the outcomes that they accept. "Not less" and its like accept the unordered outcome.
enum : int { kLess = 1, kEqual = 2, kGreater = 4, kUnordered = 8 };

// f16 as numbers in the same order, scaled.
inline float comparable(float x) { return x; }
inline double comparable(double x) { return x; }
inline float comparable(Half16 x) {
  const int size = x.bits & 0x7fff;
  const float value = static_cast<float>(sign_of(x) ? -size : size);
  return is_nan(x) ? std::numeric_limits<float>::quiet_NaN() : value;
}
template <class T>
requires std::is_integral_v<T> T comparable(T x) { return x; }

template <class T, int Accepts>
struct Compare {
  bool operator()(T x, T y) const {
    const auto a = comparable(x), b = comparable(y);
    constexpr bool kInverse = (Accepts & kUnordered) != 0;
    constexpr int kOrdered = (kInverse ? ~Accepts : Accepts) & 7;
    bool r = false;
    if constexpr (kOrdered == kLess) r = a < b;
    if constexpr (kOrdered == kEqual) r = a == b;
    if constexpr (kOrdered == (kLess | kEqual)) r = a <= b;
    if constexpr (kOrdered == kGreater) r = a > b;
    if constexpr (kOrdered == (kLess | kGreater)) r = (a < b) | (a > b);
    if constexpr (kOrdered == (kGreater | kEqual)) r = a >= b;
    if constexpr (kOrdered == 7) r = (a == a) & (b == b);
    return kInverse ? !r : r;
  }
};

// Classes of a float, as bits of v_cmp_class's mask: from the least to the greatest, NaNs first.
template <class T>
struct Class10 {
  bool operator()(BitsOf<T> bits, std::uint32_t mask) const {
    const T x = std::bit_cast<T>(bits);
    const bool negative = sign_of(x);
    const int positive_class = is_zero(x) ? 6 : is_denormal(x) ? 7 : is_infinite(x) ? 9 : 8;
    const int number = negative ? 11 - positive_class : positive_class;
    const int cls = is_nan(x) ? (is_signalling(x) ? 0 : 1) : number;
    return (mask >> cls & 1) != 0;
  }
};

void bind_compare(const Instruction& in, Op& op, const BindContext& c, Run run, std::span<const Type> types) {
  // clamp makes quiet NaNs raise an exception, of which there are none here.
  const bool prints_mask = in.operands.size() > types.size();
  std::vector<Operand> operands = in.operands;
  if (!prints_mask) operands.insert(operands.begin(), mask_operand(kExec, c));
  bind_vector(with_operands(in, std::move(operands)), op, c, run, types);
  if (op.omod != 0) throw Unsupported("scale of a comparison in '" + in.text + "'");
  if (op.dst[0].kind != Destination::Kind::scalar) throw Unsupported("no mask in '" + in.text + "'");
  if (prints_mask && in.mnemonic.starts_with("v_cmpx_")) {
    op.dst[1] = destination(with_operands(in, {mask_operand(kExec, c)}), 0, c);
  }
}

template <class T, int Accepts>
void add_one(Table& t, const char* name, const std::string& type) {
  const Entry entry = {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
                         static constexpr Type kTypes[] = {LaneType<T>::type, LaneType<T>::type};
                         bind_compare(in, op, c, &run_compare<Compare<T, Accepts>>, kTypes);
                       }};
  t.add("v_cmp_" + std::string(name) + "_" + type, entry);
  t.add("v_cmpx_" + std::string(name) + "_" + type, entry);
}

template <class T>
void add_ordered(Table& t, const std::string& type) {
  add_one<T, 0>(t, "f", type);
  add_one<T, kLess>(t, "lt", type);
  add_one<T, kEqual>(t, "eq", type);
  add_one<T, kLess | kEqual>(t, "le", type);
  add_one<T, kGreater>(t, "gt", type);
  add_one<T, kGreater | kEqual>(t, "ge", type);
  add_one<T, 15>(t, "t", type);
}
template <class T>
void add_integer(Table& t, const std::string& type) {
  add_ordered<T>(t, type);
  add_one<T, kLess | kGreater>(t, "ne", type);
}
template <class T>
void add_float(Table& t, const std::string& type) {
  add_ordered<T>(t, type);
  add_one<T, 15>(t, "tru", type);
  add_one<T, kLess | kGreater>(t, "lg", type);
  add_one<T, kLess | kEqual | kGreater>(t, "o", type);
  add_one<T, kUnordered>(t, "u", type);
  add_one<T, kUnordered | kLess>(t, "nge", type);
  add_one<T, kUnordered | kEqual>(t, "nlg", type);
  add_one<T, kUnordered | kLess | kEqual>(t, "ngt", type);
  add_one<T, kUnordered | kGreater>(t, "nle", type);
  add_one<T, kUnordered | kLess | kGreater>(t, "neq", type);
  add_one<T, kUnordered | kGreater | kEqual>(t, "nlt", type);
}

// Read as bits: a class is that of the value in the register, whatever MODE does to denormals.
template <class T>
void add_class(Table& t, const std::string& type) {
  const Entry entry = {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
                         constexpr Type kMask = std::is_same_v<T, Half16> ? Type::i16 : Type::b32;
                         static constexpr Type kTypes[] = {LaneType<T>::type, kMask};
                         bind_compare(in, op, c, &run_compare<Class10<T>>, kTypes);
                       }};
  t.add("v_cmp_class_" + type, entry);
  t.add("v_cmpx_class_" + type, entry);
}

}  // namespace

void add_compare(Table& t) {
  add_float<Half16>(t, "f16");
  add_float<float>(t, "f32");
  add_float<double>(t, "f64");
  add_integer<std::int16_t>(t, "i16");
  add_integer<std::uint16_t>(t, "u16");
  add_integer<std::int32_t>(t, "i32");
  add_integer<std::uint32_t>(t, "u32");
  add_integer<std::int64_t>(t, "i64");
  add_integer<std::uint64_t>(t, "u64");
  add_class<Half16>(t, "f16");
  add_class<float>(t, "f32");
  add_class<double>(t, "f64");
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
