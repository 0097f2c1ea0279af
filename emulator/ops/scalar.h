// How scalar instructions are written: a function of the wave and the operands' values,
//
//   t.add("s_not_b32", scalar([](Wave& w, std::uint32_t a) { ... return ~a; }));
//
// whose signature says how operands are read and written. SCC is the function's to set.
#pragma once

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>

#include <fmt/format.h>

#include "emulator/op.h"
#include "emulator/wave.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {

template <class T>
constexpr Type scalar_type() {
  if (std::is_same_v<T, float>) return Type::f32;
  if (std::is_same_v<T, std::uint16_t>) return Type::f16;  // the only scalars of 16 bits are floats
  if (std::is_same_v<T, std::int32_t>) return Type::i32;
  if (std::is_same_v<T, std::uint32_t>) return Type::b32;
  return std::is_same_v<T, std::int64_t> ? Type::i64 : Type::b64;
}

template <class T>
T scalar_value(const Wave& w, const Source& s) {
  std::uint64_t value = s.value;
  if (s.kind == Source::Kind::scalar) {
    value = w.s[s.reg];
    if (sizeof(T) == 8) value = s.reg == kNull ? 0 : w.scalar64(s.reg);
  } else if (s.kind == Source::Kind::scc) {
    value = w.scc ? 1 : 0;
  }
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
void set_scalar_value(Wave& w, const Destination& d, T value) {
  if constexpr (std::is_same_v<T, float>) {
    w.set_scalar(d.reg, std::bit_cast<std::uint32_t>(value));
  } else if constexpr (sizeof(T) == 8) {
    w.set_scalar64(d.reg, static_cast<std::uint64_t>(value));
  } else {
    w.set_scalar(d.reg, static_cast<std::uint32_t>(value));
  }
}

template <class F>
struct ScalarSignature : ScalarSignature<decltype(&F::operator())> {};
template <class F, class R, class... A>
struct ScalarSignature<R (F::*)(Wave&, A...) const> {
  using Result = R;
  using Arguments = std::tuple<A...>;
  static constexpr std::size_t count = sizeof...(A);
};

template <class F>
void run_scalar(Wave& w, const Op& op) {
  using S = ScalarSignature<F>;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    if constexpr (std::is_void_v<typename S::Result>) {
      F{}(w, scalar_value<std::tuple_element_t<I, typename S::Arguments>>(w, op.src[I])...);
    } else {
      const auto result = F{}(w, scalar_value<std::tuple_element_t<I, typename S::Arguments>>(w, op.src[I])...);
      set_scalar_value(w, op.dst[0], result);
    }
  }
  (std::make_index_sequence<S::count>{});
}

/// The 16 bits of SOPK and SOPP instructions, whatever they are printed as.
inline std::uint16_t simm16(const Instruction& in) {
  return static_cast<std::uint16_t>(in.raw.at(0) | in.raw.at(1) << 8);
}

/// Operands as printed: the destination, when there is a result, then sources. When one source less is printed, the
/// last is the old destination.
template <class F>
Entry scalar(F, Class cls = Class::salu) {
  return {cls, [](const Instruction& in, Op& op, const BindContext& c) {
            using S = ScalarSignature<F>;
            constexpr std::size_t kFirst = std::is_void_v<typename S::Result> ? 0 : 1;
            expect_modifiers(in, {});
            if (in.operands.size() != kFirst + S::count && in.operands.size() + 1 != kFirst + S::count) {
              throw Unsupported(fmt::format("{} operands in '{}'", in.operands.size(), in.text));
            }
            if (kFirst == 1) op.dst[0] = destination(in, 0, c);
            [&]<std::size_t... I>(std::index_sequence<I...>) {
              ((op.src[I] = source(in, kFirst + I < in.operands.size() ? kFirst + I : 0,
                                   scalar_type<std::tuple_element_t<I, typename S::Arguments>>(), c)),
               ...);
            }
            (std::make_index_sequence<S::count>{});
            op.sources = static_cast<std::uint8_t>(S::count);
            op.run = run_scalar<F>;
          }};
}

/// SOPK: the first operand is a register, the second the 16 bits, as a source of the function: sign-extended or not.
template <class F>
Entry scalar_k(F, bool sign, bool reads_first) {
  return {Class::salu, [=](const Instruction& in, Op& op, const BindContext& c) {
            using S = ScalarSignature<F>;
            expect_modifiers(in, {});
            if (!std::is_void_v<typename S::Result>) op.dst[0] = destination(in, 0, c);
            std::size_t at = 0;
            if (reads_first) op.src[at++] = source(in, 0, Type::b32, c);
            op.src[at].kind = Source::Kind::constant;
            const std::uint16_t bits = simm16(in);
            op.src[at].value = sign ? static_cast<std::uint32_t>(static_cast<std::int16_t>(bits)) : bits;
            op.sources = static_cast<std::uint8_t>(at + 1);
            op.run = run_scalar<F>;
          }};
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
