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

/// v_min3, v_max3 and v_med3 of T.
template <class T>
void add_order3(Table& t, const std::string& type) {
  t.add("v_min3_" + type, vector([](T a, T b, T c) { return smaller(smaller(a, b), c); }));
  t.add("v_max3_" + type, vector([](T a, T b, T c) { return greater(greater(a, b), c); }));
  t.add("v_med3_" + type, vector([](T a, T b, T c) { return greater(smaller(a, b), smaller(greater(a, b), c)); }));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
