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

template <class T>
std::uint32_t less(const T* x, const T* y) {
  alignas(64) std::uint32_t bits[kChunk];
  for (int i = 0; i < kChunk; ++i) bits[i] = comparable(x[i]) < comparable(y[i]) ? 1 : 0;
  return pack_bits(bits);
}
template <class T>
std::uint32_t equal(const T* x, const T* y) {
  alignas(64) std::uint32_t bits[kChunk];
  for (int i = 0; i < kChunk; ++i) bits[i] = comparable(x[i]) == comparable(y[i]) ? 1 : 0;
  return pack_bits(bits);
}

// imm: the outcomes that the instruction accepts.
template <class T>
void run_ordering(Wave& w, const Op& op) {
  const bool plain = op.plain && w.mode_plain, inverse = (op.imm & kUnordered) != 0;
  const std::int64_t accepted = (inverse ? ~op.imm : op.imm) & (kLess | kEqual | kGreater);
  std::uint64_t bits = 0;
  for (int base = 0; base < w.lanes; base += kChunk) {
    if (static_cast<std::uint32_t>(w.exec >> base) == 0) continue;
    Lanes<T> tmp[2];
    const T* const x = operand(w, op.src[0], plain, base, tmp[0].v);
    const T* const y = operand(w, op.src[1], plain, base, tmp[1].v);
    std::uint32_t some = 0;
    if ((accepted & kLess) != 0) some |= less(x, y);
    if ((accepted & kEqual) != 0) some |= equal(x, y);
    if ((accepted & kGreater) != 0) some |= less(y, x);
    bits |= std::uint64_t{inverse ? ~some : some} << base;
  }
  set_compared(w, op, bits);
}

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

template <class T>
void add_one(Table& t, int accepts, const char* name, const std::string& type) {
  const Entry entry = {Class::valu, [accepts](const Instruction& in, Op& op, const BindContext& c) {
                         static constexpr Type kTypes[] = {LaneType<T>::type, LaneType<T>::type};
                         bind_compare(in, op, c, &run_ordering<T>, kTypes);
                         op.imm = accepts;
                       }};
  t.add("v_cmp_" + std::string(name) + "_" + type, entry);
  t.add("v_cmpx_" + std::string(name) + "_" + type, entry);
}

template <class T>
void add_ordered(Table& t, const std::string& type) {
  add_one<T>(t, 0, "f", type);
  add_one<T>(t, kLess, "lt", type);
  add_one<T>(t, kEqual, "eq", type);
  add_one<T>(t, kLess | kEqual, "le", type);
  add_one<T>(t, kGreater, "gt", type);
  add_one<T>(t, kGreater | kEqual, "ge", type);
  add_one<T>(t, 15, "t", type);
}
template <class T>
void add_integer(Table& t, const std::string& type) {
  add_ordered<T>(t, type);
  add_one<T>(t, kLess | kGreater, "ne", type);
}
template <class T>
void add_float(Table& t, const std::string& type) {
  add_ordered<T>(t, type);
  add_one<T>(t, 15, "tru", type);
  add_one<T>(t, kLess | kGreater, "lg", type);
  add_one<T>(t, kLess | kEqual | kGreater, "o", type);
  add_one<T>(t, kUnordered, "u", type);
  add_one<T>(t, kUnordered | kLess, "nge", type);
  add_one<T>(t, kUnordered | kEqual, "nlg", type);
  add_one<T>(t, kUnordered | kLess | kEqual, "ngt", type);
  add_one<T>(t, kUnordered | kGreater, "nle", type);
  add_one<T>(t, kUnordered | kLess | kGreater, "neq", type);
  add_one<T>(t, kUnordered | kGreater | kEqual, "nlt", type);
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
