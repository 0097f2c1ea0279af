// The parts of add_vector_int, each in a file of its own, and what they share.
#pragma once

#include "emulator/ops/vector.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

void add_vector_bits(Table& t);
void add_vector_int16(Table& t);
void add_vector_sad(Table& t);

template <class T>
T smaller(T a, T b) {
  return a < b ? a : b;
}
template <class T>
T greater(T a, T b) {
  return a > b ? a : b;
}

/// 16-bit instructions that came with GFX9 keep the other half of their register on CDNA3, where older ones zero it. On
/// RDNA3 all keep it, and the destination says which half it is.
inline Entry keeping_half(Entry entry) {
  entry.bind = [bind = std::move(entry.bind)](const Instruction& in, Op& op, const BindContext& c) {
    bind(in, op, c);
    if (op.dst[0].pick == Pick::whole) op.dst[0].pick = Pick::low;
  };
  return entry;
}

/// v_min3, v_max3 and v_med3 of T.
template <class T>
void add_order3(Table& t, const std::string& type) {
  const auto add = [&](const char* name, const Entry& entry) {
    t.add(name + type, sizeof(T) == 2 ? keeping_half(entry) : entry);
  };
  add("v_min3_", vector([](T a, T b, T c) { return smaller(smaller(a, b), c); }));
  add("v_max3_", vector([](T a, T b, T c) { return greater(greater(a, b), c); }));
  add("v_med3_", vector([](T a, T b, T c) { return greater(smaller(a, b), smaller(greater(a, b), c)); }));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
